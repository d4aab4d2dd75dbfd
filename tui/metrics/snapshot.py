"""All that a view shows, as one self-contained value: views may come and go, none needs what came before."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.aside import Aside
from tui.metrics.boundary import Edge, KvPool
from tui.metrics.cell import CellResult
from tui.metrics.distribution import Distributions
from tui.metrics.edge import Carried
from tui.metrics.gpu_trend import GpuTrend
from tui.metrics.hosts import HostReading
from tui.metrics.precision import Precision
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.reference import Reference
from tui.metrics.terms import Terms
from tui.metrics.trend import TrendPoint

SERIES_POINTS = 240
LATENCY_POINTS = 600
REQUEST_ROWS = 100
LOG_LINES = 300


class Phase(StrEnum):
    """What the server of a session is doing."""

    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"
    """It could not be started, or died too often; nothing more happens unless the operator asks."""
    RELAUNCHING = "relaunching"
    STOPPING = "stopping"
    ENDED = "ended"
    """The session is over (always so in a replay)."""


class BytesRead(msgspec.Struct, frozen=True):
    """How much of a model's weights has been read."""

    done: int
    """By the process that has read the least."""
    total: int


class StageProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a start."""

    name: str
    state: str
    """pending, current, done, failed."""
    seconds: float | None = None
    progress: float | None = None
    """0 to 1, where the log tells, or what has been read."""
    read: BytesRead | None = None
    """Of the weights, in the stage that loads them, where that is known."""


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """Why the server failed, for people."""

    failure: str
    summary: str
    line: str
    advice: str
    exit_code: int | None = None
    remedy: dict[str, str] = {}
    """Arguments by which a relaunch may come off, by their flags without dashes before them; what `advice` says."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server says that it is set up."""

    arguments: dict[str, str] = {}
    """With which it runs, by their flags without dashes before them; most tell those that are not their defaults."""
    kv_cache_blocks: int | None = None
    """That requests can have: without what stands for nothing."""
    block_size: int | None = None
    """Tokens of the KV cache in a block."""
    state_blocks: int = 0
    """Further blocks that a request has whatever its length: the states of the model's Mamba layers."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server under test."""

    phase: Phase
    stages: list[StageProgress] = []
    failure: FailureReport | None = None
    base_url: str = ""
    pid: int | None = None
    attached: bool = False
    """It was running before us, and is not stopped by us."""
    version: str = ""
    model: str = ""
    max_model_len: int | None = None
    kv_cache_tokens: int | None = None
    max_concurrency: float | None = None
    launches: int = 0
    silent_s: float | None = None
    """For how long no token has come though requests are under way, once that is too long."""
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    preemptions_total: float | None = None
    missing: list[str] = []
    """What this server does not offer, in words, e.g. "no /metrics"."""
    notes: list[str] = []
    """What was done on its account, in words, e.g. which of its models is asked."""
    settings: ServerSettings = ServerSettings()
    overrides: dict[str, str] = {}
    """Arguments with which it is launched in place of the profile's, by their flags without dashes before them."""
    nodes: dict[str, int] = {}
    """How many GPUs it holds of which machine, where it was launched over several."""

    @property
    def kv_pool(self) -> KvPool:
        """Return the size of its KV cache."""
        return KvPool(
            tokens=self.kv_cache_tokens,
            blocks=self.settings.kv_cache_blocks,
            block_size=self.settings.block_size,
            state_blocks=self.settings.state_blocks,
        )


class LoadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and what is delivered."""

    users_wanted: int = 0
    users_before: int = 0
    """How many users of the operator asked when a server died that is back now; 0 = none, or they ask again."""
    users_active: int = 0
    in_flight: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    activity: str = "idle"
    """idle, users (the operator's), sweep, ramp, edge (the search for it), again (cells that were asked for)."""
    delivered_concurrency: float | None = None
    settling: bool = False
    """Requests of another cell are still under way: the present one is not blamed for what happens."""
    precision: Precision | None = None
    """How sure the figures of the cell being measured are by now; None where that is not known."""
    steady_for_s: float | None = None
    """How long users and prompt size have stood still; None while they move."""
    client_ceiling_share: float | None = None
    """Share of what this client can carry, 0 to 1."""
    client_lag_p99_s: float | None = None
    client_users_max: int | None = None
    """How many users of a brisk reading pace this client carries on all cores; None while that is not measured."""
    workers: int = 0
    stamps: str = ""
    """Where token times come from: kernel or client."""
    hosts: list[HostReading] = []
    """Where users ask from; none where that is the bench's own machine alone."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the last seconds (`window_s`). A percentile that the sample cannot carry is None."""

    window_s: float = 10.0
    tokens_per_s_total: float | None = None
    """Of the last three full seconds."""
    tokens_per_s_per_user: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p99_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p90_s: float | None = None
    e2e_p99_s: float | None = None
    tpot_p50_s: float | None = None
    itl_p50_s: float | None = None
    itl_p99_s: float | None = None
    requests_ok: int = 0
    requests_failed: int = 0
    requests_ok_total: int = 0
    requests_failed_total: int = 0


class LatencyPoint(msgspec.Struct, frozen=True, array_like=True):
    """One finished request as a point."""

    at_ns: int
    ttft_s: float | None
    e2e_s: float | None
    ok: bool


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request as a line."""

    request_id: int
    at_ns: int
    outcome: Outcome
    users: int
    prompt_tokens: int
    output_tokens: int | None = None
    ttft_s: float | None = None
    e2e_s: float | None = None
    tokens_per_s: float | None = None
    error: str = ""
    times: int = 1
    """So many requests in a row ended in the very same way; the figures are the latest one's."""


class ServerDeath(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a server that had been ready."""

    at_ns: int
    outcome: Outcome
    cause: str
    back_ns: int | None = None
    """When a server was ready again; None = not yet."""


class GridStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The grid of one mode. Cells not listed are pending."""

    mode: str = "burst"
    users: list[int] = []
    prompt_tokens: list[int] = []
    asked_users: list[int] = []
    """The part of `users` that the profile asks for; the rest was measured beside it."""
    cells: list[CellResult] = []
    """The latest result of each cell; a running one has outcome `running`."""
    current_users: int | None = None
    current_prompt_tokens: int | None = None
    queueing: list[tuple[int, int]] = []
    """(users, prompt_tokens) of cells that must queue, by the server's own KV-cache size."""
    edges: list[Edge] = []
    """How many users the KV cache carries, predicted and measured, for each prompt size."""
    rate_per_s: float | None = None
    """In mode rate: planned requests/s for each of `users`, by which the axis is one of requests/s; else None."""


class SweepStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An automatic walk over the grid."""

    running: bool = False
    looks_for_edge: bool = False
    """It searches for the edge, and its counts are of prompt sizes: which cells it will need is not known before."""
    cells_done: int = 0
    cells_total: int = 0
    cell_progress: float | None = None
    remaining_s: float | None = None
    """Estimated from the cells measured so far; None before the first."""
    finished: bool = False
    taken_over: str = ""
    """Who ended the walk before its time by asking for something else; empty = nobody did, or it was begun again."""
    stopped: str = ""
    """Who stopped it before its time, likewise."""
    failed: str = ""
    """Why the walk ended before its time, where that was no failure of the server; empty = it did not."""

    @property
    def cells_left(self) -> int:
        """Return how many cells have no outcome yet."""
        return self.cells_total - self.cells_done


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is to be seen of a session at one moment."""

    at_ns: int
    started_at_ns: int
    started_at: str
    """ISO 8601, UTC."""
    session_id: str
    session_file: str
    simulated: bool
    time_scale: float = 1.0
    """Simulated servers only: modelled time runs this many times faster, and figures are in modelled seconds."""
    profile_name: str
    profile_title: str
    engine: str
    gpu_summary: str = ""
    """E.g. "2 × A100 40 GB"."""
    command_line: str = ""
    server: ServerStatus
    load: LoadStatus = LoadStatus()
    figures: Figures = Figures()
    distributions: Distributions = Distributions()
    """Of the last seconds (`Figures.window_s`)."""
    series: list[SeriesPoint] = []
    """The latest minutes by the second."""
    trend: list[TrendPoint] = []
    """All of the run in few points."""
    deaths: list[ServerDeath] = []
    """Of servers that had been ready, the latest ones, oldest first."""
    points: list[LatencyPoint] = []
    gpus: list[GpuReading] = []
    gpu_trends: list[GpuTrend] = []
    """Of the latest minute, a card each."""
    gpu_note: str = ""
    """Why there are no GPU readings, or what they lack; empty = all is well."""
    gpu_sample_s: float | None = None
    """What one round of readings cost."""
    grid: GridStatus = GridStatus()
    terms: Terms = Terms()
    """What the cells are judged by."""
    reference: Reference | None = None
    """What is laid beside the grid."""
    sweep: SweepStatus = SweepStatus()
    aside: Aside | None = None
    """What was last asked by hand."""
    edges: list[Carried] = []
    """The most users that were served well, by prompt size, as far as it is known; in the profile's mode."""
    requests: list[RequestRow] = []
    """Latest first."""
    requests_failed: list[RequestRow] = []
    """The latest failed ones, latest first, kept longer than `requests`."""
    log: list[Event] = []
    """Oldest first."""
    notice: str = ""
    """One sentence for the operator, e.g. that a session file cannot be written."""
    unkept: str = ""
    """Why the session file does not hold everything; empty = it does."""
