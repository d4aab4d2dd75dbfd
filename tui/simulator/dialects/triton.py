"""What both of Triton's backends share, by Triton 2.51: its health, which outlives every engine, its words, its log."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator.dialect import OUT_OF_MEMORY, Aftermath, ServedDialect, Way, json_response, sse_response
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.requests import Refused

VERSION = "2.51.0+simulated"
METRICS_PORT = 2
"""Above that of the requests."""


class TritonWay(Way):
    """A model of the repository: what fails before the first token has a status, later it is within the 200."""

    head_waits = True
    model_name = ""

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        if refused.status == 503:
            return json_response({"error": "[request id: <id_unknown>] Exceeds maximum queue size"}, 503)
        if refused.kind == "Bad Request":
            return json_response({"error": f"Unable to parse 'data': {refused}"}, 500)
        return sse_response(self.error(str(refused)), 400)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose engine has died."""
        return sse_response(self.error(self.death(cause)), 400)

    def death(self, cause: FailOnPurpose) -> str:
        """Return the words for an engine that died."""
        return OUT_OF_MEMORY if cause is FailOnPurpose.OOM_RUNTIME else "Stub process 'model_0_0' is not healthy."

    def error(self, text: str) -> bytes:
        """Return an error as it stands in a stream."""
        return msgspec.json.encode({"error": text})


class TritonLines:
    """Triton's own lines, for the logs of both backends."""

    def line(self, place: str, text: str, level: str = "I") -> str:
        """Return a line."""
        now = time.strftime("%m%d %H:%M:%S")
        return f'{level}{now}.000000 {os.getpid()} {place}] "{text}"'


class TritonDialect(ServedDialect):
    """`tritonserver`: three ports, of which the middle one is gRPC's and not there."""

    port_offsets = (0, METRICS_PORT)
    aftermath = Aftermath.STAYS
    models: tuple[str, ...] = ()

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers; its health is well as long as it runs."""

        async def well(_: Request) -> Response:
            return Response()

        async def index(_: Request) -> Response:
            return json_response([{"name": name, "version": "1", "state": "READY"} for name in self.models])

        async def metadata(_: Request) -> Response:
            extensions = ["model_repository", "statistics", "generate"]
            return json_response({"name": "triton", "version": VERSION, "extensions": extensions})

        async def metrics(_: Request) -> Response:
            text = self.metrics_text(engine, gauges)
            return Response(text, media_type="text/plain; charset=utf-8")

        return [
            Route("/v2", metadata),
            Route("/v2/health/live", well),
            Route("/v2/health/ready", well),
            *(Route(f"/v2/models/{name}/ready", well) for name in self.models),
            Route("/v2/repository/index", index, methods=["POST"]),
            Route("/metrics", metrics),
        ]

    def metrics_text(self, engine: LiveEngine, gauges: Gauges) -> str:
        """Return its Prometheus text. The gauge of what is pending is 0 whatever happens, as the real one is."""
        labels = f'{{model="{self.models[0]}",version="1"}}'
        return f"nv_inference_pending_request_count{labels} 0\nnv_inference_request_failure{labels} 0\n"

    def not_found(self, detail: str) -> Response:
        """Return the answer to a model that it does not have."""
        return json_response({"error": "Request for unknown model: it is not found"}, 404)
