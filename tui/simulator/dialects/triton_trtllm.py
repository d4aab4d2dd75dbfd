"""TensorRT-LLM behind Triton: the ensemble's tensors, as Triton 2.51 wrote them; the engine's words by its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import Way, Writer, json_response, sse
from tui.simulator.dialects.triton import TritonDialect, TritonLines, TritonWay
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import MARK, ServerLog
from tui.simulator.requests import GenerationRequest, Refused

MODEL = "ensemble"
_BLOCK = 64
_OUT_OF_MEMORY = "[TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n): out of memory (SIMULATED)"


class _Body(msgspec.Struct):
    text_input: str
    max_tokens: int
    min_length: int = 0
    stream: bool = False


class _EnsembleWriter(Writer):
    """One event per token; the end of the stream is that of the body."""

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`."""
        return sse(
            b'{"batch_index":0,"cum_log_probs":0.0,"model_name":"ensemble","model_version":"1",'
            b'"output_log_probs":0.0,"sequence_index":0,"text_output":%s}' % vocabulary.text_json(tokens)
        )

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return the error within the 200."""
        return (sse(msgspec.json.encode({"error": _death(cause)})),)


def _death(cause: FailOnPurpose) -> str:
    if cause is FailOnPurpose.OOM_RUNTIME:
        return f"Executor failed: {_OUT_OF_MEMORY}"
    return "Stub process 'postprocessing_0_0' is not healthy."


class _EnsembleWay(TritonWay):
    path = f"/v2/models/{MODEL}/generate_stream"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        asked = requests.parse(body, _Body)
        tokens, limit = [vocabulary.START, *vocabulary.encode(asked.text_input)], self.served.table.max_model_len
        if len(tokens) + asked.max_tokens > limit:
            raise Refused(
                400,
                f"Prompt length ({len(tokens)}) exceeds maximum input length ({max(0, limit - asked.max_tokens)}). Set "
                "log level to info and check TRTGptModel logs for how maximum input length is set",
            )
        if asked.max_tokens < 1:
            raise Refused(400, f"max_tokens must be at least 1, got {asked.max_tokens}.")
        length, reason = requests.answer_length(tokens, asked.max_tokens, least=asked.min_length)
        return GenerationRequest(tokens, length, reason, stream=asked.stream)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return _EnsembleWriter()

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        return json_response({"model_name": MODEL, "model_version": "1", "text_output": vocabulary.decode(tokens)})

    def death(self, cause: FailOnPurpose) -> str:
        """Return the words for an engine that died."""
        return _death(cause)


class TritonTrtllmLog(ServerLog, TritonLines):
    """Triton's lines, and TensorRT-LLM's among them."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        self.raw(f"{model} at {host}:{port}; {MARK}")
        self.raw(self.line("model_lifecycle.cc:472", "loading: tensorrt_llm:1"))

    def loading(self, model: str) -> None:
        """Say that the engine is being read."""
        self.raw(f"[TensorRT-LLM][INFO] Loading engine of {model}")

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how large the KV cache is."""
        self.raw(
            f"[TensorRT-LLM][INFO] Max tokens in paged KV cache: {tokens}. Allocating {available_bytes} bytes. "
            "(SIMULATED)"
        )

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self.raw(self.line("model_lifecycle.cc:839", "successfully loaded 'tensorrt_llm'"))
        where = address.partition("://")[2]
        self.raw(self.line("http_server.cc:4713", f"Started HTTPService at {where}"))

    def port_taken(self, host: str, port: int, why: str) -> None:
        """Say that a port cannot be had."""
        text = f"failed to start HTTP service: Unavailable - Socket '{host}:{port}' already in use "
        self.raw(self.line("main.cc:606", text, "E"))

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the engine does not fit."""
        self.raw(_OUT_OF_MEMORY)
        self._not_loaded("Internal: unexpected error when creating modelInstanceState")

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache cannot hold one longest request."""
        why = (
            f"Assertion failed: maxTokensInPagedKvCache ({tokens}) must be large enough to process at least 1 sequence"
            f" to completion (i.e. must be larger than beam_width (1) * tokensPerBlock ({_BLOCK}) * maxBlocksPerSeq"
            f" ({-(-max_model_len // _BLOCK)})) (SIMULATED)"
        )
        self.raw(f"[TensorRT-LLM][ERROR] {why}")
        self._not_loaded(f"Internal: unexpected error when creating modelInstanceState: [TensorRT-LLM][ERROR] {why}")

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that the engine died of memory under load."""
        self.raw(_OUT_OF_MEMORY)

    def worker_killed(self) -> None:
        """Say that a process of a model was killed by somebody."""
        text = "Stub process 'postprocessing_0_0' is not healthy."
        self.raw(self.line("pb_stub.cc:1", text, "E"))

    def _not_loaded(self, why: str) -> None:
        self.raw(self.line("model_lifecycle.cc:654", f"failed to load 'tensorrt_llm' version 1: {why}", "E"))
        self.raw(self.line("main.cc:580", "creating server: Internal - failed to load all models", "E"))


class TritonTrtllmDialect(TritonDialect):
    """The ensemble of TensorRT-LLM."""

    models = ("ensemble", "postprocessing", "preprocessing", "tensorrt_llm")

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TritonTrtllmLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return the one way to ask the ensemble."""
        return (_EnsembleWay(self.served),)

    def metrics_text(self, engine: LiveEngine, gauges: Gauges) -> str:
        """Return Triton's figures and those of the in-flight batcher."""
        model, pool = engine.model, engine.model.pool
        kinds = {"waiting": len(model.waiting), "scheduled": len(model.running), "active": len(model.running)}
        blocks = {
            "fraction": model.kv_usage,
            "used": pool.used,
            "max": pool.blocks,
            "free": pool.blocks - pool.used,
            "tokens_per": pool.block_size,
        }
        rows = [
            f'nv_trt_llm_request_metrics{{model="tensorrt_llm",request_type="{kind}",version="1"}} {count}'
            for kind, count in kinds.items()
        ]
        rows += [
            f'nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type="{kind}",model="tensorrt_llm",version="1"}} {size}'
            for kind, size in blocks.items()
        ]
        return super().metrics_text(engine, gauges) + "\n".join(rows) + "\n"


DIALECT = TritonTrtllmDialect
