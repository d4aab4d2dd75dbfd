"""`vramp metrics`: the figures of now as Prometheus text on loopback, to lay beside the server's own.

Names say their units; a figure that is not known has no sample. Every sample says by the label `figures` whether it was
measured or is SIMULATED, and, of a simulated server whose time runs faster, all seconds are modelled ones.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tui import __version__
from tui.core.errors import ExitCode, UsageError, in_a_sentence
from tui.core.printing import narrate, tell
from tui.core.safe_text import safe_line
from tui.link.client import BenchLink
from tui.link.launcher import RunningBench
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import Phase, Snapshot

HOST = "127.0.0.1"
REFRESH_HZ = 1.0
MOST_CELLS = 1024
_LABEL_CHARS = 200
_COMMON = ("session", "profile", "engine", "figures")


def serve(bench: RunningBench, port: int) -> ExitCode:
    """Serve the figures of a session until it ends or Ctrl-C. Raises UsageError for a port that is taken, BenchLost."""
    return asyncio.run(_serve(bench, port))


async def _serve(bench: RunningBench, port: int) -> ExitCode:
    link = await BenchLink.connect(bench.socket_path, read_only=True, refresh_hz=REFRESH_HZ, passing=True)
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave.set)
    try:
        latest = Latest()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(latest)
        try:
            server, thread = start_http_server(port, addr=HOST, registry=registry)
        except OSError as error:
            raise UsageError(f"port {port} on {HOST}: {in_a_sentence(error)}; choose another by --port") from None
        try:
            tell(f"http://{HOST}:{server.server_port}/metrics")
            following = asyncio.create_task(_keep(link, latest))
            leaving = asyncio.create_task(leave.wait())
            await asyncio.wait({following, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, leaving):
                task.cancel()
            failed, _ = await asyncio.gather(following, leaving, return_exceptions=True)
            if isinstance(failed, Exception):
                raise failed
        finally:
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            await asyncio.to_thread(thread.join)
        if leave.is_set():
            return ExitCode.OK
        farewell = await link.last_word()
        narrate(f"the session is over: {link.why_gone}")
        return ExitCode.OK if farewell is not None and farewell.ok else ExitCode.UNEXPECTED
    finally:
        await link.close()


async def _keep(link: BenchLink, latest: Latest) -> None:
    async for snapshot in link.snapshots():
        latest.snapshot = snapshot


class Latest(Collector):
    """The latest snapshot as metrics; asked from the threads of the HTTP server."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def collect(self) -> Iterable[Metric]:
        """Return the families of now; none before the first snapshot."""
        snapshot = self.snapshot
        return [] if snapshot is None else list(families(snapshot))


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield the metric families of a snapshot, those without a sample left out."""
    make = _Families(snapshot)
    yield from make.of_session()
    yield from make.of_load()
    yield from make.of_server()
    yield from make.of_gpus()
    yield from make.of_grid()


class _Families:
    """Makes families whose samples all bear the labels of their session."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        figures = "SIMULATED" if snapshot.simulated else "measured"
        self._common = [snapshot.session_id, snapshot.profile_name, snapshot.engine, figures]

    def of_session(self) -> Iterator[Metric]:
        """Yield what says which session this is, and how far it is."""
        snapshot = self._snapshot
        model = snapshot.server.model
        told = {"version": __version__, "model": model, "gpus": snapshot.gpu_summary, "mode": snapshot.grid.mode}
        yield from self._gauge("info", "Which session this is; always 1", [(told, 1.0)])
        yield from self._gauge("time_scale", "Modelled seconds in a real one", [({}, snapshot.time_scale)])
        running_s = (snapshot.at_ns - snapshot.started_at_ns) / 1e9
        yield from self._gauge("session_seconds", "Since the session began", [({}, running_s)])
        yield from self._gauge(
            "sweep_cells",
            "Cells of the sweep under way (prompt sizes of a search for the edge), by whether they are done",
            [
                ({"state": "done"}, snapshot.sweep.cells_done),
                ({"state": "open"}, snapshot.sweep.cells_left),
            ],
        )

    def of_load(self) -> Iterator[Metric]:
        """Yield what is asked, and how it is answered."""
        load, figures = self._snapshot.load, self._snapshot.figures
        users = [({"state": "wanted"}, load.users_wanted), ({"state": "active"}, load.users_active)]
        yield from self._gauge("users", "Simulated users", users)
        yield from self._gauge("requests_in_flight", "Requests under way", [({}, load.in_flight)])
        yield from self._gauge("prompt_tokens", "Tokens in each prompt", [({}, load.prompt_tokens)])
        yield from self._gauge("output_tokens", "Tokens asked of each request", [({}, load.output_tokens)])
        yield from self._gauge(
            "output_tokens_per_second", "Tokens that arrive, all users together", [({}, figures.tokens_per_s_total)]
        )
        yield from self._gauge(
            "output_tokens_per_second_per_user", "Tokens that arrive, per user", [({}, figures.tokens_per_s_per_user)]
        )
        window = f"of the last {figures.window_s:g} s, by quantile"
        for name, words, values in (
            ("time_to_first_token", "To the first token", (figures.ttft_p50_s, figures.ttft_p90_s, figures.ttft_p99_s)),
            ("e2e_request_latency", "To the last token", (figures.e2e_p50_s, figures.e2e_p90_s, figures.e2e_p99_s)),
            ("inter_token_latency", "Between tokens", (figures.itl_p50_s, None, figures.itl_p99_s)),
            ("time_per_output_token", "Per token after the first", (figures.tpot_p50_s, None, None)),
        ):
            samples = [({"quantile": q}, value) for q, value in zip(("0.5", "0.9", "0.99"), values, strict=True)]
            yield from self._gauge(f"{name}_seconds", f"{words}, {window}", samples)
        ended = [
            ({"result": "ok"}, float(figures.requests_ok_total)),
            ({"result": "failed"}, float(figures.requests_failed_total)),
        ]
        yield from self._counter("requests", "Requests that have ended", ended)
        yield from self._gauge(
            "client_ceiling_ratio", "Of what this load client can carry, 0 to 1", [({}, load.client_ceiling_share)]
        )
        yield from self._gauge(
            "client_lag_p99_seconds", "From a token's arrival to its processing", [({}, load.client_lag_p99_s)]
        )
        there = [({"host": host.name or "local"}, float(not host.lost)) for host in load.hosts]
        yield from self._gauge("load_host_up", "1 for a host that users can ask from, 0 for a lost one", there)
        errors = [({"host": host.name or "local"}, host.clock_error_s) for host in load.hosts]
        yield from self._gauge("load_host_clock_error_seconds", "How far a host's times may be out", errors)

    def of_server(self) -> Iterator[Metric]:
        """Yield what the server is doing; the figures of its own by its own word."""
        server = self._snapshot.server
        phases = [({"phase": str(phase)}, float(phase is server.phase)) for phase in Phase]
        yield from self._gauge("server_phase", "1 for the phase that the server is in", phases)
        yield from self._counter("server_launches", "How often it was launched", [({}, float(server.launches))])
        yield from self._gauge("server_silent_seconds", "Requests under way and no token", [({}, server.silent_s)])
        requests = [({"state": "running"}, server.running), ({"state": "waiting"}, server.waiting)]
        yield from self._gauge("server_requests", "Requests in the server, by its own word", requests)
        yield from self._gauge("server_kv_cache_usage_ratio", "0 to 1, by its own word", [({}, server.kv_cache_usage)])
        yield from self._gauge("server_kv_cache_tokens", "Size of the KV cache", [({}, server.kv_cache_tokens)])
        yield from self._counter("server_preemptions", "By its own word", [({}, server.preemptions_total)])

    def of_gpus(self) -> Iterator[Metric]:
        """Yield the readings of each GPU, and of each slice of one."""
        cards = [(_card(gpu), gpu) for gpu in self._snapshot.gpus]
        memory = [
            ({**card, "part": part}, value)
            for card, gpu in cards
            for part, value in (
                ("used", gpu.vram_used_bytes),
                ("free", gpu.vram_free_bytes),
                ("reserved", gpu.vram_reserved_bytes),
                ("server", gpu.vram_server_bytes),
                ("weights", gpu.vram_weights_bytes),
                ("kv_cache", gpu.vram_kv_cache_bytes),
                ("others", gpu.vram_neighbours_bytes),
            )
        ]
        meant = "used + free + reserved = total; of used, the server's, its weights and KV cache, and other programs'"
        yield from self._gauge("gpu_memory_bytes", meant, memory)
        total = [(card, gpu.vram_total_bytes) for card, gpu in cards]
        yield from self._gauge("gpu_memory_total_bytes", "All memory of it", total)
        active = [(card, gpu.active_share) for card, gpu in cards]
        yield from self._gauge("gpu_active_ratio", "Share of time in which a kernel ran, 0 to 1", active)
        yield from self._gauge("gpu_power_watts", "Power draw", [(card, gpu.power_w) for card, gpu in cards])
        energy = [(card, gpu.energy_j) for card, gpu in cards]
        yield from self._counter("gpu_energy_joules", "By the card's own counter", energy)
        celsius = [(card, gpu.temperature_c) for card, gpu in cards]
        yield from self._gauge("gpu_temperature_celsius", "Temperature", celsius)
        yield from self._gauge(
            "gpu_lost", "1 for a card that is gone", [(card, float(gpu.lost)) for card, gpu in cards]
        )

    def of_grid(self) -> Iterator[Metric]:
        """Yield how many cells ended how, and the figures of those that were measured."""
        cells = [cell for cell in self._snapshot.grid.cells if not cell.outcome.is_open]
        counts = Counter(str(cell.outcome) for cell in cells)
        yield from self._gauge(
            "cells", "Cells of the grid that are known", [({"outcome": name}, n) for name, n in counts.items()]
        )
        named = [
            ({"users": str(cell.users), "prompt_tokens": str(cell.prompt_tokens)}, cell) for cell in cells[-MOST_CELLS:]
        ]
        resolve = [(place, cell.time_to_resolve_s) for place, cell in named]
        yield from self._gauge("cell_time_to_resolve_seconds", "Mean latency of a cell's requests", resolve)
        rate = [(place, cell.tokens_per_s_total) for place, cell in named]
        yield from self._gauge("cell_output_tokens_per_second", "Of a cell, all users together", rate)

    def _gauge(self, name: str, words: str, samples: Samples) -> Iterator[Metric]:
        yield from self._filled(GaugeMetricFamily, name, words, samples)

    def _counter(self, name: str, words: str, samples: Samples) -> Iterator[Metric]:
        yield from self._filled(CounterMetricFamily, name, words, samples)

    def _filled(
        self, kind: type[GaugeMetricFamily] | type[CounterMetricFamily], name: str, words: str, samples: Samples
    ) -> Iterator[Metric]:
        known = [(labels, value) for labels, value in samples if value is not None]
        if not known:
            return
        family = kind(f"vramp_{name}", words, labels=[*_COMMON, *known[0][0]])
        for labels, value in known:
            values = [*self._common, *labels.values()]
            family.add_metric([safe_line(text, limit=_LABEL_CHARS) for text in values], value)
        yield family


Samples = Iterable[tuple[Mapping[str, str], float | None]]


def _card(gpu: GpuReading) -> dict[str, str]:
    place = {"host": gpu.host, "gpu": str(gpu.index), "slice": "" if gpu.mig_index is None else str(gpu.mig_index)}
    return {**place, "name": gpu.name}
