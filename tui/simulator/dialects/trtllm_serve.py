"""trtllm-serve, by its sources: it refuses fields that it does not know, and its gauge of running requests is stale."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.simulator.dialect import json_response
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.openai_api import Flavour, OpenAiDialect, prometheus
from tui.simulator.plain_log import PlainLog
from tui.simulator.requests import Refused

VERSION = "1.2.0+simulated"
_FIELDS = frozenset(
    {
        *("model", "prompt", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "n"),
        *("stream", "stream_options", "stop", "seed", "ignore_eos", "min_tokens", "logprobs", "user", "echo"),
    }
)


class TrtllmServeFlavour(Flavour):
    """Its words; an error has no object around it."""

    owner = "tensorrt_llm"
    fields = _FIELDS

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long."""
        return f"The sum of prompt length ({prompt}.0), query length (0) should not exceed max_num_tokens ({limit})"

    def unknown_field(self, name: str) -> Refused:
        """Return the refusal of a field that is not known."""
        where = f"{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}"
        return Refused(400, f"[{where}]")

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        body = {"object": "error", "message": str(refused), "type": refused.kind, "param": None, "code": refused.status}
        return json_response(body, refused.status)

    def overload(self) -> Response:
        """Return the answer to a request for which there is no room."""
        return self.error(Refused(503, "The executor's queue is full.", kind="ServiceUnavailableError"))


class TrtllmServeLog(PlainLog):
    """Its log."""

    name = "trtllm-serve"
    no_kv_cache = "Executor creation failed due to insufficient GPU memory."


class TrtllmServeDialect(OpenAiDialect):
    """`trtllm-serve serve MODEL`, with `return_perf_metrics` and `enable_iter_perf_stats`."""

    flavour = TrtllmServeFlavour()

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TrtllmServeLog(cards)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return Response(status_code=503 if engine.dead else 200)

        async def version(_: Request) -> Response:
            return json_response({"version": VERSION})

        async def metrics(_: Request) -> Response:
            model = engine.model
            return prometheus(
                {
                    "trtllm_num_requests_running": 0,
                    "trtllm_num_requests_waiting": len(model.waiting),
                    "trtllm_kv_cache_utilization": model.kv_usage,
                }
            )

        more = [Route("/health", health), Route("/version", version), Route("/prometheus/metrics", metrics)]
        return [*super().pages(engine, gauges), *more]


DIALECT = TrtllmServeDialect
