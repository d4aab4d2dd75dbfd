"""A session at any of its moments, as the snapshot that a live bench would have shown. Reads only what it shows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

import msgspec

from tui.core.clock import NS_PER_S, NS_PER_US
from tui.core.outcome import Outcome
from tui.metrics.boundary import edges, must_queue
from tui.metrics.cell import CellResult
from tui.metrics.gpu_hosts import in_order, rounds
from tui.metrics.gpu_trend import ROUNDS, GpuTrend, GpuTrends
from tui.metrics.of_record import latency_point, request_row
from tui.metrics.reading import GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import (
    LATENCY_POINTS,
    LOG_LINES,
    REQUEST_ROWS,
    SERIES_POINTS,
    Figures,
    GridStatus,
    LatencyPoint,
    LoadStatus,
    Phase,
    RequestRow,
    ServerStatus,
    Snapshot,
    SweepStatus,
)
from tui.metrics.window import WINDOW_S, LiveWindow
from tui.profile.schema import LoadTable, Mode
from tui.session.exported import without_figures
from tui.session.kept_profile import edges_of, profile_of
from tui.session.reader import SessionReader, latest_cells
from tui.session.references import Beside, beside_session

# A round of readings of all GPUs is together; a GPU that was not read for longer is not there any more.
_GPU_ROUND_S = 5
_GPU_READINGS = 8192
# A minute of eight cards cut into seven slices each.
_TREND_READINGS = 64 * 60
# Requests that were under way at a moment and ended later than this bear no token to its figures.
_LONGEST_REQUEST_S = 600


def snapshot(reader: SessionReader, at_ns: int | None = None, beside: Beside | None = None) -> Snapshot:
    """Return what was to be seen at a moment of the session's axis (None = its end). Raises SessionError.

    `beside`: what its cells are laid beside, where that was read before.
    """
    moment_ns = reader.last_ns() if at_ns is None else at_ns
    meta, profile = reader.meta, profile_of(reader.meta)
    load = profile.load if profile is not None else LoadTable()
    series = list(reader.series(until_ns=moment_ns, last=SERIES_POINTS))
    last = series[-1] if series else None
    window = _window(reader, moment_ns, series)
    server = _server(reader, moment_ns, last)
    grid = _grid(reader, moment_ns, load, server)
    beside = beside_session(reader) if beside is None else beside
    return Snapshot(
        at_ns=moment_ns,
        started_at_ns=meta.started_at_ns,
        started_at=meta.started_at,
        session_id=meta.session_id,
        session_file=str(reader.path),
        simulated=meta.simulated,
        time_scale=meta.time_scale,
        profile_name=meta.profile_name,
        profile_title=meta.profile_title or (profile.display_title if profile is not None else meta.profile_name),
        engine=meta.engine,
        gpu_summary=meta.gpu_summary,
        command_line=meta.command_line,
        server=server,
        load=_load(last, load, window, moment_ns, meta.stamps, grid),
        figures=_figures(reader, window, moment_ns),
        distributions=window.distributions(moment_ns),
        series=series,
        trend=[point for point in reader.trend if point.at_ns <= moment_ns],
        deaths=reader.deaths(moment_ns),
        points=_points(reader, moment_ns),
        gpus=_gpus(reader, moment_ns),
        gpu_trends=_gpu_trends(reader, moment_ns),
        gpu_note=meta.gpu_note,
        grid=grid,
        terms=beside.terms,
        reference=beside.reference,
        sweep=_sweep(grid, load),
        edges=edges_of(reader, moment_ns),
        requests=_rows(reader, moment_ns, series, failed=False),
        requests_failed=_rows(reader, moment_ns, series, failed=True),
        log=list(reader.events(until_ns=moment_ns, last=LOG_LINES)),
    )


def _second_ns(reader: SessionReader) -> int:
    """Return a second of the wall in the session's time."""
    return round(NS_PER_S * reader.meta.time_scale)


