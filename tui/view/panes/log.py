"""What happened, newest last: the bench's own events and the server's log."""

from __future__ import annotations

from typing import ClassVar

from tui.engines.catalogue import shown_log_line
from tui.metrics.reading import Event
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.widgets.lines import Ink, Line, cells, cut, plain

_LEVELS = {"warning": Ink.WARNING, "error": Ink.FAILURE}


class LogPane(Pane):
    """The tail; arrows go back in it, and there it stays while new lines come."""

    KEY: ClassVar[str] = "6"
    NAME: ClassVar[str] = "log"
    HELP: ClassVar[str] = "What the server's log says, what was read from it, and what the bench did."
    HINT: ClassVar[str] = "The arrow keys go back in it."

    def __init__(self) -> None:
        super().__init__()
        self._until: int | None = None
        """at_ns of the last line shown when gone back; None = the newest."""

    def title(self, snapshot: Snapshot) -> str:
        """Return the title; it says when the end is not in sight."""
        return "log" if self._until is None else "log · gone back, ↓ to the newest"

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the last lines that fit."""
        shown = [event for event in snapshot.log if self._until is None or event.at_ns <= self._until][-height:]
        if not shown:
            return [[("nothing yet", Ink.DIM)]]
        return [_event_line(event, snapshot, width) for event in shown]

    def move(self, columns: int, rows: int) -> None:
        """Go back and forth."""
        if self.snapshot is None or not self.snapshot.log:
            return
        stamps = [event.at_ns for event in self.snapshot.log]
        here = len(stamps) - 1
        if self._until is not None:
            here = max((place for place, at_ns in enumerate(stamps) if at_ns <= self._until), default=0)
        there = max(0, here + rows)
        self._until = None if there >= len(stamps) - 1 else stamps[there]
        self.redraw()


def _event_line(event: Event, snapshot: Snapshot, width: int) -> Line:
    ink = _LEVELS.get(event.level, Ink.PLAIN if event.source != "server" else Ink.DIM)
    word = "FAILED " if event.level == "error" else ""
    stamp = formatting.wall_clock(snapshot.started_at, snapshot.started_at_ns, event.at_ns, snapshot.time_scale)
    head: Line = [(stamp + " ", Ink.FAINT), (cells(event.source, 7) + " ", Ink.DIM), (word, ink)]
    text = shown_log_line(snapshot.engine, event.text) if event.source == "server" else event.text
    return cut([*head, (plain(text, max(1, width - 17 - len(word))), ink)], width)
