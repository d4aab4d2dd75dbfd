"""Runs a simulated server: start, HTTP by uvicorn and death as its dialect has them. One process, one loop; blocks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Sequence

import uvicorn
import uvloop

from tui.core.errors import UsageError
from tui.core.safe_text import safe_line
from tui.profile.schema import Profile
from tui.profile.simulator_table import SERVER_MARK, FailOnPurpose, ServedAs, SimulatorTable
from tui.simulator.application import application_of
from tui.simulator.dialect import Aftermath, Served, ServedDialect
from tui.simulator.dialects import dialect_of
from tui.simulator.failing import failing_way, with_failure
from tui.simulator.gauges import Gauges
from tui.simulator.gpus import VirtualGpus, fitted
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.model import Engine, KvCacheTooSmall

_STATISTICS_EVERY_S = 10.0
_SHARDS = 8
_TOLD = ("max_model_len", "max_num_seqs", "max_num_batched_tokens", "block_size")
_DEATH_TO_EXIT_S = 0.3
"""Streams get their last events in this time; as with vLLM, new requests are answered with an error meanwhile."""
_PORT_TRIES = 50


def serve(
    profile: Profile,
    host: str,
    port: int,
    time_scale: float,
    fail: str | None = None,
    *,
    served_as: ServedAs | None = None,
    access_log: bool = True,
    max_model_len: int | None = None,
) -> int:
    """Serve until stopped or dead; return the exit code: 0 then, or what the dialect's is; 1 when the start failed.

    `port` 0 takes a free one; `time_scale`: modelled seconds per second; `fail`: a way to fail on purpose, and
    `served_as`: a dialect, both before the profile's own; `access_log`: a line per request, unless the profile's
    `disable-uvicorn-access-log` says otherwise; `max_model_len`: before the profile's own.
    Raises UsageError for a profile without a simulated server, or an unknown way.
    """
    if profile.server is None or not profile.simulated:
        raise UsageError(f'{profile.name}: engine: found "{profile.engine}", expected "simulated"')
    if not time_scale > 0:
        raise UsageError(f"--time-scale: found {time_scale:g}, expected more than 0")
    table = with_failure(profile.simulator or SimulatorTable(), failing_way(fail) if fail else None)
    table = fitted(table, profile.server.gpus)
    if max_model_len is not None:
        table = table.model_copy(update={"max_model_len": max_model_len})
    gpus = VirtualGpus(table, profile.server.gpus)
    model = safe_line(profile.server.model)
    dialect = dialect_of(served_as or table.dialect)(Served(model, table))
    log = dialect.log(table.nodes * (len(profile.server.gpus) or 1))
    log.banner(model, host, port, {name: getattr(table, name) for name in _TOLD})
    with contextlib.ExitStack() as stack:
        try:
            listeners = _bind_all(host, port, dialect.port_offsets)
        except OSError as error:
            log.port_taken(host, port, error.strerror or str(error))
            return 1
        for listener in listeners:
            stack.callback(listener.close)
        if not _start_engine(table, gpus, log, model, time_scale):
            return 1
        access_log = not profile.server.args.get("disable-uvicorn-access-log", not access_log)
        server = _SimulatedServer(dialect, gpus, log, time_scale, access_log=access_log)
        # uvicorn raises the signal that ended it once more at its end; vLLM ends with status 0 instead.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(listeners))
    return server.exit_code


def _bind_all(host: str, port: int, offsets: Sequence[int]) -> list[socket.socket]:
    """Return bound sockets, one for each offset; of free ports, so many in a row. Raises OSError."""
    for tries_left in reversed(range(_PORT_TRIES)):
        listeners: list[socket.socket] = []
        try:
            for offset in offsets:
                first = listeners[0].getsockname()[1] if listeners else port
                listeners.append(_bind(host, first + offset if first else 0))
        except (OSError, OverflowError) as error:
            for listener in listeners:
                listener.close()
            if port or not tries_left:
                raise error if isinstance(error, OSError) else OSError(22, "There is no such port") from error
        else:
            return listeners
    raise AssertionError


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


def _start_engine(table: SimulatorTable, gpus: VirtualGpus, log: ServerLog, model: str, time_scale: float) -> bool:
    """Go through the stages of a start; False when one fails, all said."""
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
        self, dialect: ServedDialect, gpus: VirtualGpus, log: ServerLog, time_scale: float, *, access_log: bool
    ) -> None:
        self._dialect = dialect
        self._gpus = gpus
        self._log = log
        self._time_scale = time_scale
        self._access_log = access_log
        self._stepping: asyncio.Task[None] | None = None
        self.exit_code = 0

    async def serve(self, listeners: list[socket.socket]) -> None:
        served = self._dialect.served
        gauges = Gauges(served.model, served.table)
        refuses = self._dialect.refuses
        self._engine = engine = LiveEngine(served.table, gauges, self._time_scale, self._died, refuses=refuses)
        application = application_of(self._dialect, engine, gauges, self._gpus)
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=self._access_log,
            server_header=False,
            headers=[("server", SERVER_MARK)],
        )
        self._http = _Uvicorn(config, engine)
        host, port = listeners[0].getsockname()[:2]
        paths = [(route.path, ", ".join(sorted(route.methods or ()))) for route in application.routes]  # type: ignore[attr-defined]
        self._log.ready(f"http://{host}:{port}", paths)
        self._stepping = asyncio.create_task(engine.run())
        saying = asyncio.create_task(self._say_throughput(engine))
        try:
            await self._http.serve(sockets=listeners)
        finally:
            tasks = (self._stepping, saying)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _died(self, cause: FailOnPurpose) -> None:
        if cause is FailOnPurpose.WORKER_KILLED:
            self._log.worker_killed()
        else:
            self._log.out_of_memory(self._gpus.total_bytes)
        dialect, loop = self._dialect, asyncio.get_running_loop()
        if dialect.aftermath is Aftermath.VANISHES:
            _vanish(dialect.signal_of(cause))
        elif dialect.aftermath is Aftermath.EXITS:
            self.exit_code = dialect.exit_code
            loop.call_later(_DEATH_TO_EXIT_S, self._http.stop)
        elif dialect.aftermath is Aftermath.COMES_BACK:
            loop.call_later(dialect.comes_back_after_s / self._time_scale, self._come_back)

    def _come_back(self) -> None:
        if self._http.should_exit:
            return
        self._engine.come_back()
        self._log.came_back()
        self._stepping = asyncio.create_task(self._engine.run())

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


def _vanish(number: signal.Signals) -> None:
    """End this process at once by a signal, without a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)


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
