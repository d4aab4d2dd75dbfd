"""vLLM as a backend of Triton, as recorded of Triton 2.51 with vLLM 0.32 (tests/corpus/engines/triton-vllm.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import Way, Writer, json_response, sse
from tui.simulator.dialects.triton import TritonDialect, TritonLines, TritonWay
from tui.simulator.dialects.vllm_log import VllmLog
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.requests import GenerationRequest, Refused

MODEL = "vllm_model"
_DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
# What the backend tells where REPORT_CUSTOM_METRICS is set, by vLLM's names of then.
_TOLD = re.compile(
    r"^vllm:(?:prompt_tokens|generation_tokens)_total.*$"
    r"|^vllm:(?:time_to_first_token_seconds|inter_token_latency_seconds)_(?:sum|count|bucket).*$",
    re.MULTILINE,
)


class _Parameters(msgspec.Struct):
    max_tokens: int = 16
    min_tokens: int = 0
    ignore_eos: bool = False


class _Body(msgspec.Struct):
    text_input: str
    stream: bool | None = None
    exclude_input_in_output: bool = False
    return_finish_reason: bool = False
    return_num_input_tokens: bool = False
    return_num_output_tokens: bool = False
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _VllmBackendWriter(Writer):
    def __init__(self, request: GenerationRequest) -> None:
        self._request = request

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`: it says how many it bears; its keys are sorted."""
        reason = self._request.finish_reason.encode() if last else b"None"
        return sse(
            b'{"finish_reason":"%s","model_name":"vllm_model","model_version":"1","num_input_tokens":%d,'
            b'"num_output_tokens":%d,"text_output":%s}'
            % (reason, len(self._request.prompt), len(tokens), vocabulary.text_json(tokens))
        )

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return the error within the 200: the same words whatever the engine died of."""
        return (sse(msgspec.json.encode({"error": f"Error generating stream: {_DEAD}"})),)


class _StreamWay(TritonWay):
    path = f"/v2/models/{MODEL}/generate_stream"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        asked = requests.parse(body, _Body)
        tokens, limit = [vocabulary.START, *vocabulary.encode(asked.text_input)], self.served.table.max_model_len
        wanted = asked.parameters
        if len(tokens) >= limit:
            raise Refused(
                400,
                f"This model's maximum context length is {limit} tokens. However, your prompt contains at least "
                f"{len(tokens)} input tokens, which exceeds this limit even without any output tokens. Please reduce "
                f"the length of the input prompt. (parameter=input_tokens, value={len(tokens)})",
            )
        most = min(wanted.max_tokens, limit - len(tokens))
        if most < 1:
            raise Refused(400, f"max_tokens must be at least 1, got {wanted.max_tokens}.")
        if wanted.min_tokens > most:
            text = f"min_tokens must be less than or equal to max_tokens={most}, got {wanted.min_tokens}."
            raise Refused(400, text)
        length, reason = requests.answer_length(tokens, most, least=wanted.min_tokens, forced=wanted.ignore_eos)
        return GenerationRequest(tokens, length, reason, stream=asked.stream is True)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return _VllmBackendWriter(request)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer as one event of its stream, which is what it gives without `stream`."""
        event = self.writer(request).event(tuple(tokens), len(tokens), first=True, last=True)
        return Response(event, headers={"content-type": self.media_type.decode()})

    def error(self, text: str) -> bytes:
        """Return an error as it stands in a stream."""
        return super().error(f"Error generating stream: {text}")

    def death(self, cause: FailOnPurpose) -> str:
        """Return the words for an engine that died."""
        return _DEAD


class _WholeWay(_StreamWay):
    path = f"/v2/models/{MODEL}/generate"

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        return json_response({"model_name": MODEL, "model_version": "1", "text_output": vocabulary.decode(tokens)})


class TritonVllmLog(VllmLog, TritonLines):
    """Triton's lines, and vLLM's among them."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        super().banner(model, host, port, arguments)
        self.raw(self.line("model_lifecycle.cc:472", f"loading: {MODEL}:1"))

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self.raw(self.line("model_lifecycle.cc:839", f"successfully loaded '{MODEL}'"))
        where = address.partition("://")[2]
        self.raw(self.line("http_server.cc:4713", f"Started HTTPService at {where}"))

    def port_taken(self, host: str, port: int, why: str) -> None:
        """Say that a port cannot be had."""
        text = f"failed to start HTTP service: Unavailable - Socket '{host}:{port}' already in use "
        self.raw(self.line("main.cc:606", text, "E"))


class TritonVllmDialect(TritonDialect):
    """A model of Triton's whose backend is vLLM."""

    models = (MODEL,)

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TritonVllmLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return the two ways to ask its model."""
        return _StreamWay(self.served), _WholeWay(self.served)

    def metrics_text(self, engine: LiveEngine, gauges: Gauges) -> str:
        """Return Triton's figures, and what the backend counts: neither how many run or wait, nor the KV cache."""
        told = "\n".join(found[0] for found in _TOLD.finditer(gauges.text(engine.model).decode()))
        told = told.replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
        return super().metrics_text(engine, gauges) + told + "\n"


DIALECT = TritonVllmDialect
