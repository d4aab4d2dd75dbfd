"""TensorRT-LLM's own server, `trtllm-serve`, to attach to. Known by its sources only: its answers are OpenAI's.

It refuses fields that it does not know; such a one is left out before the sweep. `/metrics` is never asked: it is JSON,
and whoever reads it takes it from everybody else.
https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/
"""

from __future__ import annotations

from tui.engines.base import RequestShape, ServerMetrics, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import OpenAiQuestions, Question, healthy, object_in

_WAITING, _KV_CACHE = "trtllm_num_requests_waiting", "trtllm_kv_cache_utilization"


class TrtllmServeQuestions(OpenAiQuestions):
    """Its health, models and version; its figures where `return_perf_metrics` and `enable_iter_perf_stats` are on."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health."""
        return Question("/health", healthy)

    def version(self) -> Question[str] | None:
        """Ask for its version."""
        return Question("/version", _version_in)

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures, without its gauge of running requests, which only moves as requests end."""
        return Question("/prometheus/metrics", _metrics_in)


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    samples = samples_of(content.decode(errors="replace"), {_WAITING, _KV_CACHE})
    used = [value for _labels, value in samples.get(_KV_CACHE, ())]
    return ServerMetrics(waiting=total(samples, [_WAITING]), kv_cache_usage=min(max(used), 1.0) if used else None)


class TrtllmServeEngine(Engine):
    """`trtllm-serve serve MODEL`."""

    name = "trtllm-serve"
    title = "trtllm-serve"
    questions = TrtllmServeQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for exactly so many tokens, with ids where possible."""
        return openai_requests.request_shape(
            wish, token_ids=True, extra={"ignore_eos": True}, stream_options={"include_usage": True}
        )


ENGINE = TrtllmServeEngine()
