"""Runs a simulated server: start-up as vLLM's, HTTP by uvicorn, death as vLLM's. Blocking, one process, one loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time

import uvicorn
import uvloop

from tui.core.errors import UsageError
from tui.core.safe_text import safe_line
from tui.profile.schema import Profile
from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator.api import Api
from tui.simulator.failing import failing_way, with_failure
from tui.simulator.gauges import Gauges
from tui.simulator.gpus import VirtualGpus, fitted
from tui.simulator.live import LiveEngine
from tui.simulator.log_lines import VllmLog
from tui.simulator.model import Engine, KvCacheTooSmall

_STATISTICS_EVERY_S = 10.0
_SHARDS = 8
_TOLD = ("max_model_len", "max_num_seqs", "max_num_batched_tokens", "block_size")
_DEATH_TO_EXIT_S = 0.3
"""Streams get their last events in this time; as with vLLM, new requests are answered 500 meanwhile."""


def serve(
    profile: Profile, host: str, port: int, time_scale: float, fail: str | None = None, *, access_log: bool = True
) -> int:
    """Serve until stopped or dead; return the exit code: 0 then, 1 when the start failed.

    `port` 0 takes a free one; `time_scale`: modelled seconds per second; `fail`: a way to fail on purpose, before the
    profile's own; `access_log`: a line per request, unless the profile's `disable-uvicorn-access-log` says otherwise.
    Raises UsageError for a profile without a simulated server, or an unknown way.
    """
    if profile.server is None or not profile.simulated:
        raise UsageError(f'{profile.name}: engine: found "{profile.engine}", expected "simulated"')
    if not time_scale > 0:
        raise UsageError(f"--time-scale: found {time_scale:g}, expected more than 0")
    table = with_failure(profile.simulator or SimulatorTable(), failing_way(fail) if fail else None)
    table = fitted(table, profile.server.gpus)
    gpus = VirtualGpus(table, profile.server.gpus)
    log = VllmLog(len(profile.server.gpus) or 1)
    model = safe_line(profile.server.model)
    log.banner(model, host, port, {name: getattr(table, name) for name in _TOLD})
    try:
        listener = _bind(host, port)
    except OSError as error:
        log.raw(f"Traceback (most recent call last):\nOSError: [Errno {error.errno}] {error.strerror}")
        return 1
    with contextlib.closing(listener):
        if not _start_engine(table, gpus, log, model, time_scale):
            return 1
        access_log = not profile.server.args.get("disable-uvicorn-access-log", not access_log)
        server = _SimulatedServer(model, table, gpus, log, time_scale, access_log=access_log)
        # uvicorn raises the signal that ended it once more at its end; vLLM ends with status 0 instead.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(listener))
    return 0


def _bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet: until the engine is up, connections are refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def _start_engine(table: SimulatorTable, gpus: VirtualGpus, log: VllmLog, model: str, time_scale: float) -> bool:
    """Go through vLLM's stages; False when one fails, all said."""
    loading_s, graphs_s = 0.7 * table.startup_s, 0.3 * table.startup_s
    log.config(model, table.max_model_len)
    log.loading(model)
    log.shard(0, _SHARDS)
    for shard in range(1, _SHARDS + 1):
        time.sleep(loading_s / time_scale / _SHARDS)
        if shard > _SHARDS // 2 and table.fail is FailOnPurpose.OOM_WEIGHTS:
            log.out_of_memory_at_start(gpus.total_bytes)
            return False
        log.shard(shard, _SHARDS)
    log.loaded(gpus.weights_bytes, loading_s)
    try:
        Engine(table)
    except KvCacheTooSmall:
        needed = table.max_model_len * table.kv_bytes_per_token
        available = table.kv_cache_tokens * table.kv_bytes_per_token
        log.kv_cache_too_small(needed, available, table.kv_cache_tokens, table.max_model_len)
        return False
    tokens = table.kv_cache_tokens // table.block_size * table.block_size
    log.kv_cache(gpus.kv_cache_bytes, tokens, table.max_model_len)
    time.sleep(graphs_s / time_scale)
    log.graphs(graphs_s)
    return True


class _SimulatedServer:
    def __init__(
        self, model: str, table: SimulatorTable, gpus: VirtualGpus, log: VllmLog, time_scale: float, *, access_log: bool
    ) -> None:
        self._model = model
        self._table = table
        self._gpus = gpus
        self._log = log
        self._time_scale = time_scale
        self._access_log = access_log

    async def serve(self, listener: socket.socket) -> None:
        gauges = Gauges(self._model, self._table)
        engine = LiveEngine(self._table, gauges, self._time_scale, self._died)
        application = Api(self._model, self._table, engine, gauges, self._gpus).application()
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=self._access_log,
        )
        self._http = _Uvicorn(config, engine)
        host, port = listener.getsockname()[:2]
        paths = [(route.path, ", ".join(sorted(route.methods or ()))) for route in application.routes]  # type: ignore[attr-defined]
        self._log.routes(f"http://{host}:{port}", paths)
        tasks = [asyncio.create_task(engine.run()), asyncio.create_task(self._say_throughput(engine))]
        try:
            await self._http.serve(sockets=[listener])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _died(self, cause: FailOnPurpose) -> None:
        if cause is FailOnPurpose.WORKER_KILLED:
            self._log.worker_killed()
        else:
            self._log.out_of_memory(self._gpus.total_bytes)
        asyncio.get_running_loop().call_later(_DEATH_TO_EXIT_S, self._http.stop)

    async def _say_throughput(self, engine: LiveEngine) -> None:
        prompt_tokens = output_tokens = 0
        while True:
            await asyncio.sleep(_STATISTICS_EVERY_S)
            passed_s = _STATISTICS_EVERY_S * self._time_scale
            prompts, outputs = engine.prompt_tokens - prompt_tokens, engine.generated_tokens - output_tokens
            prompt_tokens, output_tokens = engine.prompt_tokens, engine.generated_tokens
            model = engine.model
            if prompts or outputs or model.has_work:
                hits = model.prefix_hits_total / max(1, model.prefix_queries_total)
                running, waiting = len(model.running), len(model.waiting)
                self._log.throughput(prompts / passed_s, outputs / passed_s, running, waiting, model.kv_usage, hits)


class _Uvicorn(uvicorn.Server):
    """uvicorn, with vLLM's way to stop: the engine ends at the signal, open streams stall until their clients go."""

    def __init__(self, config: uvicorn.Config, engine: LiveEngine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: object) -> None:
        self._engine.freeze()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.should_exit = True