def _server(reader: SessionReader, at_ns: int, last: SeriesPoint | None) -> ServerStatus:
    status = reader.server_at(at_ns) or ServerStatus(phase=Phase.ENDED)
    return msgspec.structs.replace(
        status,
        phase=Phase.ENDED,
        pid=None,
        running=last.server_running if last else None,
        waiting=last.server_waiting if last else None,
        kv_cache_usage=last.kv_cache_usage if last else None,
        preemptions_total=last.preemptions_total if last else None,
    )


def _load(
    last: SeriesPoint | None, load: LoadTable, window: LiveWindow, at_ns: int, stamps: str, grid: GridStatus
) -> LoadStatus:
    if last is None:
        return LoadStatus(output_tokens=load.output_tokens, stamps=stamps)
    return LoadStatus(
        users_wanted=last.users_wanted,
        users_active=last.users_active,
        in_flight=last.in_flight,
        prompt_tokens=last.prompt_tokens,
        output_tokens=load.output_tokens,
        activity="sweep" if _sweeping(grid) else "users" if last.users_wanted else "idle",
        delivered_concurrency=window.delivered_concurrency(at_ns),
        client_ceiling_share=last.client_cpu_share,
        client_lag_p99_s=last.client_lag_p99_s,
        stamps=stamps,
    )


# -- the figures of the last seconds -----------------------------------------------------------------------------


def _window(reader: SessionReader, at_ns: int, series: list[SeriesPoint]) -> LiveWindow:
    """Return the live bench's own window, fed with what it was fed with."""
    window = LiveWindow(reader.meta.time_scale)
    second_ns = _second_ns(reader)
    since_ns = max(-1, at_ns - (WINDOW_S + 2) * second_ns)
    if reader.had_tokens_before(since_ns):
        # The live window knows since when tokens have come; an old one says that it is longer than the window.
        window.add_tokens([(since_ns, 1)])
    for point in series:
        if point.at_ns > since_ns:
            window.series_point(
                point.at_ns,
                users_wanted=point.users_wanted,
                users_active=point.users_active,
                in_flight=point.in_flight,
                prompt_tokens=point.prompt_tokens,
            )
    until_ns = at_ns + _LONGEST_REQUEST_S * second_ns
    records = list(reader.requests(since_ns=since_ns, until_ns=until_ns, started_ns=at_ns))
    window.add_tokens(sorted(pair for record in records for pair in _arrivals(record, since_ns, at_ns)))
    window.add_records(record for record in records if record.end_ns <= at_ns)
    return window


