"""Ollama, by its documentation: one JSON object a line, the last with the counts.

Its runner's death is told in the words of an error, and its next runner is up a moment later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import Aftermath, Served, ServedDialect, Way, Writer, json_response
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog, utc
from tui.simulator.plain_log import PlainLog
from tui.simulator.requests import GenerationRequest, Refused

VERSION = "0.13.0+simulated"
_OUT_OF_MEMORY = "cudaMalloc failed: out of memory (SIMULATED)"


class _Options(msgspec.Struct):
    num_predict: int = -1


class _Body(msgspec.Struct):
    model: str
    prompt: str = ""
    messages: list[dict[str, Any]] | None = None
    stream: bool = True
    truncate: bool = True
    options: _Options = msgspec.field(default_factory=_Options)


class _LinesWriter(Writer):
    def __init__(self, request: GenerationRequest, model: str) -> None:
        self._request = request
        self._model = model
        head = msgspec.json.encode({"model": model, "created_at": utc()})[:-1]
        said = b',"message":{"role":"assistant","content":%s},"done":false}\n'
        self._head, self._said = head, said if request.chat else b',"response":%s,"done":false}\n'

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the line of `tokens`."""
        return self._head + self._said % vocabulary.text_json(tokens)

    def end(self, generated: int) -> Sequence[bytes]:
        """Return the last line."""
        return (msgspec.json.encode(final(self._request, generated, self._model, "")) + b"\n",)

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return the error in a line of its own."""
        return (msgspec.json.encode({"error": _death(cause)}) + b"\n",)


def final(request: GenerationRequest, generated: int, model: str, text: str) -> dict[str, Any]:
    """Return what the last line, and an answer that is not streamed, have."""
    said = {"message": {"role": "assistant", "content": text}} if request.chat else {"response": text}
    return {
        "model": model,
        "created_at": utc(),
        **said,
        "done": True,
        "done_reason": request.finish_reason,
        "prompt_eval_count": len(request.prompt),
        "eval_count": generated,
    }


def _death(cause: FailOnPurpose) -> str:
    if cause is FailOnPurpose.OOM_RUNTIME:
        return f"llama runner process has terminated: {_OUT_OF_MEMORY}"
    return "an error was encountered while running the model: llama runner process no longer running: -9"


class _NativeWay(Way):
    media_type = b"application/x-ndjson"
    head_waits = True

    def __init__(self, served: Served, *, chat: bool) -> None:
        super().__init__(served)
        self.path = "/api/chat" if chat else "/api/generate"
        self._chat = chat

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        asked = requests.parse(body, _Body)
        if asked.model != self.served.model:
            raise Refused(404, f"model '{asked.model}' not found")
        if self._chat:
            tokens = vocabulary.encode_messages(requests.messages_text(asked.messages or []))
        else:
            tokens = [vocabulary.START, *vocabulary.encode(asked.prompt)]
        limit = self.served.table.max_model_len
        if len(tokens) >= limit:
            if not asked.truncate:
                raise Refused(400, "the input length exceeds the context length")
            tokens = tokens[-limit // 2 :]
        wanted = asked.options.num_predict if asked.options.num_predict > 0 else limit
        length, reason = requests.answer_length(tokens, min(wanted, limit - len(tokens)))
        return GenerationRequest(tokens, length, reason, chat=self._chat, stream=asked.stream)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return _LinesWriter(request, self.served.model)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        return json_response(final(request, len(tokens), self.served.model, vocabulary.decode(tokens)))

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        busy = "server busy, please try again.  maximum pending requests exceeded"
        return json_response({"error": busy if refused.status == 503 else str(refused)}, refused.status)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose runner has died."""
        return json_response({"error": _death(cause)}, 500)


class OllamaLog(PlainLog):
    """Its log, and what its runner says there."""

    name = "Ollama"
    no_kv_cache = "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        self.say(f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 112.00 MiB on device 0: {_OUT_OF_MEMORY}")

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that memory gave out under load."""
        self.out_of_memory_at_start(total_bytes)


class OllamaDialect(ServedDialect):
    """`ollama serve`."""

    aftermath = Aftermath.COMES_BACK
    comes_back_after_s = 2.0

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return OllamaLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return its two ways to ask."""
        return _NativeWay(self.served, chat=False), _NativeWay(self.served, chat=True)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""
        model, length = self.served.model, self.served.table.max_model_len

        async def front(_: Request) -> Response:
            return PlainTextResponse("Ollama is running")

        async def version(_: Request) -> Response:
            return json_response({"version": VERSION})

        async def tags(_: Request) -> Response:
            return json_response({"models": [{"name": model, "model": model}]})

        async def running(_: Request) -> Response:
            row = {"name": model, "model": model, "context_length": length}
            return json_response({"models": [] if engine.dead else [row]})

        return [
            Route("/", front),
            Route("/api/version", version),
            Route("/api/tags", tags),
            Route("/api/ps", running),
        ]

    def not_found(self, detail: str) -> Response:
        """Return the answer to a path that it does not have."""
        return PlainTextResponse("404 page not found", 404)


DIALECT = OllamaDialect
