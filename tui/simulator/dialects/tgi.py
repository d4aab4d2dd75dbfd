"""Text Generation Inference 3.3.7, by its sources: every error of a stream comes within a 200."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import (
    OUT_OF_MEMORY,
    Served,
    ServedDialect,
    Way,
    Writer,
    json_response,
    out_of_memory,
    sse,
    sse_response,
)
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import MARK, ServerLog, utc
from tui.simulator.openai_api import DONE, Flavour, OpenAiWay, prometheus
from tui.simulator.requests import GenerationRequest, Refused

VERSION = "3.3.7+simulated"
_REASONS = {"length": "length", "stop": "eos_token"}
_STATUS = {"overloaded": 429, "validation": 422, "generation": 424, "incomplete_generation": 500}


class _Parameters(msgspec.Struct):
    max_new_tokens: int | None = None
    truncate: int | None = None
    details: bool = True


class _Body(msgspec.Struct):
    inputs: str
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    stream: bool = False


def death_of(cause: FailOnPurpose) -> tuple[str, str]:
    """Return the words for an engine that died, and their type."""
    if cause is FailOnPurpose.OOM_RUNTIME:
        return f"Request failed during generation: Server error: {OUT_OF_MEMORY}", "generation"
    return "Incomplete generation stream", "incomplete_generation_stream"


def error_json(text: str, kind: str) -> bytes:
    """Return an error as it stands in a stream."""
    return msgspec.json.encode({"error": text, "error_type": kind})


def accept(body: bytes, served: Served) -> GenerationRequest:
    """Return what a request of the native shape asks for. Raises Refused."""
    asked = requests.parse(body, _Body)
    limit, wanted = served.table.max_model_len, asked.parameters
    tokens = [vocabulary.START, *vocabulary.encode(asked.inputs)]
    if (most := wanted.truncate) is not None:
        if not 0 < most < limit:
            text = f"`truncate` must be strictly positive and less than {limit}. Given: {most}"
            raise Refused(422, f"Input validation error: {text}")
        tokens = tokens[-most:]
    if len(tokens) >= limit:
        raise Refused(422, f"Input validation error: `inputs` must have less than {limit} tokens. Given: {len(tokens)}")
    new = limit - len(tokens) if wanted.max_new_tokens is None else wanted.max_new_tokens
    if new < 1:
        raise Refused(422, "Input validation error: `max_new_tokens` must be strictly positive")
    if len(tokens) + new > limit:
        raise Refused(
            422,
            f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {len(tokens)} "
            f"`inputs` tokens and {new} `max_new_tokens`",
        )
    length, reason = requests.answer_length(tokens, new)
    return GenerationRequest(tokens, length, reason, stream=True)


class TgiWriter(Writer):
    """One event per token, the last one with the counts."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._texts: list[str] = []

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of each of `tokens`: it never has two in one, unless they came packed."""
        text = vocabulary.decode(tokens)
        self._texts.append(text)
        token = {"id": tokens[-1], "text": text, "logprob": -1.5, "special": False}
        details: dict[str, Any] | None = None
        if last:
            details = {
                "finish_reason": _REASONS[self._request.finish_reason],
                "generated_tokens": generated,
                "seed": None,
                "input_length": len(self._request.prompt),
            }
        whole = "".join(self._texts) if last else None
        return sse(
            msgspec.json.encode({"index": generated, "token": token, "generated_text": whole, "details": details})
        )

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return the error within the 200."""
        return (sse(error_json(*death_of(cause))),)


