"""What happened, in words, newest last: the bench's own events, and by the filter the lines of the server's log."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from tui.engines.catalogue import shown_log_line
from tui.metrics.reading import Event
from tui.metrics.snapshot import Phase, Snapshot
from tui.view import formatting
from tui.view.panes.list_pane import ListPane, Row
from tui.view.widgets.lines import Ink, Line, cells, plain, width_of, wrapped

_LEVELS = {"warning": Ink.WARNING, "error": Ink.FAILURE}
_SERVER = "server"
_TOLD_WHOLE = ("cell", "sweep")
_FILTERS: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    ("what happened", lambda event: event.source != _SERVER),
    ("warnings and errors", lambda event: event.level != "info"),
    ("the server's log", lambda event: event.source == _SERVER),
    ("everything", lambda event: True),
)
_ALIKE_WITHIN = 6
"""Rows: a line that was among the last so many comes to stand at the end, counted, and not a second time."""
_NUMBERS = re.compile(r"\d+(?:[.:,]\d+)*")
_CAUSE_ROWS = 3


class LogPane(ListPane):
    """The tail; arrows go back in it, and there it stays while new lines come."""

    KEY: ClassVar[str] = "6"
    NAME: ClassVar[str] = "log"
    HELP: ClassVar[str] = (
        "What the bench did and saw, in words; f shows warnings and errors, the server's own log, or everything. A "
        "line that comes again is counted, not repeated."
    )
    HINT: ClassVar[str] = "The arrow keys go back in it, end follows the newest again, / searches."
    FILTERS = tuple(name for name, _ in _FILTERS)
    NEWEST_BELOW = True
    NOTHING = "nothing yet"

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the events, those that come again as one."""
        wanted = _FILTERS[self.chosen][1]
        rows = []
        of_moment: dict[int, int] = {}
        for event, times in folded([event for event in snapshot.log if wanted(event)]):
            place = of_moment[event.at_ns] = of_moment.get(event.at_ns, -1) + 1
            line = _event_line(event, times, snapshot)
            # The cause is what it is read for.
            whole = event.source in _TOLD_WHOLE or (event.source != _SERVER and event.level != "info")
            rows.append(Row((event.at_ns, place), line, indent=width_of(line[:2]) if whole else 0))
        return rows[::-1]

    def above(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return why the server failed, as long as it is down."""
        failure = snapshot.server.failure
        if failure is None or snapshot.server.phase is not Phase.FAILED or height < 2 * _CAUSE_ROWS:
            return []
        said = wrapped(f"cause  {failure.summary or failure.failure}", width, Ink.FAILURE)
        return [*said, *wrapped(failure.advice, width, Ink.STRONG, indent=7)][:_CAUSE_ROWS]


def folded(events: list[Event]) -> list[tuple[Event, int]]:
    """Return the events, oldest first, each with how often it came: as the latest of those that say the same.

    Lines of the server's log say the same when they differ in numbers alone; what the bench says is taken by its word.
    """
    rows: list[tuple[str, Event, int]] = []
    for event in events:
        words = _NUMBERS.sub("0", event.text) if event.source == _SERVER else event.text
        alike = f"{event.source} {event.level} {words}"
        before = next((row for row in reversed(rows[-_ALIKE_WITHIN:]) if row[0] == alike), None)
        if before is not None:
            rows.remove(before)
        rows.append((alike, event, 1 if before is None else before[2] + 1))
    return [(event, times) for _, event, times in rows]


def _event_line(event: Event, times: int, snapshot: Snapshot) -> Line:
    ink = _LEVELS.get(event.level, Ink.PLAIN if event.source != _SERVER else Ink.DIM)
    word = "FAILED " if event.level == "error" else ""
    stamp = formatting.wall_clock(snapshot.started_at, snapshot.started_at_ns, event.at_ns, snapshot.time_scale)
    text = shown_log_line(snapshot.engine, event.text) if event.source == _SERVER else event.text
    again: Line = [(f"{times} × ", Ink.STRONG)] if times > 1 else []
    return [(stamp + " ", Ink.FAINT), (cells(event.source, 7) + " ", Ink.DIM), *again, (word, ink), (plain(text), ink)]
