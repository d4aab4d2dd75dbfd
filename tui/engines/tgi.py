"""Text Generation Inference by its own `/generate_stream`. Known by 3.3.7, from its sources.

It cannot be made to go on behind the end token, so the length of an answer is at most what was asked for. Its prompts
are texts; `truncate` keeps one that came out longer than it should be at what was asked for.
https://huggingface.co/docs/text-generation-inference
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tui.engines.base import (
    ACCEPTING_SSE,
    PROCESS_UP,
    READY,
    Change,
    Diagnosis,
    FailureClass,
    LaunchPlan,
    LogFact,
    RequestShape,
    ServerMetrics,
    Wish,
)
from tui.engines.engine import Engine, Launch
from tui.engines.help_flags import HelpFlags
from tui.engines.parts import openai_requests, tgi_stream
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.parts.diagnosis_rules import rule
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import Content, Question, Questions, healthy, json_in, length_in, object_in, only_limit

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable

DOWNLOAD, SHARDS, WARM_UP = "download", "loading shards", "warm-up"

# ---- the request


def parameters_of(wish: Wish) -> dict[str, Any]:
    """Return what TGI calls the parameters of a request, with the profile's own in `[load.body.parameters]`."""
    usual: dict[str, Any] = {"max_new_tokens": wish.output_tokens, "details": True, "do_sample": False}
    changes = wish.body.get("parameters")
    whole = usual | wish.load_only(truncate=wish.prompt_tokens)
    return openai_requests.changed(whole, changes if isinstance(changes, Mapping) else {})


def native_shape(
    wish: Wish, *, path: str, dialect: str, headers: Sequence[tuple[str, str]] = ACCEPTING_SSE
) -> RequestShape:
    """Return a request of the native shape, wherever it is sent."""
    changes = {name: value for name, value in wish.body.items() if name != "parameters"}
    fields = openai_requests.changed({"parameters": parameters_of(wish), "stream": True}, changes)
    return wish.request(path, fields, b'"inputs":', dialect=dialect, headers=headers)


def chat_shape(wish: Wish, *, dialect: str) -> RequestShape:
    """Return a chat request of the OpenAI API beside it."""
    shape = openai_requests.request_shape(wish, token_ids=False, extra={}, stream_options={"include_usage": True})
    return msgspec.structs.replace(shape, dialect=dialect, exact=False)


# ---- what it can be asked