def _arrivals(record: RequestRecord, since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    """Yield (at_ns, tokens) of one request; tokens are spread evenly over the events that bore them, and these evenly
    over its time where their gaps are not kept."""
    if record.first_token_ns is None or record.last_token_ns is None or not record.events:
        return
    first_ns, told = record.first_token_ns, 0
    gaps_us = record.gaps_us() or [(record.last_token_ns - first_ns) / NS_PER_US / max(1, record.events - 1)] * (
        record.events - 1
    )
    for number, after_us in enumerate(accumulate(gaps_us, initial=0), start=1):
        arrived_ns = first_ns + round(after_us * NS_PER_US)
        total = record.tokens * min(number, record.events) // record.events
        if since_ns < arrived_ns <= until_ns and total > told:
            yield arrived_ns, total - told
        told = total


def _figures(reader: SessionReader, window: LiveWindow, at_ns: int) -> Figures:
    ok, failed = reader.request_counts(at_ns)
    return msgspec.structs.replace(window.figures(at_ns), requests_ok_total=ok, requests_failed_total=failed)


# -- requests ----------------------------------------------------------------------------------------------------


def _points(reader: SessionReader, at_ns: int) -> list[LatencyPoint]:
    return [latency_point(record) for record in reader.requests(until_ns=at_ns, last=LATENCY_POINTS, cancelled=False)]


def _rows(reader: SessionReader, at_ns: int, series: list[SeriesPoint], *, failed: bool) -> list[RequestRow]:
    moments = [point.at_ns for point in series]
    records = list(reader.requests(until_ns=at_ns, last=REQUEST_ROWS, failed=failed, cancelled=False))
    rows = []
    for record in reversed(records):
        place = bisect_right(moments, record.end_ns) - 1
        rows.append(request_row(record, series[max(0, place)].users_wanted if series else 0))
    return rows


# -- GPUs and the grid -------------------------------------------------------------------------------------------


def _gpus(reader: SessionReader, at_ns: int) -> list[GpuReading]:
    newest = next(reader.gpus(until_ns=at_ns, last=1), None)
    if newest is None:
        return []
    since_ns = newest.at_ns - _GPU_ROUND_S * _second_ns(reader) - 1
    latest = {each.place: each for each in reader.gpus(since_ns=since_ns, until_ns=at_ns, last=_GPU_READINGS)}
    return sorted(latest.values(), key=_place)


def _gpu_trends(reader: SessionReader, at_ns: int) -> list[GpuTrend]:
    """Return the minute before a moment; the readings of one round are together, and not of one time."""
    since_ns = at_ns - ROUNDS * _second_ns(reader)
    trends = GpuTrends()
    for latest in rounds(reader.gpus(since_ns=since_ns, until_ns=at_ns, last=_TREND_READINGS)):
        trends.take(sorted(latest, key=_place))
    return trends.trends


def _place(reading: GpuReading) -> tuple[list[tuple[int, str]], int, int]:
    """Return the order: by host, by card, each before its slices."""
    return in_order(reading.host), reading.index, -1 if reading.mig_index is None else reading.mig_index


def _grid(reader: SessionReader, at_ns: int, load: LoadTable, server: ServerStatus) -> GridStatus:
    known = reader.cells(at_ns)
    running = _running(reader.cells()[len(known) :], at_ns)
    measured = [cell for cell in known if cell.outcome is not Outcome.IMPLIED]
    mode = running.mode if running else measured[-1].mode if measured else str(load.mode)
    cells = latest_cells([*known, running] if running else known, mode)
    asked_users, asked_prompts = (load.users, load.prompt_tokens) if mode == load.mode else ([], [])
    users = sorted({*asked_users, *(cell.users for cell in cells)})
    prompts = sorted({*asked_prompts, *(cell.prompt_tokens for cell in cells)})
    return GridStatus(
        mode=mode,
        users=users,
        prompt_tokens=prompts,
        asked_users=sorted(asked_users),
        rate_per_s=load.rate_per_s if mode == Mode.RATE else None,
        cells=cells,
        current_users=running.users if running else None,
        current_prompt_tokens=running.prompt_tokens if running else None,
        queueing=must_queue(server.kv_pool, users, prompts, load.output_tokens),
        edges=edges(server.kv_pool, cells, prompts, load.output_tokens),
    )


def _running(later: list[CellResult], at_ns: int) -> CellResult | None:
    """Return the cell that was under way, as the open cell it was then: one that became known later had begun."""
    for cell in later:
        if cell.outcome is not Outcome.IMPLIED and 0 < cell.started_at_ns <= at_ns:
            running = without_figures(cell, Outcome.RUNNING)
            return msgspec.structs.replace(running, tag=cell.tag, started_at_ns=cell.started_at_ns)
    return None


def _sweep(grid: GridStatus, load: LoadTable) -> SweepStatus:
    if grid.mode != load.mode:
        return SweepStatus()
    asked = {(n, p) for n in load.users for p in load.prompt_tokens}
    done = {(cell.users, cell.prompt_tokens) for cell in grid.cells if not cell.outcome.is_open} & asked
    return SweepStatus(
        running=_sweeping(grid), cells_done=len(done), cells_total=len(asked), finished=len(done) == len(asked)
    )


def _sweeping(grid: GridStatus) -> bool:
    return any(cell.outcome is Outcome.RUNNING and cell.measured_by == "sweep" for cell in grid.cells)
