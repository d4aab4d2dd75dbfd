"""What a report tells of one session, read once and in bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.reading import Event
from tui.metrics.reference import Reference
from tui.metrics.trend import TrendPoint
from tui.session.aggregates import RequestEnds, VramPoint
from tui.session.export_toml import exported
from tui.session.exported import ExportedSession
from tui.session.judged import session_beside, verdict_lines
from tui.session.kept_profile import cells_of_sweep
from tui.session.meta import SessionMeta
from tui.session.reader import SessionReader

OnStep = Callable[[str], None]
VRAM_POINTS = 240
MOST_EVENTS = 200
MOST_ENDS = 60
_READ_EVENTS = 200_000
# A server's own log is long, and told of in the events of others where it matters.
_SOURCES_LEFT_OUT = frozenset({"server"})


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session."""

    meta: SessionMeta
    whole: ExportedSession
    cells: list[CellResult]
    """The latest of each, of the profile's mode."""
    said: list[str]
    """The best cell, costs, and what lies beside it, in words."""
    reference: Reference | None
    answered: int
    """Requests, all of them."""
    requests_failed: int
    ends: list[RequestEnds]
    """The most frequent ends."""
    trend: list[TrendPoint]
    vram: list[VramPoint]
    events: list[Event]
    """Warnings and errors, the first ones."""
    events_left_out: int
    last_ns: int

    @property
    def simulated(self) -> bool:
        """Say whether its figures are of a model of a server."""
        return self.meta.simulated

    def since_start_s(self, at_ns: int) -> float:
        """Return a moment in seconds since the session's start."""
        return (at_ns - self.meta.started_at_ns) / NS_PER_S

    @property
    def failed(self) -> list[CellResult]:
        """The cells that were not answered well, with their evidence; implied ones are left out."""
        return [cell for cell in self.cells if cell.outcome not in (Outcome.OK, Outcome.IMPLIED)]


def facts_of(path: Path, on_step: OnStep = lambda said: None, *, damaged: bool = False) -> SessionFacts:
    """Read a session file. Raises SessionError."""
    on_step("opening the session")
    with SessionReader(path, damaged=damaged) as reader:
        on_step("reading the cells")
        whole, cells = exported(reader), cells_of_sweep(reader)
        beside = session_beside(reader.meta)
        on_step("counting the requests")
        ends = reader.request_ends(MOST_ENDS)
        answered, requests_failed = reader.request_counts()
        on_step("reading the seconds of the run")
        trend, vram = reader.trend, reader.vram(VRAM_POINTS)
        told = [
            event
            for event in reader.events(last=_READ_EVENTS)
            if event.level != "info" and event.source not in _SOURCES_LEFT_OUT
        ]
        return SessionFacts(
            meta=reader.meta,
            whole=whole,
            cells=cells,
            said=verdict_lines(reader.meta, cells, beside),
            reference=beside.reference,
            answered=answered,
            requests_failed=requests_failed,
            ends=ends,
            trend=trend,
            vram=vram,
            events=told[:MOST_EVENTS],
            events_left_out=max(0, len(told) - MOST_EVENTS),
            last_ns=reader.last_ns(),
        )
