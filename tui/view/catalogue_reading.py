"""What the picker shows, read from files and from this machine. Blocks: call it from a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tui.link.launcher import RunningBench
from tui.preflight import SIMULATED, Machine, Preflight, look_at_machine, preflight
from tui.profile.catalogue import ProfileEntry, entries
from tui.session.session_summary import SessionSummary
from tui.session.shelf import summaries

_SESSION_FILES = 40
_SESSIONS_EACH = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile and what launching it here comes to; no check for one with mistakes."""

    entry: ProfileEntry
    check: Preflight | None

    @property
    def state(self) -> str:
        """Return the state word."""
        return "invalid" if self.check is None else self.check.state

    @property
    def can_serve(self) -> bool:
        """Say whether a real server can be had here by this profile; of a shipped one that attaches, nobody knows."""
        if self.check is None or self.entry.profile is None:
            return False
        known = self.entry.profile.server is not None or not self.entry.shipped
        return known and self.check.ready and self.check.state != SIMULATED


@dataclass(frozen=True, slots=True)
class Reading:
    """All of it at one moment."""

    machine: Machine
    candidates: list[Candidate] = field(default_factory=list)
    benches: list[RunningBench] = field(default_factory=list)
    sessions: dict[str, list[str]] = field(default_factory=dict)
    """Profile name -> its last sessions, latest first, one line each."""
    grids: dict[str, SessionSummary] = field(default_factory=dict)
    """Profile name -> its last session that has measured something."""


def read_catalogue(running: Callable[[], list[RunningBench]]) -> Reading:
    """Return what there is to pick from."""
    machine = look_at_machine()
    kept = summaries(_SESSION_FILES)
    return Reading(
        machine=machine,
        candidates=[candidate_of(entry, machine) for entry in entries()],
        benches=running(),
        sessions=last_sessions(kept),
        grids=last_grids(kept),
    )


def last_grids(kept: Sequence[SessionSummary]) -> dict[str, SessionSummary]:
    """Return the latest session of each profile that has measured something."""
    return {one.profile: one for one in reversed(kept) if one.grid and one.profile}


def last_sessions(kept: Sequence[SessionSummary]) -> dict[str, list[str]]:
    """Return the latest sessions of each profile, one line each, latest first."""
    lines: dict[str, list[str]] = {}
    for session in kept:
        of_profile = lines.setdefault(session.profile, [])
        if session.profile and len(of_profile) < _SESSIONS_EACH:
            of_profile.append(_in_a_line(session))
    return lines


def _in_a_line(session: SessionSummary) -> str:
    when = session.started_at[:16].replace("T", " ")
    cells = f"{session.cells_ok} of {session.cells_measured} cells ok" if session.cells_measured else "no cells"
    best = f"best {session.best}" if session.best else ""
    simulated = "SIMULATED" if session.simulated else ""
    state = session.state_in_words if session.failure else session.state if session.state != "ended" else ""
    return "  ".join(part for part in (when, state, cells, best, simulated) if part)


def candidate_of(entry: ProfileEntry, machine: Machine) -> Candidate:
    """Return one profile with its check."""
    check = None if entry.profile is None else preflight(entry.profile, machine, entry.path)
    return Candidate(entry, check)
