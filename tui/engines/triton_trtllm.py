"""TensorRT-LLM behind Triton Inference Server, by the tensors of its `ensemble` (or of `tensorrt_llm_bls`).

Known by Triton 2.51 for the wire, and by the sources of the backend. No event tells how many tokens it bears: each with
a text is taken to be one (`accumulate_tokens` off). A stream ends with its body, and without a word. The LLM-API
repository has other names for its tensors, which `[load.body]` can give.
https://github.com/triton-inference-server/tensorrtllm_backend
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from tui.engines import triton
from tui.engines.base import FailureClass, LogFact, RequestShape, ServerMetrics, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.diagnosis_rules import rule
from tui.engines.parts.dialect import NOTHING, TOKEN, Count, Dialect, Ending, StreamEvent, read_error, reader_of
from tui.engines.parts.prometheus import Samples, samples_of
from tui.engines.parts.questions import Question

# ---- the dialect

_ABSENT = msgspec.Raw()


class _Event(msgspec.Struct, gc=False):
    text_output: str = ""
    error: msgspec.Raw = _ABSENT


_read_event = reader_of(_Event)


def decode(payload: bytes) -> StreamEvent:
    """Read one event of `generate_stream`. Raises ValueError for what is none.

    A last event with an empty text only marks the end.
    """
    event = _read_event(payload)
    if event.error is not _ABSENT:
        text, code = read_error(payload)
        return StreamEvent(error=text, error_code=code)
    return TOKEN if event.text_output else NOTHING


def text_of(payload: bytes) -> str:
    """Return the text of one event. Raises ValueError."""
    return _read_event(payload).text_output


DIALECT = Dialect(
    decode,
    text_of=text_of,
    ending=Ending.END_OF_BODY,
    end="the end of its body",
    count=Count.EVENTS,
    text_keys=(b'"text_output":"',),
    outcome_of=triton.outcome_of,
)

# ---- what it can be asked

_REQUESTS, _BLOCKS = "nv_trt_llm_request_metrics", "nv_trt_llm_kv_cache_block_metrics"


class TrtllmQuestions(triton.TritonQuestions):
    """Triton's own, and the figures of the in-flight batcher."""

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures; the LLM-API repository may tell none."""
        return Question("/metrics", _metrics_in, port_offset=triton.METRICS_PORT_OFFSET)


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    samples = samples_of(content.decode(errors="replace"), {_REQUESTS, _BLOCKS})
    requests, blocks = samples.get(_REQUESTS, []), samples.get(_BLOCKS, [])
    share = _of_type(blocks, "kv_cache_block_type", "fraction")
    most, tokens_per = (_of_type(blocks, "kv_cache_block_type", kind) for kind in ("max", "tokens_per"))
    return ServerMetrics(
        running=_of_type(requests, "request_type", "scheduled"),
        waiting=_of_type(requests, "request_type", "waiting"),
        kv_cache_usage=None if share is None else min(max(share, 0.0), 1.0),
        kv_cache_tokens=int(most * tokens_per) or None if most is not None and tokens_per is not None else None,
    )


def _of_type(samples: Samples, label: str, kind: str) -> float | None:
    found: Sequence[float] = [value for labels, value in samples if labels.get(label) == kind]
    return sum(found) if found else None


# ---- how it is started

_PAGED = re.compile(
    r"Max tokens in paged KV cache: (\d{1,9})|for max tokens in paged KV cache \((\d{1,9})\)"
    r"|Using (\d{1,9}) tokens in paged KV cache"
)
"""Releases of two years have three ways to say it."""


class TrtllmLaunch(triton.TritonLaunch):
    """`tritonserver`, for one GPU: several are started by MPI, and attached to."""

    rules = (
        *triton.NAMING_CAUSES,
        rule(
            r"maxTokensInPagedKvCache (?:\((?P<tokens>\d{1,9})\) )?must be large enough",
            FailureClass.OOM_KV,
            "The KV cache cannot hold one sequence of full length",
            "Raise kv_cache_free_gpu_mem_fraction or max_tokens_in_paged_kv_cache in the model's config.pbtxt, or build"
            " the engine with a smaller max_seq_len.",
        ),
        rule(
            r"\[TensorRT-LLM\]\[ERROR\].*out of memory|insufficient GPU memory",
            FailureClass.OOM_WEIGHTS,
            "The GPU's memory does not hold the engine with its KV cache",
            "Lower kv_cache_free_gpu_mem_fraction or max_tokens_in_paged_kv_cache in the model's config.pbtxt.",
        ),
        triton.OUT_OF_MEMORY,
        *triton.CONSEQUENCES,
    )

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if found := _PAGED.search(line):
            return LogFact(stage=triton.LOADING, kv_cache_tokens=int(found[found.lastindex or 0]))
        return super().read_log_line(line)


# ---- the whole


class TritonTrtllmEngine(Engine):
    """The ensemble of TensorRT-LLM."""

    name = "triton-trtllm"
    title = "Triton with TensorRT-LLM"
    endpoints = ("completions",)
    mark = triton.MARK
    seen = "2.51.0"
    questions = TrtllmQuestions("ensemble", "tensorrt_llm_bls")
    launch = TrtllmLaunch()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for so many tokens: `min_length` keeps it from ending earlier."""
        body = {
            "max_tokens": wish.output_tokens,
            **wish.load_only(min_length=wish.output_tokens),
            "bad_words": "",
            "stop_words": "",
            "stream": True,
        }
        fields = openai_requests.changed(body, wish.body)
        kept: Mapping[str, object] = {name: wish.body.get(name) for name in ("max_tokens", "min_length")}
        return wish.request(
            triton.stream_path(wish.model),
            fields,
            b'"text_input":',
            dialect=f"{__name__}:DIALECT",
            exact=all(openai_requests.is_as_asked(change) for change in kept.values()),
        )


ENGINE = TritonTrtllmEngine()
