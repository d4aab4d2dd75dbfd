"""llama.cpp's llama-server b11434, as recorded (tests/corpus/engines/llama-cpp.toml).

It is one process, so its death is a connection that is reset. It never refuses for lack of room.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import Aftermath, ServedDialect, Way, Writer, json_response, sse
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import MARK, ServerLog
from tui.simulator.openai_api import Flavour, OpenAiWay, prometheus
from tui.simulator.requests import GenerationRequest, Refused

VERSION = "b11434+simulated"


class _Body(msgspec.Struct):
    prompt: str | list[int]
    n_predict: int = -1
    ignore_eos: bool = False
    stream: bool = False


class _TokenizeBody(msgspec.Struct):
    content: str = ""
    add_special: bool = False


def error_response(refused: Refused, **more: Any) -> Response:
    """Return an error in its shape."""
    kinds = {400: "invalid_request_error", 404: "not_found_error", 503: "unavailable_error", 500: "server_error"}
    kind = more.pop("kind", kinds.get(refused.status, "server_error"))
    return json_response(
        {"error": {"code": refused.status, "message": str(refused), "type": kind} | more}, refused.status
    )


class TooLong(Refused):
    """A prompt that no slot can hold."""

    def __init__(self, prompt: int, limit: int) -> None:
        super().__init__(
            400, f"request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it"
        )
        self.sizes = {"n_prompt_tokens": prompt, "n_ctx": limit}


class _CompletionWriter(Writer):
    """A count on each event, and the last one with both."""

    def __init__(self, request: GenerationRequest, model: str) -> None:
        self._request = request
        self._model = model

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`."""
        return sse(
            b'{"index":0,"content":%s,"tokens":%s,"stop":false,"id_slot":-1,"tokens_predicted":%d,"tokens_evaluated":%d}'
            % (vocabulary.text_json(tokens), msgspec.json.encode(tokens), generated, len(self._request.prompt))
        )

    def end(self, generated: int) -> Sequence[bytes]:
        """Return the last event: it says whether the context ended the answer."""
        return (sse(msgspec.json.encode(final(self._request, generated, self._model, ""))),)


def final(request: GenerationRequest, generated: int, model: str, content: str) -> dict[str, Any]:
    """Return what its last event, and an answer that is not streamed, have."""
    asked = request.asked if request.asked is not None else request.output_limit
    short = request.asked is not None and generated < request.asked and request.finish_reason == "length"
    return {
        "index": 0,
        "content": content,
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": model,
        "tokens_predicted": generated,
        "tokens_evaluated": len(request.prompt),
        "generation_settings": {"n_predict": asked, "temperature": 0.0, "stream": True},
        "truncated": short,
        "stop_type": "limit" if request.finish_reason == "length" else "eos",
        "stopping_word": "",
        "tokens_cached": len(request.prompt) + generated - 1,
    }


