"""LMDeploy's `api_server`, to attach to. Known by its sources only: its answers are OpenAI's.

https://lmdeploy.readthedocs.io
"""

from __future__ import annotations

from tui.engines.base import RequestShape, ServerMetrics, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import OpenAiQuestions, Question, healthy, owned_by

_RUNNING, _WAITING = "lmdeploy:num_requests_running", "lmdeploy:num_requests_waiting"
_KV_CACHE = "lmdeploy:gpu_cache_usage_perc"


class LmDeployQuestions(OpenAiQuestions):
    """Its models, and with `--enable-metrics` its Prometheus text."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health."""
        return Question("/health", healthy)

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures."""
        return Question("/metrics", _metrics_in)


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    samples = samples_of(content.decode(errors="replace"), {_RUNNING, _WAITING, _KV_CACHE})
    used = [value for _labels, value in samples.get(_KV_CACHE, ())]
    return ServerMetrics(
        running=total(samples, [_RUNNING]),
        waiting=total(samples, [_WAITING]),
        kv_cache_usage=min(max(used), 1.0) if used else None,
    )


class LmDeployEngine(Engine):
    """LMDeploy."""

    name = "lmdeploy"
    title = "LMDeploy"
    mark = owned_by("lmdeploy")
    questions = LmDeployQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for exactly so many tokens, with a text as prompt."""
        extra: dict[str, object] = {"ignore_eos": True}
        return openai_requests.request_shape(wish, token_ids=False, extra=extra, stream_options={"include_usage": True})


ENGINE = LmDeployEngine()
