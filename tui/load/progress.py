"""What the workers of a pool come to together, and when it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from tui.core.clock import NS_PER_S, now_ns
from tui.load.crew import Crew
from tui.load.transport import Host
from tui.load.wire import LoadProgress, Report
from tui.metrics.hosts import HostReading

FEW_WORKERS = 5
PROGRESS_EVERY_S = 0.04


class ProgressReport:
    """Gathers what arrived since it was last told; made and used in the event loop."""

    def __init__(self, crew: Crew, on_progress: Callable[[LoadProgress], None]) -> None:
        self._crew = crew
        self._on_progress = on_progress
        self._tokens: Counter[int] = Counter()
        self._events = 0
        self._loop = asyncio.get_running_loop()
        self._told_s = 0.0
        self._telling: asyncio.TimerHandle | None = None
        """Tells what came since."""

    def add(self, report: Report) -> None:
        """Count what a worker says has arrived."""
        for bucket_ns, tokens in report.tokens:
            self._tokens[bucket_ns] += tokens
        self._events += report.events

    def tell_soon(self) -> None:
        """Tell at once of few workers; of many so often that what it costs does not grow with them."""
        wait_s = self._told_s + PROGRESS_EVERY_S - self._loop.time()
        if len(self._crew.handles) <= FEW_WORKERS or wait_s <= 0:
            self.tell()
        elif self._telling is None:
            self._telling = self._loop.call_later(wait_s, self.tell)

    def tell(self) -> None:
        """Tell the state now, with what arrived since the last time."""
        self.stop()
        self._told_s = self._loop.time()
        tokens, self._tokens = sorted(self._tokens.items()), Counter()
        events, self._events = self._events, 0
        self._on_progress(progress_of(self._crew, tokens, events))

    def stop(self) -> None:
        """Tell nothing that was not told yet."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None


def progress_of(crew: Crew, tokens: list[tuple[int, int]], events: int) -> LoadProgress:
    """Return the state now, with what arrived since the last time."""
    reports = [handle.latest for handle in crew.handles if handle.latest is not None]
    lags = [report.lag_p99_s for report in reports if report.lag_p99_s is not None]
    return LoadProgress(
        at_ns=now_ns(),
        users_active=sum(report.users_active for report in reports),
        in_flight=sum(report.in_flight for report in reports),
        tokens=tokens,
        events=events,
        cpu_share=max((report.cpu_share for report in reports), default=0.0),
        lag_p99_s=max(lags, default=None),
        workers=len(reports),
        stamps=min((report.stamps for report in reports if report.stamps), default=""),  # "client" before "kernel"
        rss_bytes=sum(report.rss_bytes for report in reports),
        hosts=_readings(crew) if any(host.name for host in crew.hosts) else [],
    )


def _readings(crew: Crew) -> list[HostReading]:
    reports: dict[Host, list[Report]] = {host: [] for host in crew.hosts}
    for handle in crew.handles:
        if handle.latest is not None and handle.host in reports:
            reports[handle.host].append(handle.latest)
    return [_reading(crew, host, theirs) for host, theirs in reports.items()]


def _reading(crew: Crew, host: Host, reports: list[Report]) -> HostReading:
    clock = host.clock
    told = clock is not None and clock.known
    return HostReading(
        name=host.name,
        workers=len(reports),
        users_active=sum(report.users_active for report in reports),
        in_flight=sum(report.in_flight for report in reports),
        clock_error_s=clock.error_ns(now_ns()) / NS_PER_S if clock is not None and told else None,
        clock_drift_ppm=clock.drift_ppm if clock is not None and told else None,
        round_trip_s=(clock.round_trip_ns or 0) / NS_PER_S if clock is not None and told else None,
        lost=crew.lost.get(host, ""),
    )