class _CompletionWay(Way):
    path = "/completion"
    media_type = b"text/event-stream"
    head_waits = True

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        asked = requests.parse(body, _Body)
        text, limit = asked.prompt, self.served.table.max_model_len
        tokens = [vocabulary.START, *vocabulary.encode(text)] if isinstance(text, str) else text
        if not tokens or not all(0 <= token < vocabulary.SIZE for token in tokens):
            raise Refused(400, "Prompt contains invalid tokens")
        if len(tokens) >= limit:
            raise TooLong(len(tokens), limit)
        wanted = asked.n_predict if asked.n_predict > 0 else limit
        most = min(wanted, limit - len(tokens))
        length, reason = requests.answer_length(tokens, most, forced=asked.ignore_eos)
        return GenerationRequest(tokens, length, reason, stream=asked.stream, asked=wanted)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return _CompletionWriter(request, self.served.model)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        return json_response(final(request, len(tokens), self.served.model, vocabulary.decode(tokens)))

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        if isinstance(refused, TooLong):
            return error_response(refused, kind="exceed_context_size_error", **refused.sizes)
        return error_response(refused)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return what it says in the moment of its death."""
        return error_response(Refused(500, "Compute error."))


class _ChatFlavour(Flavour):
    owner = "llamacpp"

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long."""
        return str(TooLong(prompt, limit))

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        return error_response(refused)

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return nothing: the process is gone."""
        return ()


def slots_of(tokens: int, max_model_len: int) -> int:
    """Return how many slots share a KV cache of so many tokens."""
    return max(1, tokens // max_model_len)


class LlamaCppLog(ServerLog):
    """`SECONDS.MILLIS.MICROS LEVEL WHO FUNCTION: ...`."""

    def __init__(self, cards: int) -> None:
        super().__init__(cards)
        self._began = time.monotonic()

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        self._say("I", f"srv  llama_server: initializing ... {MARK}")

    def loading(self, model: str) -> None:
        """Say that the weights are being read."""
        self._say("I", f"srv    load_model: loading model '{model}'")

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how many slots share the KV cache."""
        slots = slots_of(tokens, max_model_len)
        text = f"srv    load_model: initializing, n_slots = {slots}, n_ctx_slot = {max_model_len}, kv_unified = 'false'"
        self._say("I", text)

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self._say("I", "srv  llama_server: model loaded")
        self._say("I", f"srv  llama_server: listening on {address} (SIMULATED)")

    def port_taken(self, host: str, port: int, why: str) -> None:
        """Say that the port cannot be had."""
        self._say("E", f"srv         start: couldn't bind HTTP server socket, hostname: {host}, port: {port}")

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        self._no_memory()
        self._say("E", "srv  llama_server: exiting due to model loading error")

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache does not fit."""
        text = "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"
        self._say("E", text)
        self._say("E", "srv  llama_server: exiting due to model loading error")

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that memory gave out under load."""
        self._no_memory()
        self.raw("CUDA error: out of memory (SIMULATED)")

    def worker_killed(self) -> None:
        """Say nothing: there is but one process, and it is the one that was killed."""

    def _no_memory(self) -> None:
        text = (
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 112.00 MiB on device 0: cudaMalloc failed: out of"
        )
        self._say("E", f"{text} memory")

    def _say(self, level: str, text: str) -> None:
        passed = int(1e6 * (time.monotonic() - self._began))
        seconds, rest = divmod(passed, 1_000_000)
        self.raw(f"{seconds // 60}.{seconds % 60:02d}.{rest // 1000:03d}.{rest % 1000:03d} {level} {text}")


class LlamaCppDialect(ServedDialect):
    """`llama-server --metrics`."""

    aftermath = Aftermath.VANISHES
    refuses = False

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return LlamaCppLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return its own way, and chat."""
        return _CompletionWay(self.served), OpenAiWay(self.served, _ChatFlavour(), chat=True)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return json_response({"status": "ok"})

        async def metrics(_: Request) -> Response:
            model = engine.model
            return prometheus(
                {
                    "llamacpp:requests_processing": len(model.running),
                    "llamacpp:requests_deferred": len(model.waiting),
                    "llamacpp:prompt_tokens_total": engine.prompt_tokens,
                    "llamacpp:tokens_predicted_total": engine.generated_tokens,
                }
            )

        async def slots(_: Request) -> Response:
            context, running = self.served.table.max_model_len, engine.model.running
            many = max(slots_of(self.served.table.kv_cache_tokens, context), len(running))
            rows: list[dict[str, Any]] = [{"id": at, "n_ctx": context, "is_processing": False} for at in range(many)]
            for row, one in zip(rows, running, strict=False):
                held = {"n_prompt_tokens": one.length, "n_prompt_tokens_cache": 0}
                row |= {"is_processing": True, **held, "next_token": [{"n_decoded": one.generated}]}
            return json_response(rows)

        return [
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/slots", slots),
            Route("/props", self._props),
            Route("/v1/models", self._models),
            Route("/tokenize", self._tokenize, methods=["POST"]),
        ]

    async def _props(self, _: Request) -> Response:
        settings = {"n_ctx": self.served.table.max_model_len}
        return json_response({"default_generation_settings": settings, "build_info": VERSION})

    async def _models(self, _: Request) -> Response:
        row = {"id": self.served.model, "object": "model", "created": self.served.created, "owned_by": "llamacpp"}
        return json_response({"object": "list", "data": [row]})

    async def _tokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), _TokenizeBody)
        start = [vocabulary.START] if body.add_special else []
        return json_response({"tokens": [*start, *vocabulary.encode(body.content)]})

    def not_found(self, detail: str) -> Response:
        """Return the answer to a path that it does not have."""
        return error_response(Refused(404, "File Not Found"))


DIALECT = LlamaCppDialect
