"""SGLang 0.5.23, by its sources and public logs: vLLM's shape of a stream with fields of its own."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import Aftermath, json_response, out_of_memory
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import GIB, MARK, ServerLog
from tui.simulator.openai_api import Flavour, OpenAiDialect, prometheus
from tui.simulator.requests import Refused

VERSION = "0.5.23+simulated"
_HEALTH_TIMEOUT_S = 20.0


class SglangFlavour(Flavour):
    """Its words; an error has no object around it."""

    owner = "sglang"

    def choice_more(self) -> dict[str, Any]:
        """Return what each choice of a stream has besides."""
        return {"logprobs": None, "matched_stop": None}

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long."""
        return f"The input ({prompt} tokens) is longer than the model's context length ({limit} tokens)."

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        return json_response(
            {
                "object": "error",
                "message": str(refused),
                "type": refused.kind,
                "param": refused.param,
                "code": refused.status,
            },
            refused.status,
        )

    def overload(self) -> Response:
        """Return the answer to a request for which there is no room."""
        return self.error(Refused(503, "The request queue is full.", kind="Service Unavailable"))

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return nothing: its scheduler's end takes the server with it, and streams just stop."""
        return ()


class SglangLog(ServerLog):
    """Lines of its scheduler, `[DATE TP0] ...`."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        self.raw(f"[{_now()}] server_args=ServerArgs(model_path='{model}', host='{host}', port={port}) {MARK}")
        self._say("Init torch distributed begin.")

    def loading(self, model: str) -> None:
        """Say that the weights are being read."""
        self._say("Load weight begin. avail mem=39.00 GB")

    def shard(self, done: int, shards: int) -> None:
        """Say how far the reading is."""
        share = round(100 * done / shards)
        self.raw(f"Loading safetensors checkpoint shards: {share:3d}% Completed | {done}/{shards} [SIMULATED]")

    def loaded(self, weights_bytes: int, took_s: float) -> None:
        """Say that the weights are on the cards."""
        self._say(f"Load weight end. type=SimulatedForCausalLM, mem usage={weights_bytes / GIB:.2f} GB.")

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how large the KV cache is."""
        half = available_bytes / GIB / 2
        self._say(f"KV Cache is allocated. #tokens: {tokens}, K size: {half:.2f} GB, V size: {half:.2f} GB")
        self._say("Memory pool end. avail mem=1.61 GB")
        self._say("Capture cuda graph begin. This can take up to several minutes. avail mem=1.60 GB")
        self._sizes = f"max_total_num_tokens={tokens}, context_len={max_model_len}, available_gpu_mem=1.51 GB"

    def graphs(self, took_s: float) -> None:
        """Say that CUDA graphs were captured."""
        self._say(f"Capture cuda graph end. Time elapsed: {took_s:.2f} s.")
        self._say(self._sizes)

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self.raw(f"[{_now()}] INFO:     Uvicorn running on {address} (Press CTRL+C to quit)")
        self.raw(f"[{_now()}] The server is fired up and ready to roll! (SIMULATED)")

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        self._failed(f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}")

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache cannot hold one longest request."""
        self._failed("RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. (SIMULATED)")

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that the engine died of memory under load."""
        self._say("Decode out of memory. Try to lower your batch size.")
        self._failed(f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}")

    def worker_killed(self) -> None:
        """Say that a process of the engine was killed by somebody."""
        self._failed("RuntimeError: a scheduler process was killed by signal 9 (SIMULATED)")

    def _failed(self, error: str) -> None:
        self._say(
            "Scheduler hit an exception: Traceback (most recent call last):\n"
            '  File "/opt/sglang/srt/managers/scheduler.py", line 2400, in run_scheduler_process\n'
            f"{error}"
        )

    def _say(self, text: str) -> None:
        self.raw(f"[{_now()} TP0] {text}")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


class SglangDialect(OpenAiDialect):
    """`sglang serve --enable-metrics`."""

    flavour = SglangFlavour()
    aftermath = Aftermath.VANISHES

    def signal_of(self, cause: FailOnPurpose) -> signal.Signals:
        """Return the signal that its scheduler sends to all before it ends."""
        return signal.SIGQUIT

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return SglangLog(cards)

    def model_row(self) -> dict[str, Any]:
        """Return the one row of the list of models."""
        return super().model_row() | {"root": self.served.model, "max_model_len": self.served.table.max_model_len}

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            """Make a token, as it does: an engine that does nothing makes none."""
            if engine.frozen and not engine.dead:
                await asyncio.sleep(_HEALTH_TIMEOUT_S)
            return Response(status_code=503 if engine.frozen else 200)

        async def metrics(_: Request) -> Response:
            model, labels = engine.model, f'{{model_name="{self.served.model}"}}'
            return prometheus(
                {
                    f"sglang:num_running_reqs{labels}": len(model.running),
                    f"sglang:num_queue_reqs{labels}": len(model.waiting),
                    f"sglang:token_usage{labels}": model.kv_usage,
                    f"sglang:num_retracted_requests_total{labels}": model.preemptions_total,
                }
            )

        return [
            *super().pages(engine, gauges),
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/server_info", self._info),
            Route("/tokenize", self._tokenize, methods=["POST"]),
        ]

    async def _info(self, _: Request) -> Response:
        return json_response({"version": VERSION, "model_path": self.served.model})

    async def _tokenize(self, request: Request) -> Response:
        body = requests.parse(await request.body(), requests.TokenizeBody)
        tokens = [vocabulary.START, *vocabulary.encode(body.prompt or "")]
        return json_response({"tokens": tokens, "count": len(tokens), "max_model_len": self.served.table.max_model_len})


DIALECT = SglangDialect
