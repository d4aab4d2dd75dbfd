"""A server of OpenAI's API that tells no more of itself than that it is well: a gateway."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.simulator.dialects.vllm_log import VllmLog
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.openai_api import OpenAiDialect


class GatewayDialect(OpenAiDialect):
    """A gateway before a vLLM, whose log it has."""

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return VllmLog(cards)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return Response()

        return [*super().pages(engine, gauges), Route("/health", health)]


DIALECT = GatewayDialect