class TgiWay(Way):
    """`/generate_stream`."""

    path = "/generate_stream"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        return accept(body, self.served)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return TgiWriter(request)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        details = {"finish_reason": _REASONS[request.finish_reason], "generated_tokens": len(tokens)}
        return json_response({"generated_text": vocabulary.decode(tokens), "details": details})

    def refusal(self, refused: Refused) -> Response:
        """Return an error within a 200; a body that is none of its shape has a status."""
        text, kind = refusal_of(refused)
        return sse_response(error_json(text, kind)) if refused.status in (422, 503) else _plain(text, kind)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return an error within a 200."""
        return sse_response(error_json(*death_of(cause)))


class _WholeWay(TgiWay):
    path = "/generate"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        return replace(super().accept(body, path), stream=False)

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused: with a status of its own."""
        return _plain(*refusal_of(refused))

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose engine has died."""
        return _plain(*death_of(cause))


def refusal_of(refused: Refused) -> tuple[str, str]:
    """Return the words for a refusal, and their type."""
    return ("Model is overloaded", "overloaded") if refused.status == 503 else (str(refused), "validation")


def _plain(text: str, kind: str) -> Response:
    return json_response({"error": text, "error_type": kind}, _STATUS.get(kind, 500))


class _ChatFlavour(Flavour):
    owner = "text-generation-inference"

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long."""
        return f"Input validation error: `inputs` must have less than {limit} tokens. Given: {prompt}"

    def _within(self, text: str) -> bytes:
        return sse(json.dumps({"error": {"message": text, "http_status_code": 422}}).encode())

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused: within a 200."""
        body = self._within(refusal_of(refused)[0]) + DONE
        return Response(body, headers={"content-type": "text/event-stream"})

    def overload(self) -> Response:
        """Return the answer to a request for which there is no room."""
        return self.error(Refused(503, ""))

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return what a stream holds last whose engine died."""
        return self._within(death_of(cause)[0]), DONE

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return the answer to a request whose engine has died."""
        return self.error(Refused(422, death_of(cause)[0]))


class TgiLog(ServerLog):
    """Lines of its launcher and its router."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        self._say(f'text_generation_launcher: Args {{ model_id: "{model}", hostname: "{host}", port: {port} }} {MARK}')
        self._say(f"text_generation_launcher: Starting check and download process for {model}")

    def loading(self, model: str) -> None:
        """Say that the weights are being read."""
        self._say("download: text_generation_launcher: Successfully downloaded weights")
        for rank in range(self.cards):
            self._say(f"shard-manager: text_generation_launcher: Starting shard rank={rank}")

    def shard(self, done: int, shards: int) -> None:
        """Say that it is waited for."""
        if 0 < done < shards:
            self._say("shard-manager: text_generation_launcher: Waiting for shard to be ready... rank=0")

    def loaded(self, weights_bytes: int, took_s: float) -> None:
        """Say that the weights are on the cards."""
        self._say(f"shard-manager: text_generation_launcher: Shard ready in {took_s:.9f}s rank=0")
        self._say("text_generation_launcher: Starting Webserver")
        self._say("text_generation_router_v3: backends/v3/src/lib.rs:125: Warming up model")

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how large the KV cache is."""
        self._say(f"text_generation_launcher: KV-cache blocks: {tokens}, size: 1")
        self._say(f"text_generation_router_v3: backends/v3/src/lib.rs:137: Setting max batch total tokens to {tokens}")

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say that requests are taken."""
        self._say(f"text_generation_router: router/src/server.rs:2311: Serving at {address} (SIMULATED)")
        self._say("text_generation_router::server: router/src/server.rs:2402: Connected")

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        self._say("text_generation_launcher: Error when initializing model", "ERROR")
        self.raw(f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}")
        self._say("text_generation_launcher: Shard 0 failed to start", "ERROR")
        self._say("text_generation_launcher: Shutting down shards")

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the warm-up does not fit."""
        self._say(
            f"warmup{{max_input_length=None max_prefill_tokens={max_model_len}}}: text_generation_router: "
            f"Server error: Not enough memory to handle {max_model_len} prefill tokens. You need to decrease "
            "`--max-batch-prefill-tokens` (SIMULATED)",
            "ERROR",
        )
        self._end("Webserver Crashed")

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that a shard died of memory under load."""
        self._say(
            f"batch{{batch_size=1}}:decode: text_generation_router: Server error: {out_of_memory(total_bytes)}", "ERROR"
        )
        self._end("Shard 0 crashed")

    def worker_killed(self) -> None:
        """Say that a shard was killed by somebody."""
        self._say(
            "shard-manager: text_generation_launcher: Shard process was signaled to shutdown with signal 9 rank=0",
            "ERROR",
        )
        self._end("Shard 0 crashed")

    def _end(self, text: str) -> None:
        self._say(f"text_generation_launcher: {text}", "ERROR")
        self._say("text_generation_launcher: Shutting down shards")

    def _say(self, text: str, level: str = "INFO") -> None:
        self.raw(f"{utc()}  {level} {text}")


class TgiDialect(ServedDialect):
    """`text-generation-launcher`, whose end is that of a shard."""

    exit_code = 1

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TgiLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return its own two, and chat."""
        served = self.served
        return TgiWay(served), _WholeWay(served), OpenAiWay(served, _ChatFlavour(), chat=True)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            if engine.dead:
                return json_response({"error": "unhealthy", "error_type": "healthcheck"}, 503)
            return Response()

        async def metrics(_: Request) -> Response:
            model = engine.model
            reserved = sum(each.prompt_tokens + each.output_limit for each in model.running)
            queued_s, queued = gauges.queued
            return prometheus(
                {
                    "tgi_batch_current_size": len(model.running),
                    "tgi_queue_size": len(model.waiting),
                    "tgi_batch_current_max_tokens": reserved,
                    "tgi_batch_max_total_tokens": self.served.table.kv_cache_tokens,
                    "tgi_request_queue_duration_sum": queued_s,
                    "tgi_request_queue_duration_count": queued,
                }
            )

        return [
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/info", self._info),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/chat_tokenize", self._chat_tokenize, methods=["POST"]),
        ]

    async def _info(self, _: Request) -> Response:
        limit = self.served.table.max_model_len
        return json_response(
            {
                "model_id": self.served.model,
                "max_input_tokens": limit - 1,
                "max_total_tokens": limit,
                "max_concurrent_requests": self.served.table.max_num_queued_reqs or 128,
                "router": "text-generation-router",
                "version": VERSION,
            }
        )

    async def _tokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), _Body)
        return json_response(_rows([vocabulary.START, *vocabulary.encode(body.inputs)]))

    async def _chat_tokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), requests.ChatBody)
        tokens = vocabulary.encode_messages(requests.messages_text(body.messages))
        return json_response({"tokenize_response": _rows(tokens), "templated_text": vocabulary.decode(tokens)})


def _rows(tokens: list[int]) -> list[dict[str, Any]]:
    return [{"id": token, "text": vocabulary.decode([token]), "start": 0, "stop": 0} for token in tokens]


DIALECT = TgiDialect
