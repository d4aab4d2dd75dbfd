"""llama.cpp's llama-server by its own `/completion`: no chat template, no `[DONE]`, counts on each event.

Known by b11434, run here. Its last event has the counts; the last token may come with it, and tokens that end within a
UTF-8 character come together. https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from tui.core.outcome import Outcome
from tui.engines.base import (
    PROCESS_UP,
    READY,
    Change,
    FailureClass,
    LaunchPlan,
    LogFact,
    RequestShape,
    ServerMetrics,
    Wish,
)
from tui.engines.engine import Engine, Launch
from tui.engines.help_flags import HelpFlags
from tui.engines.parts import dialect, openai_requests
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.parts.diagnosis_rules import rule
from tui.engines.parts.dialect import COUNT, TEXT, Dialect, Ending, StreamEvent, read_error, reader_of
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import (
    Content,
    OpenAiQuestions,
    Question,
    healthy,
    length_in,
    object_in,
    only_limit,
    tokens_in,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable

LOADING = "loading model"
_ABSENT = msgspec.Raw()
_SERVER_ERROR = 500


# ---- the dialect


class _Settings(msgspec.Struct, gc=False):
    n_predict: int = -1


class _Event(msgspec.Struct, gc=False):
    content: str = ""
    stop: bool = False
    tokens_predicted: int = 0
    tokens_evaluated: int | None = None
    truncated: bool = False
    generation_settings: _Settings | None = None
    error: msgspec.Raw = _ABSENT


_read_event = reader_of(_Event)


def decode(payload: bytes) -> StreamEvent:
    """Read one event of `/completion`. Raises ValueError for what is none."""
    event = _read_event(payload)
    if event.error is not _ABSENT:
        text, code = read_error(payload)
        return StreamEvent(error=text, error_code=code)
    if not event.stop:
        bears = True if event.content and event.tokens_predicted > 0 else None
        return StreamEvent(bears_tokens=bears, output_tokens=event.tokens_predicted)
    tokens, settings = event.tokens_predicted, event.generation_settings
    if event.truncated and settings is not None and tokens < settings.n_predict:
        # It ends such an answer without a word.
        said = f"the context was full after {tokens} of {settings.n_predict} tokens"
        return StreamEvent(error=said, outcome=Outcome.TOO_LONG, ends=True)
    return StreamEvent(
        bears_tokens=True if event.content else None,
        output_tokens=tokens,
        prompt_tokens=event.tokens_evaluated,
        finished=True,
        ends=True,
    )


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means. With a unified KV cache all slots share one, and all of them fail once it is full."""
    if status == _SERVER_ERROR:
        return Outcome.OOM_RUNTIME if "Context size has been exceeded" in text else Outcome.ENGINE_DEAD
    return dialect.outcome_of(status, text)


def text_of(payload: bytes) -> str:
    """Return the text of one event. Raises ValueError."""
    return _read_event(payload).content


_USUAL = re.compile(
    rb'\{"index":%b,"content":"%b","tokens":\[(?:%b(?:,%b)*+)?+\],"stop":false,"id_slot":-?%b,'
    rb'"tokens_predicted":([1-9][0-9]{0,8}+),"tokens_evaluated":%b\}' % (COUNT, TEXT, COUNT, COUNT, COUNT, COUNT)
)
DIALECT = Dialect(
    decode,
    text_of=text_of,
    usual=_USUAL,
    ending=Ending.FINAL_EVENT,
    end="its last event",
    outcome_of=outcome_of,
)


# ---- what it can be asked


