"""The moment at which memory gives out, as an audience is told it: at how many people, and what was done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.metrics.cell import CellResult
from tui.metrics.snapshot import Phase, ServerDeath, Snapshot

SHOWN_S = 15.0
"""So long, session s, it stays in the foreground once all is well again."""


@dataclass(frozen=True, slots=True)
class MemoryEnd:
    """That memory gave out."""

    users: int
    """At how many people; 0 = not known."""
    done: str
    """What was done about it."""


def memory_end(snapshot: Snapshot) -> MemoryEnd | None:
    """Return the end of the memory that an audience is to see now; None where there is none, or it is long over."""
    death = snapshot.deaths[-1] if snapshot.deaths else None
    if death is not None and death.outcome.is_oom:
        over = (
            snapshot.server.phase is Phase.ENDED and death.back_ns is not None
        )  # of a replay, which goes on from there
        if snapshot.server.phase is not Phase.READY and not over:
            return MemoryEnd(_users_when_it_died(snapshot, death), _done_meanwhile(snapshot))
        if _is_fresh(snapshot, death.at_ns):
            waiting = snapshot.load.users_before
            then = f" {people(waiting)} wait to ask again." if waiting else ""
            return MemoryEnd(_users_when_it_died(snapshot, death), f"The server was started again, and answers.{then}")
    cell = _latest(snapshot)
    if cell is not None and snapshot.server.phase is Phase.READY and _is_fresh(snapshot, _ended_ns(cell)):
        return MemoryEnd(cell.users, "The server goes on: what did not fit was given no answer.")
    return None


def people(number: int) -> str:
    """Return so many people in words."""
    return "1 person" if number == 1 else f"{number} people"


def _done_meanwhile(snapshot: Snapshot) -> str:
    if snapshot.server.phase in (Phase.RELAUNCHING, Phase.LAUNCHING):
        stages = snapshot.server.stages
        at = next((place for place, one in enumerate(stages, 1) if one.state == "current"), None)
        step = f" (step {at} of {len(stages)})" if at is not None else ""
        return f"The server went down with all its answers. It is being started again{step}."
    if snapshot.server.phase is Phase.ENDED:
        return "The server went down with all its answers; the session is over."
    return "The server went down with all its answers, and was not started again."


def _users_when_it_died(snapshot: Snapshot, death: ServerDeath) -> int:
    before = next((point for point in reversed(snapshot.series) if point.at_ns <= death.at_ns), None)
    return before.users_wanted if before is not None else 0


def _is_fresh(snapshot: Snapshot, at_ns: int) -> bool:
    return snapshot.at_ns - at_ns <= SHOWN_S * NS_PER_S


def _latest(snapshot: Snapshot) -> CellResult | None:
    """Return the cell that ran out of memory last."""
    found = [cell for cell in snapshot.grid.cells if cell.outcome.is_oom and cell.started_at_ns]
    return max(found, key=_ended_ns, default=None)


def _ended_ns(cell: CellResult) -> int:
    return cell.started_at_ns + round((cell.duration_s or 0.0) * NS_PER_S)
