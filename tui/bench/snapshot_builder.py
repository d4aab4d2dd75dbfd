"""What a view shows, kept in rings of bounded size and put together on demand. Session time throughout."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import merge

import msgspec

from tui.bench.grid import Grid
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress
from tui.metrics.aside import Aside
from tui.metrics.boundary import Edge
from tui.metrics.edge import Carried
from tui.metrics.gpu_trend import GpuTrends
from tui.metrics.of_record import latency_point, request_row
from tui.metrics.reading import Event, GpuReading, SeriesPoint, vram_used_share
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import (
    LATENCY_POINTS,
    LOG_LINES,
    REQUEST_ROWS,
    SERIES_POINTS,
    GridStatus,
    LatencyPoint,
    LoadStatus,
    RequestRow,
    ServerDeath,
    ServerStatus,
    Snapshot,
    SweepStatus,
)
from tui.metrics.trend import Trend
from tui.metrics.window import LiveWindow
from tui.session.references import NOTHING_BESIDE, Beside

NEWS_LINES = 100
# More than can have requests under way at once.
_TAGS = 100
# More than fit into a chart.
_DEATHS = 50


@dataclass(slots=True)
class SnapshotBuilder:
    """The latest of everything. Filled by the testbed and the scheduler, read by the link."""

    started_at_ns: int
    started_at: str
    session_id: str
    session_file: str
    simulated: bool
    time_scale: float
    profile_name: str
    profile_title: str
    engine: str
    gpu_summary: str
    command_line: str
    window: LiveWindow
    beside: Beside = NOTHING_BESIDE
    """What the cells are laid beside; the same from start to end."""
    series: deque[SeriesPoint] = field(default_factory=lambda: deque(maxlen=SERIES_POINTS))
    trend: Trend = field(init=False)
    deaths: deque[ServerDeath] = field(default_factory=lambda: deque(maxlen=_DEATHS))
    points: deque[LatencyPoint] = field(default_factory=lambda: deque(maxlen=LATENCY_POINTS))
    requests: deque[RequestRow] = field(default_factory=lambda: deque(maxlen=REQUEST_ROWS))
    failed: deque[RequestRow] = field(default_factory=lambda: deque(maxlen=REQUEST_ROWS))
    server_log: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=LOG_LINES - NEWS_LINES))
    """Apart from what the bench itself has to say: a server that writes without end must not push that out."""
    news: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=NEWS_LINES))
    _events: int = 0
    gpus: list[GpuReading] = field(default_factory=list)
    gpu_trends: GpuTrends = field(default_factory=GpuTrends)
    gpu_sample_s: float | None = None
    users_wanted: int = 0
    users_by_tag: dict[int, int] = field(default_factory=dict)
    """How many users were wanted when the requests of a tag began to be asked; of the latest tags."""
    notice: str = ""

    def __post_init__(self) -> None:
        self.trend = Trend(self.time_scale)

    def server_is_back(self, at_ns: int) -> None:
        """A server is ready; if one had died before, it is back."""
        if self.deaths and self.deaths[-1].back_ns is None:
            self.deaths[-1] = msgspec.structs.replace(self.deaths[-1], back_ns=at_ns)

    def begin_tag(self, tag: int) -> None:
        """Requests that start from now on have this tag."""
        self.users_by_tag[tag] = self.users_wanted
        while len(self.users_by_tag) > _TAGS:
            del self.users_by_tag[next(iter(self.users_by_tag))]

    def add_records(self, records: list[RequestRecord]) -> None:
        """Take finished requests."""
        self.window.add_records(records)
        for record in records:
            if record.outcome is Outcome.CANCELLED:
                continue  # by us, at the end of a cell, by the hundred: the session has them, nobody wants to see them
            row = request_row(record, self.users_by_tag.get(record.tag, self.users_wanted))
            self.requests.appendleft(row)
            if not record.ok:
                self._add_failed(row)
            self.points.append(latency_point(record))

    def _add_failed(self, row: RequestRow) -> None:
        """Keep a failed request; one that failed as the one before is counted with it."""
        if self.failed and _way_of(self.failed[0]) == _way_of(row):
            row = msgspec.structs.replace(row, times=self.failed.popleft().times + 1)
        self.failed.appendleft(row)

    def add_progress(self, progress: LoadProgress) -> None:
        """Take what a load worker reported."""
        self.window.add_tokens(progress.tokens)

    def take_gpus(self, readings: list[GpuReading], cost_s: float) -> None:
        """Take one round of readings of all cards, and what it cost."""
        self.gpus, self.gpu_sample_s = readings, cost_s
        self.gpu_trends.take(readings)

    def add_event(self, event: Event) -> None:
        """Take a line for the log."""
        self._events += 1
        (self.server_log if event.source == "server" else self.news).append((self._events, event))

    def tick(
        self, at_ns: int, progress: LoadProgress | None, metrics: ServerMetrics | None, prompt_tokens: int
    ) -> SeriesPoint:
        """Close a second: return its point of the series and keep it."""
        point = self.window.series_point(
            at_ns,
            users_wanted=self.users_wanted,
            users_active=progress.users_active if progress else 0,
            in_flight=progress.in_flight if progress else 0,
            prompt_tokens=prompt_tokens,
            metrics=metrics,
            client_cpu_share=progress.cpu_share if progress else None,
            client_lag_p99_s=progress.lag_p99_s if progress else None,
            vram_used_share=vram_used_share(self.gpus),
        )
        self.series.append(point)
        self.trend.add(point)
        return point

    def skip(self, at_ns: int) -> None:
        """Close a second in which nothing was measured: it has no point, and what came in it counts in none."""
        self.window.begin_anew(at_ns)

    def snapshot(
        self,
        at_ns: int,
        *,
        server: ServerStatus,
        load: LoadStatus,
        grid: Grid,
        current: tuple[int, int] | None,
        queueing: list[tuple[int, int]],
        edges: list[Edge],
        sweep: SweepStatus,
        carried: list[Carried],
        gpu_note: str,
        notice: str,
        unkept: str = "",
        aside: Aside | None = None,
    ) -> Snapshot:
        """Put the snapshot together."""
        return Snapshot(
            at_ns=at_ns,
            started_at_ns=self.started_at_ns,
            started_at=self.started_at,
            session_id=self.session_id,
            session_file=self.session_file,
            simulated=self.simulated,
            time_scale=self.time_scale,
            profile_name=self.profile_name,
            profile_title=self.profile_title,
            engine=self.engine,
            gpu_summary=self.gpu_summary,
            command_line=self.command_line,
            server=server,
            load=load,
            figures=self.window.figures(at_ns),
            distributions=self.window.distributions(at_ns),
            series=list(self.series),
            trend=self.trend.points,
            deaths=list(self.deaths),
            points=list(self.points),
            gpus=self.gpus,
            gpu_trends=self.gpu_trends.trends,
            gpu_note=gpu_note,
            gpu_sample_s=self.gpu_sample_s,
            grid=_grid_status(grid, current, queueing, edges),
            terms=self.beside.terms,
            reference=self.beside.reference,
            sweep=sweep,
            edges=carried,
            requests=list(self.requests),
            requests_failed=list(self.failed),
            log=[event for _, event in merge(self.server_log, self.news)],
            notice=notice,
            unkept=unkept,
            aside=aside,
        )


def _grid_status(
    grid: Grid, current: tuple[int, int] | None, queueing: list[tuple[int, int]], edges: list[Edge]
) -> GridStatus:
    return GridStatus(
        mode=grid.mode,
        users=grid.users,
        prompt_tokens=grid.prompt_tokens,
        asked_users=grid.asked_users,
        cells=grid.results,
        current_users=current[0] if current else None,
        current_prompt_tokens=current[1] if current else None,
        queueing=queueing,
        edges=edges,
        rate_per_s=grid.rate_per_s,
    )


def _way_of(row: RequestRow) -> tuple[object, ...]:
    return row.outcome, row.error, row.users, row.prompt_tokens
