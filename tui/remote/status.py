"""What a session is doing now, as one object with units in its names, and in a few lines. Pure."""

from __future__ import annotations

from collections import Counter

import msgspec

from tui.core.durations import rough_duration
from tui.metrics.cell import requests_in_words, users_in_words
from tui.metrics.gpu_hosts import added_up, by_host
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import FailureReport, Figures, LoadStatus, Phase, Snapshot, SweepStatus

_MOST_HOSTS = 16
_WORTH_TELLING = 0.03
"""Of all memory: so much a driver keeps for itself and counts as used."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a snapshot that scripts ask for; the rest is in the exports."""

    session: str
    file: str
    profile: str
    engine: str
    simulated: bool
    time_scale: float
    running_s: float
    """Since the session began, in its own seconds."""
    phase: Phase
    failure: FailureReport | None
    base_url: str
    silent_s: float | None
    server_requests_running: float | None
    server_requests_waiting: float | None
    kv_cache_usage: float | None
    """0 to 1."""
    load: LoadStatus
    figures: Figures
    mode: str
    """The grid's."""
    users: list[int]
    prompt_tokens: list[int]
    """The axes of the grid."""
    outcomes: dict[str, int]
    """How many cells of the grid ended so; those that are open are left out."""
    sweep: SweepStatus
    gpus: list[GpuReading]
    notice: str
    unkept: str


def status_of(snapshot: Snapshot) -> Status:
    """Return what a snapshot says of its session."""
    server, grid = snapshot.server, snapshot.grid
    return Status(
        session=snapshot.session_id,
        file=snapshot.session_file,
        profile=snapshot.profile_name,
        engine=snapshot.engine,
        simulated=snapshot.simulated,
        time_scale=snapshot.time_scale,
        running_s=(snapshot.at_ns - snapshot.started_at_ns) / 1e9,
        phase=server.phase,
        failure=server.failure,
        base_url=server.base_url,
        silent_s=server.silent_s,
        server_requests_running=server.running,
        server_requests_waiting=server.waiting,
        kv_cache_usage=server.kv_cache_usage,
        load=snapshot.load,
        figures=snapshot.figures,
        mode=grid.mode,
        users=grid.users,
        prompt_tokens=grid.prompt_tokens,
        outcomes=dict(Counter(str(cell.outcome) for cell in grid.cells if not cell.outcome.is_open)),
        sweep=snapshot.sweep,
        gpus=snapshot.gpus,
        notice=snapshot.notice,
        unkept=snapshot.unkept,
    )


def in_words(snapshot: Snapshot) -> list[str]:
    """Return the same in lines of their own, as somebody would tell it who looks at the screen."""
    mark = "SIMULATED, " if snapshot.simulated else ""
    lines = [
        f"session {snapshot.session_id}: {snapshot.profile_title}, {mark}"
        f"running for {rough_duration((snapshot.at_ns - snapshot.started_at_ns) / 1e9)}",
        server_in_words(snapshot),
        f"load: {load_in_words(snapshot)}",
    ]
    if snapshot.load.users_wanted:
        lines.append(f"now: {figures_in_words(snapshot)}")
    lines += gpus_in_words(snapshot)
    lines.append(f"grid: {grid_in_words(snapshot)}")
    return lines + [text for text in (snapshot.notice, snapshot.unkept) if text]


def server_in_words(snapshot: Snapshot) -> str:
    """Return what the server is doing, and why it failed."""
    server = snapshot.server
    parts = [f"server: {server.phase}"]
    if server.phase is Phase.LAUNCHING:
        parts += [stage.name for stage in server.stages if stage.state == "current"]
    if server.failure is not None and server.phase is Phase.FAILED:
        parts += [server.failure.failure, server.failure.summary, server.failure.line, server.failure.advice]
    if server.silent_s is not None:
        parts.append(f"no token for {server.silent_s:.0f} s")
    return ", ".join(part for part in parts if part)


_ACTIVITIES = {
    "idle": "nothing is asked",
    "users": "users ask",
    "sweep": "the sweep of the grid",
    "ramp": "the ramp",
    "edge": "the search for the edge",
    "again": "cells are measured again",
}


def activity_in_words(snapshot: Snapshot) -> str:
    """Return what goes on, as a noun or a clause."""
    return _ACTIVITIES.get(snapshot.load.activity, snapshot.load.activity)


def load_in_words(snapshot: Snapshot) -> str:
    """Return who asks what."""
    load = snapshot.load
    active = "" if load.users_active == load.users_wanted else f" ({load.users_active:,} of them ask)"
    return (
        f"{users_in_words(load.users_wanted)}{active}, {load.prompt_tokens} prompt tokens, "
        f"{load.output_tokens} output tokens; {activity_in_words(snapshot)}"
    )


def figures_in_words(snapshot: Snapshot) -> str:
    """Return the figures of the last seconds; those that are not known are left out."""
    figures = snapshot.figures
    parts = [
        _part("tokens/s", figures.tokens_per_s_total, 0),
        _part("tokens/s per user", figures.tokens_per_s_per_user, 1),
        _part("s to the first token (median)", figures.ttft_p50_s, 2),
        _part("s to the last token (median)", figures.e2e_p50_s, 2),
        f"{requests_in_words(figures.requests_failed)} failed" if figures.requests_failed else "",
    ]
    known = [part for part in parts if part] or ["no figures yet"]
    return ", ".join([*known, "SIMULATED"] if snapshot.simulated else known)


def gpus_in_words(snapshot: Snapshot) -> list[str]:
    """Return what the memory of the cards holds: of all together, and of each host where there are several."""
    hosts = by_host(snapshot.gpus)
    told = [added_up(cards, host) for host, cards in hosts.items()]
    if len(told) > 1:
        told = [added_up(snapshot.gpus, f"all {len(told)} hosts"), *told]
    mark = "SIMULATED " if any(gpu.simulated for gpu in snapshot.gpus) else ""
    lines = [_memory_in_words(whole, mark) for whole in told[:_MOST_HOSTS]]
    return [*lines, f"and {len(told) - _MOST_HOSTS} hosts more"] if len(told) > _MOST_HOSTS else lines


def _memory_in_words(whole: GpuReading, mark: str) -> str:
    used, total = whole.vram_used_bytes, whole.vram_total_bytes
    name = whole.name.replace(" (SIMULATED)", "")
    memory = "not told" if used is None or total is None else f"{used / 1e9:.1f} of {total / 1e9:.1f} GB"
    server = whole.vram_server_bytes
    if used is not None and total is not None and server is not None and used - server > _WORTH_TELLING * total:
        memory += f", {server / 1e9:.1f} the server's"
    return f"GPU memory{f' of {whole.host}' if whole.host else ''}: {mark}{name}, {memory}"


def grid_in_words(snapshot: Snapshot) -> str:
    """Return how much of the grid is known, and how it ended."""
    cells = [cell for cell in snapshot.grid.cells if not cell.outcome.is_open]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(str(cell.outcome) for cell in cells).items())
    sweep = snapshot.sweep
    parts = [f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} known" + (f" ({counts})" if counts else "")]
    if sweep.cells_total:
        of_what = "prompt sizes have their edge" if sweep.looks_for_edge else "cells of the sweep are done"
        parts.append(f"{sweep.cells_done} of {sweep.cells_total} {of_what}")
    if sweep.running and sweep.remaining_s is not None:
        parts.append(f"{rough_duration(sweep.remaining_s)} left")
    return ", ".join(parts)


def _part(unit: str, value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f} {unit}"
