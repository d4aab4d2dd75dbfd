"""What the workers of a pool come to together, at one moment."""

from __future__ import annotations

from tui.core.clock import NS_PER_S, now_ns
from tui.load.crew import Crew
from tui.load.transport import Host
from tui.load.wire import LoadProgress, Report
from tui.metrics.hosts import HostReading


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
