"""What the simulated server says: log lines in the form and order of vLLM 0.32.0 on a GPU.

vLLM's own lines go to stdout, progress bars and tracebacks to stderr, as there. Sources: real logs (start, launch
failures) and, for what needs a GPU, the messages in vLLM's source.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from tui.simulator.dialect import out_of_memory
from tui.simulator.dialects.vllm_stream import VERSION
from tui.simulator.log import GIB, MARK, ServerLog, write


class VllmLog(ServerLog):
    """Writes log lines."""

    def __init__(self, cards: int, nodes: int = 1) -> None:
        super().__init__(cards)
        self.worker = "EngineCore" if cards == 1 else "Worker_TP0"
        """One card: the engine process computes itself; more: a worker process per card."""
        self._nodes = nodes

    def api(self, place: str, message: str, *, level: str = "INFO") -> None:
        """Say a line as the API server process."""
        self.say("APIServer", place, message, level)

    def core(self, place: str, message: str, *, level: str = "INFO") -> None:
        """Say a line as the engine process."""
        self.say("EngineCore", place, message, level)

    def say(self, process: str, place: str, message: str, level: str = "INFO") -> None:
        """Say a message of one or more lines, each with the prefix."""
        self._write(f"({process} pid={os.getpid()})", place, message, level)

    def workers(self, place: str, message: str) -> None:
        """Say a line as a worker; of several nodes, as one of each: Ray brings their logs to the engine's."""
        if self._nodes == 1:
            self.say(self.worker, place, message)
            return
        for node in range(1, self._nodes + 1):
            of_ray = f"(RayWorkerProc pid={os.getpid() + node}, ip=10.0.0.{node})"
            self._write(f"(EngineCore pid={os.getpid()}) {of_ray}", place, message, "INFO")

    def _write(self, who: str, place: str, message: str, level: str) -> None:
        prefix = f"{who} {level} {time.strftime('%m-%d %H:%M:%S')} [{place}]"
        write(sys.stdout, "".join(f"{prefix} {line}\n" for line in message.split("\n")))

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is: SIMULATED, in vLLM's banner; and with which arguments it runs, by their names in Python."""
        self.api("api_utils.py:347", f"\n       █     █     █▄   ▄█\n ▄▄ ▄█ █     █     █ ▀▄▀ █  version {VERSION}")
        self.api(
            "api_utils.py:347", f"  █▄█▀ █     █     █     █  model   {model}\n   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀  {MARK}\n"
        )
        told = {"model_tag": model, "host": host, "port": port, "simulated": True, **arguments}
        self.api("api_utils.py:286", f"non-default args: {told}")

    def config(self, model: str, max_model_len: int) -> None:
        """Say that the configuration is resolved and the engine process up."""
        self.api("model.py:733", "Resolved architecture: SimulatedForCausalLM")
        self.api("model.py:2152", f"Using max model len {max_model_len}")
        self.core(
            "core.py:133",
            f"Initializing a V1 LLM engine (v{VERSION}) with config: model='{model}', max_seq_len={max_model_len}, "
            f"tensor_parallel_size={self.cards}, device_config=simulated, enable_prefix_caching=True, "
            "enable_chunked_prefill=True",
        )

    def port_taken(self, host: str, port: int, why: str) -> None:
        """Say that the port cannot be had."""
        self.raw(f"Traceback (most recent call last):\nOSError: [Errno 98] {why}")

    def loading(self, model: str) -> None:
        """Say that the weights are being read."""
        self.workers("gpu_model_runner.py:4812", f"Starting to load model {model}...")

    def shard(self, done: int, shards: int) -> None:
        """Say how far the reading is."""
        share = round(100 * done / shards)
        self.raw(f"Loading safetensors checkpoint shards: {share:3d}% Completed | {done}/{shards} [SIMULATED]")

    def loaded(self, weights_bytes: int, took_s: float) -> None:
        """Say that the weights are on the cards."""
        self.workers("default_loader.py:501", f"Loading weights took {took_s:.2f} seconds")
        message = f"Model loading took {weights_bytes / GIB:.2f} GiB memory and {took_s:.6f} seconds"
        self.workers("gpu_model_runner.py:4879", message)

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how large the KV cache is."""
        self.workers("gpu_worker.py:456", f"Available KV cache memory: {available_bytes / GIB:.2f} GiB")
        self.core(
            "kv_cache_utils.py:2327",
            f"GPU KV cache size: {tokens:,} tokens, Maximum concurrency for {max_model_len:,} tokens per request: "
            f"{tokens / max_model_len:.2f}x",
        )

    def graphs(self, took_s: float) -> None:
        """Say that CUDA graphs were captured and the engine is up."""
        self.raw("Capturing CUDA graphs (decode, FULL): 100%|██████████| 35/35 [SIMULATED]")
        message = f"Graph capturing finished in {took_s:.0f} secs, took 0.42 GiB"
        self.say(self.worker, "gpu_model_runner.py:5860", message)
        message = f"init engine (profile, create kv cache, warmup model) took {took_s:.2f} s"
        self.core("core.py:402", message)

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self.api("entry.py:136", "Supported tasks: ['generate']")
        self.api("entry.py:140", f"Starting vLLM server on {address} (SIMULATED)")
        self.api("launcher.py:186", "Available routes are:")
        for path, methods in paths:
            self.api("launcher.py:195", f"Route: {path}, Methods: {methods}")

    def throughput(
        self, prompt_per_s: float, output_per_s: float, running: int, waiting: int, kv: float, hits: float
    ) -> None:
        """Say the line that vLLM says every ten seconds while it is busy."""
        self.api(
            "loggers.py:259",
            f"Engine 000: Avg prompt throughput: {prompt_per_s:.1f} tokens/s, Avg generation throughput: "
            f"{output_per_s:.1f} tokens/s, Running: {running} reqs, Waiting: {waiting} reqs, GPU KV cache usage: "
            f"{100 * kv:.1f}%, Prefix cache hit rate: {100 * hits:.1f}%",
        )

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        error = _oom(total_bytes)
        if self.cards > 1:
            frames = _traceback("vllm/v1/worker/gpu_worker.py", 292, "load_model")
            message = f"WorkerProc failed to start.\n{frames}\n{error}"
            self.say(self.worker, "multiproc_executor.py:953", message, "ERROR")
            error = "Exception: WorkerProc initialization failed due to an exception in a background process. "
            error += "See stack trace for root cause."
        self._failed_start(error)

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache cannot hold one longest request."""
        self._failed_start(
            f"ValueError: To serve at least one request with the model's max seq len ({max_model_len}), "
            f"({needed_bytes / GIB:.1f} GiB KV cache is needed, which is larger than the available KV cache memory "
            f"({available_bytes / GIB:.1f} GiB). Based on the available memory, the estimated maximum model length is "
            f"{tokens}. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the "
            "engine.",
        )

    def _failed_start(self, error: str) -> None:
        frames = _traceback("vllm/v1/engine/core.py", 1482, "run_engine_core")
        self.core("core.py:1510", f"EngineCore failed to start.\n{frames}\n{error}", level="ERROR")
        self.raw(f"Process EngineCore:\n{frames}\n{error}")
        self.raw(
            _traceback("vllm/v1/engine/utils.py", 1431, "wait_for_engine_startup")
            + "\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
        )

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that the engine died of CUDA out of memory under load."""
        oom = _oom(total_bytes)
        if self.cards > 1:
            frames = _traceback("vllm/v1/worker/gpu_model_runner.py", 4102, "execute_model")
            message = f"WorkerProc hit an exception.\n{frames}\n{oom}"
            self.say(self.worker, "multiproc_executor.py:945", message, "ERROR")
            cause = oom.removeprefix("torch.OutOfMemoryError: ")
            oom = f"RuntimeError: Worker failed with error '{cause}', "
            oom += "please check the stack trace above for the root cause"
        frames = _traceback("vllm/v1/engine/core.py", 1501, "run_busy_loop")
        self.core("core.py:1519", f"EngineCore encountered a fatal error.\n{frames}\n{oom}", level="ERROR")
        self._engine_dead()

    def worker_killed(self) -> None:
        """Say that a worker process was killed by somebody."""
        message = "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."
        self.core("multiproc_executor.py:315", message, level="ERROR")
        self._engine_dead()

    def _engine_dead(self) -> None:
        frames = _traceback("vllm/v1/engine/async_llm.py", 760, "output_handler")
        dead = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)"
        message = f"AsyncLLM output_handler failed.\n{frames}\n{dead} for the root cause."
        self.api("async_llm.py:795", message, level="ERROR")


def _traceback(file: str, line: int, function: str) -> str:
    where = f'  File "/opt/vllm/lib/python3.11/site-packages/{file}", line {line}, in {function}'
    return f"Traceback (most recent call last):\n{where}"


def _oom(total_bytes: int) -> str:
    return f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}"
