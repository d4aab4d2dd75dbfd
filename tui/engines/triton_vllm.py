"""vLLM as a backend of Triton Inference Server, by `/v2/models/MODEL/generate_stream`.

Known by Triton 2.51 with the vllm_backend of late 2026 on vLLM 0.32. Each event says how many tokens it bears. Prompts
are texts; how many tokens one has, a request for a single token tells.
https://github.com/triton-inference-server/vllm_backend
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from tui.engines import triton
from tui.engines.base import PROCESS_UP, READY, Diagnosis, LogFact, RequestShape, ServerMetrics, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.diagnosis_rules import first_match
from tui.engines.parts.dialect import TOKEN, Count, Dialect, StreamEvent, read_error, reader_of
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import Content, Question
from tui.engines.vllm import diagnosis, log
from tui.engines.vllm.log import Stage

# ---- the dialect

_ABSENT = msgspec.Raw()
_SILENT_TOKEN = StreamEvent(bears_tokens=None, tokens=1)
"""One without a text of its own, e.g. a part of a character: nothing that a look at other texts would tell."""
_ASKED = {
    "exclude_input_in_output": True,
    "return_finish_reason": True,
    "return_num_input_tokens": True,
    "return_num_output_tokens": True,
}


class _Event(msgspec.Struct, gc=False):
    text_output: str = ""
    finish_reason: str | None = None
    num_output_tokens: int | None = None
    num_input_tokens: int | None = None
    error: msgspec.Raw = _ABSENT


_read_event = reader_of(_Event)


def decode(payload: bytes) -> StreamEvent:
    """Read one event of `generate_stream`. Raises ValueError for what is none."""
    event = _read_event(payload)
    if event.error is not _ABSENT:
        text, code = read_error(payload)
        return StreamEvent(error=text, error_code=code)
    tokens = event.num_output_tokens
    # The reason is a text even where there is none.
    finished = event.finish_reason not in (None, "None")
    if tokens == 1 and not finished:
        return TOKEN if event.text_output else _SILENT_TOKEN
    return StreamEvent(
        bears_tokens=bool(event.text_output) if tokens is None else tokens > 0,
        tokens=tokens or None,
        prompt_tokens=event.num_input_tokens,
        finished=finished,
    )


def text_of(payload: bytes) -> str:
    """Return the text of one event. Raises ValueError."""
    return _read_event(payload).text_output


DIALECT = Dialect(
    decode,
    text_of=text_of,
    count=Count.PER_EVENT,
    end="a finish reason",
    text_keys=(b'"text_output":"',),
    outcome_of=triton.outcome_of,
)

# ---- what it can be asked

_PROMPT_TOKENS, _OUTPUT_TOKENS = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
_TTFT, _ITL = "vllm:time_to_first_token_seconds", "vllm:time_per_output_token_seconds"


class TritonVllmQuestions(triton.TritonQuestions):
    """Triton's own, how many tokens a text has, and what the backend counts."""

    def count(self, model: str, content: Content) -> Question[int] | None:
        """Ask for one token behind a text, whose answer tells how many tokens the text has."""
        if not isinstance(content, str):
            return None
        body = {"text_input": content, "stream": False, **_ASKED, "parameters": {"max_tokens": 1}}
        return Question(triton.stream_path(model), _input_tokens_in, body, generates=True)

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for what the backend counts, where REPORT_CUSTOM_METRICS is set in its configuration.

        How many requests run or wait and how full the KV cache is, it does not tell: Triton's own gauge of pending
        requests is 0 whatever happens, since vLLM takes all at once.
        """
        return Question("/metrics", _metrics_in, port_offset=triton.METRICS_PORT_OFFSET)


def _input_tokens_in(status: int, content: bytes) -> int | None:
    if status != 200:
        return None
    try:
        return _read_event(content.strip().removeprefix(b"data:")).num_input_tokens
    except (ValueError, RecursionError):
        return None


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    names = {_PROMPT_TOKENS, _OUTPUT_TOKENS, *(f"{name}_{kind}" for name in (_TTFT, _ITL) for kind in ("sum", "count"))}
    samples = samples_of(content.decode(errors="replace"), names)
    return ServerMetrics(
        prompt_tokens_total=total(samples, [_PROMPT_TOKENS]),
        generation_tokens_total=total(samples, [_OUTPUT_TOKENS]),
        ttft_sum_s=total(samples, [f"{_TTFT}_sum"]),
        ttft_count=total(samples, [f"{_TTFT}_count"]),
        itl_sum_s=total(samples, [f"{_ITL}_sum"]),
        itl_count=total(samples, [f"{_ITL}_count"]),
    )


# ---- how it is started


class TritonVllmLaunch(triton.TritonLaunch):
    """`tritonserver`, in whose log vLLM writes, too."""

    stages = (PROCESS_UP, triton.LOADING, *(stage for stage in Stage if stage not in (PROCESS_UP, READY)), READY)
    may_return_to = frozenset({Stage.MEMORY_PROFILING, Stage.KV_CACHE, Stage.COMPILE})

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of Triton's or of vLLM's log tells, or None."""
        fact = super().read_log_line(line) or log.read_log_line(line)
        if fact is not None and fact.stage == Stage.READY and fact.progress is None:
            return dataclasses.replace(fact, stage=None)  # vLLM's engine is, and Triton not yet
        return fact

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed: what Triton names, what vLLM names, what follows of it."""
        lines = [self.message_of(line) for line in lines if not triton.NO_CAUSE.match(line)]
        if found := first_match(lines, triton.NAMING_CAUSES, lambda line: line):
            return found[0].applied_to(found[2])
        if told := diagnosis.diagnose(lines, started=started, exit_code=None):
            return told
        if found := first_match(lines, (triton.OUT_OF_MEMORY, *triton.CONSEQUENCES), lambda line: line):
            return found[0].applied_to(found[2])
        return diagnosis.diagnose(lines, started=started, exit_code=exit_code)


# ---- the whole


class TritonVllmEngine(Engine):
    """A model of Triton's whose backend is vLLM."""

    name = "triton-vllm"
    title = "Triton with vLLM"
    endpoints = ("completions",)
    mark = triton.MARK
    seen = "2.51.0"
    questions = TritonVllmQuestions("vllm_model")
    launch = TritonVllmLaunch()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for exactly so many tokens; the profile's own parameters are `[load.body.parameters]`."""
        asked = {"max_tokens": wish.output_tokens}
        forced = wish.load_only(min_tokens=wish.output_tokens, ignore_eos=True)
        own = wish.body.get("parameters")
        own = own if isinstance(own, Mapping) else {}
        parameters = openai_requests.changed({"temperature": 0, **asked, **forced}, own)
        changes = {name: value for name, value in wish.body.items() if name != "parameters"}
        fields = openai_requests.changed({"stream": True, **_ASKED, "parameters": parameters}, changes)
        return wish.request(
            triton.stream_path(wish.model),
            fields,
            b'"text_input":',
            dialect=f"{__name__}:DIALECT",
            exact=parameters.get("ignore_eos") is True and openai_requests.is_as_asked(own.get("max_tokens")),
        )


ENGINE = TritonVllmEngine()