class TgiQuestions(Questions):
    """Its health, its limits and model by `/info`, its tokenizer, its Prometheus text."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health; 503 once a shard is gone."""
        return Question("/health", healthy)

    def models(self) -> Question[list[str]] | None:
        """Ask for its one model."""
        return Question("/info", _models_in)

    def version(self) -> Question[str] | None:
        """Ask for its version."""
        return Question("/info", _version_in)

    def tokenize(self, model: str, content: Content) -> Question[list[int]] | None:
        """Ask for the ids of a text, or of messages under the chat template; special tokens are among them."""
        if isinstance(content, str):
            return Question("/tokenize", _tokens_in, {"inputs": content})
        return Question("/chat_tokenize", _chat_tokens_in, {"model": model, "messages": content})

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures."""
        return Question("/metrics", _metrics_in)

    def limits(self, models: Sequence[str]) -> Question[dict[str, int]] | None:
        """Ask how many tokens prompt and answer may have together."""
        return Question("/info", lambda status, content: only_limit(models, _limit_in(status, content)))


def _models_in(status: int, content: bytes) -> list[str] | None:
    model = object_in(status, content).get("model_id")
    return [model] if isinstance(model, str) else None


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


def _limit_in(status: int, content: bytes) -> int | None:
    return length_in(object_in(status, content), "max_total_tokens")


def _tokens_in(status: int, content: bytes) -> list[int] | None:
    return _ids(json_in(status, content))


def _chat_tokens_in(status: int, content: bytes) -> list[int] | None:
    return _ids(object_in(status, content).get("tokenize_response"))


def _ids(rows: object) -> list[int] | None:
    if not isinstance(rows, list):
        return None
    ids = [row.get("id") if isinstance(row, dict) else None for row in rows]
    return [each for each in ids if isinstance(each, int)] if all(isinstance(each, int) for each in ids) else None


_RUNNING, _WAITING = "tgi_batch_current_size", "tgi_queue_size"
_RESERVED, _MOST = "tgi_batch_current_max_tokens", "tgi_batch_max_total_tokens"
_QUEUED_S = "tgi_request_queue_duration"
_FAILURES = "tgi_request_failure"


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    """Return its figures; its counters of tokens grow only as requests end, and are left out for that."""
    if status != 200:
        return None
    names = {_RUNNING, _WAITING, _RESERVED, _MOST, f"{_QUEUED_S}_sum", f"{_QUEUED_S}_count", _FAILURES}
    samples = samples_of(content.decode(errors="replace"), names)
    reserved, most = total(samples, [_RESERVED]), total(samples, [_MOST])
    failures = total(samples, [_FAILURES])
    return ServerMetrics(
        running=total(samples, [_RUNNING]),
        waiting=total(samples, [_WAITING]),
        # Each request has its blocks for its longest possible answer from its beginning.
        kv_cache_usage=min(reserved / most, 1.0) if reserved is not None and most else None,
        kv_cache_tokens=int(most) if most else None,
        queue_sum_s=total(samples, [f"{_QUEUED_S}_sum"]),
        queue_count=total(samples, [f"{_QUEUED_S}_count"]),
        extra={} if failures is None else {"failures_total": failures},
    )


# ---- how it is started

_STAGE_LINES = (
    (re.compile(r"text_generation_launcher: (?:Download|Starting check and download process)"), DOWNLOAD),
    (re.compile(r"text_generation_launcher: (?:Starting shard|Waiting for shard|Shard ready in)"), SHARDS),
    (re.compile(r"text_generation_launcher: Starting Webserver|Warming up model"), WARM_UP),
)
_BLOCKS = re.compile(r"KV-cache blocks: (\d{1,9}), size: (\d{1,6})")
_BATCH_TOKENS = re.compile(r"Setting max batch total tokens to (\d{1,9})")
_CONNECTED = re.compile(r"text_generation_router\S*: (?:\S+: )?Connected\s*$")


class TgiLaunch(Launch):
    """`text-generation-launcher --model-id MODEL`."""

    executable = ("text-generation-launcher",)
    known_flags = HelpFlags(
        *("--model-id", "--port", "--num-shard"), refusal=r"error: unexpected argument '([^']{1,100})'"
    )
    stages = (PROCESS_UP, DOWNLOAD, SHARDS, WARM_UP, READY)
    loading = SHARDS
    prefix = re.compile(r"(?:\d{4}-\S+Z +)?(?:ERROR|WARN|INFO) +")
    rules = (
        rule(
            r"Not enough memory to handle (?P<tokens>\d{1,9}) prefill tokens",
            FailureClass.OOM_KV,
            "The KV cache of a warm-up with {tokens} prefill tokens does not fit",
            "Lower max-batch-prefill-tokens or max-input-tokens, or raise cuda-memory-fraction, in [server.args].",
            Change("max-batch-prefill-tokens", now="{tokens}", times=0.5, least=64, most=1e7),
        ),
        rule(
            r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError",
            FailureClass.OOM_WEIGHTS,
            "The memory of a GPU does not hold the model",
            "Use quantize, more GPUs with num-shard, or a smaller model.",
        ),
        rule(
            r"Shard process was signaled to shutdown with signal 9",
            FailureClass.OOM_HOST,
            "A shard was killed, most often for lack of the host's memory",
            "See dmesg; give the machine or the container more memory, or shared memory for NCCL (1 GB).",
        ),
        rule(
            r"GatedRepoError|Access to model .{1,200} is restricted|401 Client Error",
            FailureClass.MODEL_GATED,
            "The model wants a token of Hugging Face",
            "Accept its licence there, and set HF_TOKEN in the environment.",
        ),
        rule(
            r"RepositoryNotFoundError|EntryNotFoundError|404 Client Error|No local weights found",
            FailureClass.MODEL_MISSING,
            "The model cannot be found",
            "Correct `model` in [server].",
        ),
        rule(
            r"error: unexpected argument '(?P<flag>[^']{1,100})'",
            FailureClass.BAD_FLAG,
            "text-generation-launcher does not know an argument",
            "Correct or remove {flag} in [server.args] or extra_args.",
        ),
        rule(
            r"error: invalid value .{1,200} for '(?P<flag>[^']{1,100})'|ArgumentValidation\(\"(?P<why>.{1,300})\"\)",
            FailureClass.BAD_VALUE,
            "An argument has a wrong value",
            "Correct it in [server.args]; the line says which.",
        ),
        rule(
            r"[Aa]ddress already in use",
            FailureClass.PORT,
            "The port is in use",
            "Set port = 0 in [server] for a free one; several launchers also share 29500 by default: master-port.",
            Change("master-port", by=1, usual=29500, least=1024, most=65535),
        ),
        rule(r"NCCL error|ncclSystemError", FailureClass.NCCL, "The GPUs cannot speak with each other", "See the log."),
        rule(
            r"No space left on device",
            FailureClass.DISK_FULL,
            "A disk is full",
            "Make room where the weights are kept: HUGGINGFACE_HUB_CACHE.",
        ),
        rule(
            r"Shard \d{1,4} (?:crashed|failed to start)|Webserver Crashed",
            FailureClass.CRASH,
            "A part of the server ended by itself",
            "Read the log above this line; the first error in it is most often the cause.",
        ),
    )

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `text-generation-launcher --model-id MODEL ...`, one shard per GPU that the profile names."""
        server = profile.server
        assert server is not None
        args: dict[str, bool | int | float | str] = dict(server.args)
        if len(server.gpus) > 1 and not args.keys() & {"num-shard", "num_shard", "sharded"}:
            args["num-shard"] = len(server.gpus)
        argv = [*self.command(server), "--model-id", server.model, "--hostname", server.host, "--port", str(port)]
        return LaunchPlan(
            argv=(*argv, *words_of(args), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port),
        )

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed. A shard that has loaded seldom grows: then its kill may be anybody's."""
        told = super().diagnose(lines, started=started, exit_code=exit_code)
        if told is None or not started or told.failure is not FailureClass.OOM_HOST:
            return told
        advice = "Look for who sent the signal: an operator, or the kernel for lack of the host's memory (dmesg)."
        return Diagnosis(FailureClass.CRASH, told.line, advice, "A shard was killed")

    def environment(self, server: ServerTable) -> dict[str, str]:
        """Return no usage reports, the chosen GPUs, and the profile's own variables."""
        return {"USAGE_STATS": "off"} | super().environment(server)

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if found := _BLOCKS.search(line):
            return LogFact(stage=WARM_UP, kv_cache_tokens=int(found[1]) * int(found[2]))
        if found := _BATCH_TOKENS.search(line):
            return LogFact(stage=WARM_UP, kv_cache_tokens=int(found[1]))
        if _CONNECTED.search(line):
            return LogFact(stage=READY, progress=1.0)
        return next((LogFact(stage=stage) for pattern, stage in _STAGE_LINES if pattern.search(line)), None)


# ---- the whole


class TgiEngine(Engine):
    """TGI. Completions go to its own `/generate_stream`, chat to the OpenAI API beside it."""

    name = "tgi"
    title = "Text Generation Inference"
    mark = Question(
        "/info", lambda status, content: {"model_id", "max_total_tokens"} <= object_in(status, content).keys()
    )
    seen = "3.3.7"
    questions = TgiQuestions()
    launch = TgiLaunch()
    key_variable = "API_KEY"

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for at most so many tokens."""
        if wish.endpoint == "chat":
            return chat_shape(wish, dialect=f"{tgi_stream.__name__}:CHAT")
        return native_shape(wish, path="/generate_stream", dialect=f"{tgi_stream.__name__}:DIALECT")


ENGINE = TgiEngine()
