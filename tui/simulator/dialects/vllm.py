"""vLLM 0.32.0: byte by byte, as recorded (tests/corpus/streams)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import ServedDialect, Way, Writer, json_response
from tui.simulator.dialects import vllm_stream
from tui.simulator.dialects.vllm_log import VllmLog
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.requests import GenerationRequest, Refused


class VllmWay(Way):
    """Completions."""

    path = "/v1/completions"
    prefix = "cmpl-"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what a completion asks for. Raises Refused."""
        asked = requests.parse(body, requests.CompletionBody)
        length = self.served.table.max_model_len
        return requests.accept_completion(asked, model=self.served.model, max_model_len=length)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return vllm_stream.StreamWriter(request, self._id(), int(time.time()), self.served.model)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        made = int(time.time())
        return json_response(vllm_stream.full_response(request, tokens, self._id(), made, self.served.model))

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        return json_response(refused.body, refused.status)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose engine has died."""
        return json_response(vllm_stream.ENGINE_DEAD, 500)

    def _id(self) -> str:
        return self.prefix + uuid.uuid4().hex[:16]


class VllmChatWay(VllmWay):
    """Chat completions."""

    path = "/v1/chat/completions"
    prefix = "chatcmpl-"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what a chat completion asks for. Raises Refused."""
        asked = requests.parse(body, requests.ChatBody)
        length = self.served.table.max_model_len
        return requests.accept_chat(asked, model=self.served.model, max_model_len=length)


class VllmDialect(ServedDialect):
    """vLLM's OpenAI-compatible server."""

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return VllmLog(cards, self.served.table.nodes)

    def ways(self) -> Sequence[Way]:
        """Return completions and chat."""
        return VllmWay(self.served), VllmChatWay(self.served)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return Response(status_code=503 if engine.dead else 200)

        async def metrics(_: Request) -> Response:
            return Response(gauges.text(engine.model), headers={"content-type": CONTENT_TYPE_LATEST})

        return [
            Route("/version", self._version),
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/load", self._load),
            Route("/ping", health, methods=["GET", "POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/detokenize", self._detokenize, methods=["POST"]),
            Route("/v1/models", self.models),
        ]

    async def models(self, _: Request) -> Response:
        """Answer GET /v1/models."""
        served = self.served
        return json_response(vllm_stream.model_list(served.model, served.table.max_model_len, served.created))

    async def _version(self, _: Request) -> Response:
        return json_response({"version": vllm_stream.VERSION})

    async def _load(self, _: Request) -> Response:
        return json_response({"server_load": 0})

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
        length = self.served.table.max_model_len
        return json_response({"count": len(tokens), "max_model_len": length, "tokens": tokens, "token_strs": None})

    async def _detokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), requests.DetokenizeBody)
        return json_response({"prompt": vocabulary.decode(body.tokens)})


DIALECT = VllmDialect
