"""LMDeploy's `api_server`, by its sources."""

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


class LmDeployFlavour(Flavour):
    """Its words; an error has no object around it."""

    owner = "lmdeploy"

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long."""
        return f"The prompt is too long: context length {limit} exceeded"

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        body = {"message": str(refused), "type": "invalid_request_error", "code": refused.status, "object": "error"}
        return json_response(body, refused.status)


class LmDeployLog(PlainLog):
    """Its log."""

    name = "LMDeploy"
    no_kv_cache = "RuntimeError: No enough gpu memory for kv cache."


class LmDeployDialect(OpenAiDialect):
    """`lmdeploy serve api_server --enable-metrics`."""

    flavour = LmDeployFlavour()

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return LmDeployLog(cards)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return Response(status_code=503 if engine.dead else 200)

        async def metrics(_: Request) -> Response:
            model = engine.model
            return prometheus(
                {
                    "lmdeploy:num_requests_running": len(model.running),
                    "lmdeploy:num_requests_waiting": len(model.waiting),
                    "lmdeploy:gpu_cache_usage_perc": model.kv_usage,
                }
            )

        return [*super().pages(engine, gauges), Route("/health", health), Route("/metrics", metrics)]


DIALECT = LmDeployDialect
