"""Ray Serve 2.60 with vLLM: vLLM's answers, and the proxy's own words (tests/corpus/engines/ray-serve.toml).

Its proxy is well whatever becomes of the engine; the replica is built again. A real one takes 83 s for that.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tui.simulator.dialect import Aftermath, Way, json_response
from tui.simulator.dialects.vllm import VllmChatWay, VllmDialect, VllmWay
from tui.simulator.dialects.vllm_log import VllmLog
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.requests import Refused


class _RayWay(VllmWay):
    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        if refused.status == 503:
            most = self.served.table.max_num_queued_reqs or 0
            text = f"Request dropped due to backpressure (num_queued_requests={most}, max_queued_requests={most})."
            return PlainTextResponse(text, 503)
        if refused.status == 404:
            return json_response({"detail": f"Got request for model that is not served: {refused}"}, 404)
        return super().refusal(refused)


class _RayChatWay(_RayWay, VllmChatWay):
    pass


class RayLog(VllmLog):
    """vLLM's log, and lines of the controller."""

    def came_back(self) -> None:
        """Say that another replica is up."""
        self.raw("INFO (ServeController) Replica(deployment='LLMServer:simulated', app='llm') is running. [SIMULATED]")


class RayDialect(VllmDialect):
    """An OpenAI app of Ray Serve."""

    aftermath = Aftermath.COMES_BACK
    comes_back_after_s = 20.0

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return RayLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return completions and chat."""
        return _RayWay(self.served), _RayChatWay(self.served)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def healthz(_: Request) -> Response:
            return PlainTextResponse("success")

        async def served_routes(_: Request) -> Response:
            return json_response({"/": "llm"})

        async def models(request: Request) -> Response:
            return PlainTextResponse("Internal Server Error", 500) if engine.dead else await self.models(request)

        return [Route("/-/healthz", healthz), Route("/-/routes", served_routes), Route("/v1/models", models)]


DIALECT = RayDialect
