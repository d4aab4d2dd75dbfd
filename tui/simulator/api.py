"""The routes of the simulated server: vLLM's, and one of its own for the virtual GPUs."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import SimulatorTable
from tui.simulator import requests, responses, vocabulary
from tui.simulator.gauges import Gauges
from tui.simulator.generation import Generation, json_response
from tui.simulator.gpus import VirtualGpus
from tui.simulator.live import LiveEngine
from tui.simulator.requests import Refused


class Api:
    """The HTTP side of one simulated server."""

    def __init__(
        self, model: str, table: SimulatorTable, engine: LiveEngine, gauges: Gauges, gpus: VirtualGpus
    ) -> None:
        self._model = model
        self._table = table
        self._engine = engine
        self._gauges = gauges
        self._gpus = gpus
        self._created = int(time.time())

    def application(self) -> Starlette:
        """Return the ASGI application."""
        length, packed = self._table.max_model_len, self._table.tokens_per_event
        completions = Generation(self._engine, self._model, length, packed, chat=False)
        chat = Generation(self._engine, self._model, length, packed, chat=True)
        routes = [
            Route("/version", self._version),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/load", self._load),
            Route("/ping", self._health, methods=["GET", "POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/detokenize", self._detokenize, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/simulated/gpus", self._virtual_gpus),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _detail, Refused: _refused})

    async def _version(self, _: Request) -> Response:
        return json_response({"version": responses.VERSION})

    async def _health(self, _: Request) -> Response:
        return Response(status_code=503 if self._engine.dead else 200)

    async def _load(self, _: Request) -> Response:
        return json_response({"server_load": 0})

    async def _models(self, _: Request) -> Response:
        return json_response(responses.model_list(self._model, self._table.max_model_len, self._created))

    async def _metrics(self, _: Request) -> Response:
        text = self._gauges.text(self._engine.model)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def _tokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), requests.TokenizeBody)
        if body.messages is not None:
            tokens = vocabulary.encode_messages(requests.messages_text(body.messages))
        elif body.prompt is not None:
            tokens = vocabulary.encode(body.prompt)
            if body.add_special_tokens:
                tokens.insert(0, vocabulary.START)
        else:
            raise Refused(400, "You must pass a prompt or messages", param="prompt")
        length = self._table.max_model_len
        return json_response({"count": len(tokens), "max_model_len": length, "tokens": tokens, "token_strs": None})

    async def _detokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), requests.DetokenizeBody)
        return json_response({"prompt": vocabulary.decode(body.tokens)})

    async def _virtual_gpus(self, _: Request) -> Response:
        model = self._engine.model
        alive, inside = model.tokens_alive, len(model.running) + len(model.waiting)
        now_s, busy_s = self._engine.now_s(), self._engine.busy_s
        readings = self._gpus.read(now_s, busy_s=busy_s, tokens_alive=alive, requests=inside)
        return json_response(readings)


async def _detail(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response({"detail": error.detail}, error.status_code)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return json_response(error.body, error.status)