class LlamaCppQuestions(OpenAiQuestions):
    """Its models, its tokenizer, the context of a slot, and with `--metrics` its Prometheus text."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health: 503 while the model loads."""
        return Question("/health", healthy)

    def version(self) -> Question[str] | None:
        """Ask for its build."""
        return Question("/props", _build_in)

    def tokenize(self, model: str, content: Content) -> Question[list[int]] | None:
        """Ask for the ids of a text; what a template makes of messages it does not tell."""
        return Question("/tokenize", tokens_in, {"content": content}) if isinstance(content, str) else None

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures."""
        return Question("/metrics", _metrics_in)

    def held(self) -> Question[int] | None:
        """Ask for its slots. How large the KV cache is they do not tell: with `kv-unified` each names all of it."""
        return Question("/slots", _held_in)

    def limits(self, models: Sequence[str]) -> Question[dict[str, int]] | None:
        """Ask for the context of one slot."""
        return Question("/props", lambda status, content: only_limit(models, _context_in(status, content)))


def _build_in(status: int, content: bytes) -> str | None:
    build = object_in(status, content).get("build_info")
    return build if isinstance(build, str) else None


def _context_in(status: int, content: bytes) -> int | None:
    settings = object_in(status, content).get("default_generation_settings")
    return length_in(settings, "n_ctx") if isinstance(settings, dict) else None


class _Slot(msgspec.Struct, gc=False):
    is_processing: bool = False
    n_prompt_tokens: int = 0
    """Of its prompt and of what it has answered so far."""


_read_slots = msgspec.json.Decoder(list[_Slot]).decode


def _held_in(status: int, content: bytes) -> int | None:
    if status != 200:
        return None
    try:
        slots = _read_slots(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return sum(max(slot.n_prompt_tokens, 0) for slot in slots if slot.is_processing)


_RUNNING, _WAITING = "llamacpp:requests_processing", "llamacpp:requests_deferred"
_PROMPT_TOKENS, _OUTPUT_TOKENS = "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    samples = samples_of(content.decode(errors="replace"), {_RUNNING, _WAITING, _PROMPT_TOKENS, _OUTPUT_TOKENS})
    return ServerMetrics(
        running=total(samples, [_RUNNING]),
        waiting=total(samples, [_WAITING]),
        prompt_tokens_total=total(samples, [_PROMPT_TOKENS]),
        generation_tokens_total=total(samples, [_OUTPUT_TOKENS]),
    )


# ---- how it is started

_READY_LINE = re.compile(r"llama_server: (?:model loaded|listening on )|server is listening on ")
_SMALLER_STEPS = Change("ubatch-size", times=0.5, usual=512, least=16, most=1e6)
_BEYOND_TRAINING = re.compile(r"n_ctx_seq \((\d{1,9})\) > n_ctx_train")
"""Of a KV cache that all slots share, all of it: a slot has no more than the model was trained for."""
_SLOTS = re.compile(r"n_slots = (\d{1,6}), n_ctx_slot = (\d{1,9})(, kv_unified = 'true')?")


class LlamaCppLaunch(Launch):
    """`llama-server -m FILE`."""

    executable = ("llama-server",)
    known_flags = HelpFlags(
        *("--model", "--port", "--ctx-size"), refusal=r"error: (?:invalid argument|unknown argument): (\S{1,100})"
    )
    stages = (PROCESS_UP, LOADING, READY)
    loading = LOADING
    prefix = re.compile(r"\d+\.\d\d\.\d{3}\.\d{3} [A-Z] +")
    rules = (
        rule(
            r"failed to allocate buffer for (?:kv|rs) cache|failed to initialize the context: std::bad_alloc",
            FailureClass.OOM_KV,
            "The KV cache does not fit",
            "Lower ctx-size (all slots share it) or parallel, or use cache-type-k and cache-type-v q8_0.",
            Change("ctx-size", times=0.5, otherwise="8192", least=256, most=1e9),
        ),
        rule(
            r"failed to initialize the context: failed to allocate compute (?:pp |tg )?buffers",
            FailureClass.OOM_RUNTIME,
            "No memory is left to compute in",
            "Lower ubatch-size, ctx-size or n-gpu-layers, or use flash-attn on.",
            _SMALLER_STEPS,
        ),
        rule(
            r"cudaMalloc failed: out of memory|failed to allocate (?:\w+ )?buffer of size|unable to allocate \w+ buffer"
            r"|insufficient memory \(attempted to allocate|mmap failed: Cannot allocate memory",
            FailureClass.OOM_WEIGHTS,
            "The memory does not hold the model",
            "Use a smaller quantization, fewer n-gpu-layers, or more GPUs.",
        ),
        rule(
            r"CUDA error: out of memory",
            FailureClass.OOM_RUNTIME,
            "The GPU's memory gave out while requests ran",
            "Lower ubatch-size, ctx-size or n-gpu-layers, so that work space is left.",
            _SMALLER_STEPS,
        ),
        rule(
            r"failed to open GGUF file '(?P<path>[^']{1,300})'",
            FailureClass.MODEL_MISSING,
            "The model's file cannot be opened",
            "There is no {path} to be read: correct `model` in [server].",
        ),
        rule(
            r"error loading model: (?P<why>.{1,300})",
            FailureClass.MODEL_MISSING,
            "The model's file cannot be loaded",
            "llama.cpp says of it: {why}",
        ),
        rule(
            r"error: (?:invalid argument|unknown argument): (?P<flag>\S{1,100})",
            FailureClass.BAD_FLAG,
            "llama-server does not know an argument",
            "Correct or remove {flag} in [server.args] or extra_args.",
        ),
        rule(
            r"error while handling argument \"?(?P<flag>[^\s\":]{1,100})",
            FailureClass.BAD_VALUE,
            "An argument has a wrong value",
            "Correct {flag} in [server.args].",
        ),
        rule(
            r"couldn't bind HTTP server socket",
            FailureClass.PORT,
            "The port is in use",
            "Set port = 0 in [server] for a free one, or end what listens there.",
        ),
    )

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `llama-server -m FILE ...`, which by itself would shrink what is not set until it fits."""
        server = profile.server
        assert server is not None
        args: dict[str, bool | int | float | str] = {"metrics": True, "fit": "off", **server.args}
        argv = [*self.command(server), "-m", server.model, "--host", server.host, "--port", str(port)]
        return LaunchPlan(
            argv=(*argv, *words_of(args), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port, tls="ssl-cert-file" in args),
        )

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if "load_model: loading model" in line:
            return LogFact(stage=LOADING)
        if slots := _SLOTS.search(line):
            count, context = int(slots[1]), int(slots[2])
            if slots[3]:
                return LogFact(stage=LOADING, kv_cache_tokens_least=context, max_model_len=context)
            return LogFact(
                stage=LOADING, kv_cache_tokens=count * context, max_concurrency=float(count), max_model_len=context
            )
        if shared := _BEYOND_TRAINING.search(line):
            return LogFact(stage=LOADING, kv_cache_tokens=int(shared[1]))
        return LogFact(stage=READY, progress=1.0) if _READY_LINE.search(line) else None

    def gpus_needed(self, server: ServerTable) -> int:
        """Return the GPUs that the profile names; without them it runs on the CPU."""
        return max(server.gpus, default=-1) + 1


# ---- the whole


class LlamaCppEngine(Engine):
    """llama-server. Completions go to its own `/completion`, chat to the OpenAI API beside it."""

    name = "llama-cpp"
    title = "llama.cpp"
    mark = Question("/props", lambda status, content: "default_generation_settings" in object_in(status, content))
    seen = "b11434"
    questions = LlamaCppQuestions()
    launch = LlamaCppLaunch()
    key_variable = "LLAMA_API_KEY"

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for exactly so many tokens whose prefill no cache shortens."""
        same = {**wish.load_only(ignore_eos=True), "cache_prompt": False}
        if wish.endpoint == "chat":
            options = {"include_usage": True}
            return openai_requests.request_shape(wish, token_ids=False, extra=same, stream_options=options)
        body = {"n_predict": wish.output_tokens, "temperature": 0, "stream": True, **same}
        fields = openai_requests.changed(body, wish.body)
        return wish.request(
            "/completion",
            fields,
            b'"prompt":',
            dialect=f"{__name__}:DIALECT",
            kind="token-ids",
            exact=fields.get("ignore_eos") is True and openai_requests.is_as_asked(wish.body.get("n_predict")),
        )


ENGINE = LlamaCppEngine()
