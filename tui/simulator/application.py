"""The routes of a simulated server: those of its dialect, and one of its own for the virtual GPUs."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.simulator.dialect import ServedDialect, json_response
from tui.simulator.gauges import Gauges
from tui.simulator.generation import Generation
from tui.simulator.gpus import VirtualGpus
from tui.simulator.live import LiveEngine
from tui.simulator.requests import Refused


def application_of(dialect: ServedDialect, engine: LiveEngine, gauges: Gauges, gpus: VirtualGpus) -> Starlette:
    """Return the ASGI application."""

    async def virtual_gpus(_: Request) -> Response:
        model = engine.model
        alive, inside = model.tokens_alive, len(model.running) + len(model.waiting)
        readings = gpus.read(engine.now_s(), busy_s=engine.busy_s, tokens_alive=alive, requests=inside)
        return json_response(readings)

    async def failed(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return dialect.not_found(str(error.detail))
        return json_response({"detail": error.detail}, error.status_code)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return json_response(error.body, error.status)

    packed = dialect.served.table.tokens_per_event
    ways = [Route(way.path, Generation(engine, way, packed), methods=["POST"]) for way in dialect.ways()]
    pages = dialect.pages(engine, gauges)
    routes = [*pages, *ways, Route("/simulated/gpus", virtual_gpus)]
    return Starlette(routes=routes, exception_handlers={HTTPException: failed, Refused: refused})
