"""What can be waited for in a session: ready, steady, out of memory, done. Pure.

Each is a fact of one snapshot, not an event: who begins to wait after it has come about is told so at once, and a
script that asks for users and then waits misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.core.errors import ExitCode
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import Phase, Snapshot

_ENDS_BY_ITSELF = frozenset({"sweep", "ramp", "edge", "again"})
LASTS_S = 2.0
"""A pause that may be one between two activities counts once it has lasted so long, real seconds."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a wait has come to, in a sentence; `code` says whether it is what was waited for."""

    sentence: str
    code: ExitCode = ExitCode.OK
    lasting: bool = True
    """Otherwise it may be a pause only, and counts once it has lasted for `LASTS_S`."""


Condition = Callable[[Snapshot], Found | None]
"""Says of a snapshot whether the wait is over; None = it goes on."""


def ready(snapshot: Snapshot) -> Found | None:
    """The server answers."""
    if snapshot.server.phase is Phase.READY:
        return Found(f"the server is ready: {snapshot.server.base_url}")
    return _failed(snapshot)


def steady(snapshot: Snapshot) -> Found | None:
    """All figures that are shown are of users who have stood still: they have asked for longer than the window of the
    live figures, no request of another cell is under way, the warm-up is over, and nothing drifts."""
    load = snapshot.load
    stood_s = load.steady_for_s if snapshot.server.phase is Phase.READY else None
    settled = not load.settling and (load.precision is None or load.precision.state == "steady")
    if load.users_wanted and stood_s is not None and stood_s >= snapshot.figures.window_s and settled:
        return Found(f"{users_in_words(load.users_wanted)} x {load.prompt_tokens} tokens: steady for {stood_s:.0f} s")
    return _failed(snapshot)


def out_of_memory(snapshot: Snapshot) -> Found | None:
    """Memory has given out: in a cell of the grid, of a server that was ready, or at the launch."""
    for cell in snapshot.grid.cells:
        if cell.outcome.is_oom:
            where = f"{users_in_words(cell.users)} x {cell.prompt_tokens} tokens"
            return Found(f"{where}: {cell.outcome}: {cell.evidence}")
    for death in snapshot.deaths:
        if death.outcome.is_oom:
            return Found(f"the server died: {death.outcome}: {death.cause}")
    failure = snapshot.server.failure
    if failure is not None and failure.failure.startswith("oom"):
        return Found(f"{failure.failure}: {failure.summary}: {failure.line}")
    if snapshot.sweep.finished and snapshot.load.activity == "idle":
        return Found("all cells are measured, and memory gave out in none", ExitCode.UNEXPECTED)
    return _failed(snapshot)


def done(snapshot: Snapshot) -> Found | None:
    """What ends by itself has ended: the sweep, the search for the edge, the ramp, cells that were asked for again.

    Who stops a sweep has what was wanted; who asks for something else meanwhile has interrupted it.
    """
    sweep = snapshot.sweep
    if sweep.failed:
        return Found(sweep.failed, ExitCode.UNEXPECTED)
    if sweep.taken_over:
        return Found(sweep.taken_over, ExitCode.INTERRUPTED)
    if snapshot.load.activity in _ENDS_BY_ITSELF or snapshot.server.phase in (Phase.LAUNCHING, Phase.RELAUNCHING):
        return None
    if failed := _failed(snapshot):
        return failed
    if sweep.finished:
        return Found("all cells of the sweep have an outcome")
    left = f"; {sweep.cells_left} {'prompt sizes' if sweep.looks_for_edge else 'cells'} are open"
    said = sweep.stopped or "nothing is being measured"
    return Found(said + left if sweep.cells_left else said, lasting=bool(sweep.stopped))


CONDITIONS: dict[str, Condition] = {"ready": ready, "steady": steady, "oom": out_of_memory, "done": done}


def _failed(snapshot: Snapshot) -> Found | None:
    """Say that the server has failed for good: nothing more will come of it."""
    failure = snapshot.server.failure
    if snapshot.server.phase is not Phase.FAILED or snapshot.load.activity != "idle":
        return None
    parts = (failure.summary, failure.line) if failure else ("the server failed",)
    return Found(": ".join(part for part in parts if part), ExitCode.SERVER_UNAVAILABLE)
