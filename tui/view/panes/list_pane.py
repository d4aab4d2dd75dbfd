"""A pane that shows a list: it follows the newest row or stays where one has gone to, filters, and finds words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len

from tui.metrics.snapshot import Snapshot
from tui.view.panes.pane import Pane
from tui.view.widgets.lines import Ink, Line, flowed, plain, shortened, text_of

_MOST_LINES = 3
"""Of one row."""

Key = tuple[int, int]
"""When a row came to be (ns), and which of that moment it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row; it keeps its key from snapshot to snapshot."""

    key: Key
    line: Line
    indent: int = 0
    """Of its further lines, where what is too long goes on in them; 0 = it is cut."""

    @property
    def text(self) -> str:
        """Return it as plain text."""
        return "".join(text for text, _ in self.line)


class ListPane(Pane):
    """Subclasses say what rows there are in each of their filters."""

    FILTERS: ClassVar[tuple[str, ...]]
    """What `f` goes through, in words."""
    NEWEST_BELOW: ClassVar[bool]
    """Whether time runs downwards in it."""
    NOTHING: ClassVar[str]
    """What is said where there is no row."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen = 0
        self.words = ""
        """What is searched for, as typed; empty = nothing."""
        self._at: Key | None = None
        """The newest row in view; None = follow the newest there is."""
        self._found: Key | None = None
        """The row that was found last."""
        self._room = 1
        """How many rows were seen last."""
        self._last_first: int | None = None
        """Which row would be the newest in view if one had gone back as far as that goes; None = not drawn yet."""

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the rows of the present filter, newest first, each as wide as it is."""
        raise NotImplementedError

    def above(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return what stands above the rows and does not move."""
        return []

    # ---- drawing

    def title(self, snapshot: Snapshot) -> str:
        """Return the filter, what is searched for, and whether the newest is out of sight."""
        said = [self.NAME, self.FILTERS[self.chosen]]
        if self.words:
            found = self._matches(self.rows(snapshot))
            said.append(f"/{self.words}: {len(found)} row{'' if len(found) == 1 else 's'}")
        if self._at is not None:
            said.append("gone back, end follows the newest")
        return " · ".join(said)

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the part of the list that is in view."""
        head = self.above(snapshot, width, height)[:height]
        rows = self.rows(snapshot)
        room = max(1, height - len(head))
        if not rows:
            nothing: Line = [(self.NOTHING, Ink.DIM)]
            return [*head, nothing][:height]
        self._last_first = max(0, len(rows) - self._fitting(reversed(rows), width, room))
        first = self._place(rows)
        self._room = self._fitting(rows[first:], width, room)
        blocks = [self._shown(row, width) for row in rows[first : first + self._room]]
        left = room - sum(map(len, blocks))
        if left > 0 and first + self._room < len(rows):  # the begin of one that does not fit whole
            blocks.append(self._shown(rows[first + self._room], width, left))
        if self.NEWEST_BELOW:
            blocks.reverse()
        return [*head, *(line for block in blocks for line in block)][:height]

    def _fitting(self, rows: Iterable[Row], width: int, room: int) -> int:
        """Return how many of the rows fit, of which the first always does."""
        fitting = 0
        for row in rows:
            room -= len(self._shown(row, width))
            if room < 0:
                break
            fitting += 1
        return max(1, fitting)

    def as_text(self) -> str:
        """Return all rows of the present filter, those out of sight as well."""
        if self.snapshot is None:
            return ""
        rows = [row.line for row in self.rows(self.snapshot)]
        titled: Line = [(plain(self.title(self.snapshot)), Ink.PLAIN)]
        return text_of([titled, *(rows[::-1] if self.NEWEST_BELOW else rows)])

    def _shown(self, row: Row, width: int, most: int = _MOST_LINES) -> list[Line]:
        line = row.line
        if self.words:
            line = marked(line, self.words, Ink.PILL_WARNING if row.key == self._found else Ink.BADGE)
        if row.indent and row.indent <= width // 2 and cell_len(row.text.rstrip()) > width:
            return flowed(line, width, row.indent, most)
        return [shortened(line, width)]

    def _place(self, rows: list[Row]) -> int:
        """Return which row is the newest in view, such that the room is filled."""
        return min(self._index_of(rows, self._at), self._end(rows))

    def _end(self, rows: list[Row]) -> int:
        return len(rows) - 1 if self._last_first is None else min(self._last_first, len(rows) - 1)

    def _index_of(self, rows: list[Row], key: Key | None) -> int:
        """Return where a row is; one that is gone, where the next older one is."""
        if key is None:
            return 0
        exact = next((at for at, row in enumerate(rows) if row.key == key), None)
        older = (at for at, row in enumerate(rows) if row.key[0] <= key[0])
        return exact if exact is not None else next(older, len(rows) - 1)

    # ---- moving

    def move(self, columns: int, rows: int) -> None:
        """Go back and forth."""
        if self.snapshot is None:
            return
        there = self.rows(self.snapshot)
        if there and rows:
            self._go_to(there, self._place(there) + (-rows if self.NEWEST_BELOW else rows))
            self.redraw()

    def go_to_end(self, *, newest: bool) -> None:
        """Follow the newest row, or go to the oldest one."""
        rows = self.rows(self.snapshot) if self.snapshot is not None and not newest else []
        self._at = None
        if rows:
            self._go_to(rows, len(rows) - 1)
        self.redraw()

    def _go_to(self, rows: list[Row], first: int) -> None:
        first = min(first, self._end(rows))
        self._at = rows[first].key if first > 0 else None

    # ---- filtering, finding

    def next_filter(self) -> str:
        """Show the next of its filters; return its name."""
        self.chosen = (self.chosen + 1) % len(self.FILTERS)
        self._at = self._found = None
        self.redraw()
        return self.FILTERS[self.chosen]

    def find(self, query: str) -> int:
        """Mark rows that hold these words; return how many do. Empty words end the search."""
        self.words, self._found = query, None
        rows = self.rows(self.snapshot) if self.snapshot is not None else []
        self.redraw()
        return len(self._matches(rows)) if query else 0

    def find_next(self, step: int) -> tuple[int, int]:
        """Go to the next older (1) or newer (-1) row that holds the words, round and round.

        Return which of how many it is, counted from the newest.
        """
        rows = self.rows(self.snapshot) if self.snapshot is not None else []
        matches = self._matches(rows)
        if not matches:
            return 0, 0
        at = self._index_of(rows, self._found) if self._found is not None else -1
        ahead = [match for match in (matches if step > 0 else matches[::-1]) if (match - at) * step > 0]
        place = ahead[0] if ahead else matches[0 if step > 0 else -1]
        self._found = rows[place].key
        first = self._place(rows)
        if not first <= place < first + self._room:
            self._go_to(rows, max(0, place - self._room // 2))
        self.redraw()
        return matches.index(place) + 1, len(matches)

    def unpick(self) -> bool:
        """End the search, then go back to the newest."""
        if self.words:
            self.find("")
            return True
        if self._at is not None:
            self.go_to_end(newest=True)
            return True
        return False

    def _matches(self, rows: list[Row]) -> list[int]:
        wanted = self.words.lower()
        return [at for at, row in enumerate(rows) if wanted in row.text.lower()] if wanted else []


def marked(line: Line, query: str, ink: Ink) -> Line:
    """Return a line with each place in `ink` where the words of `query` stand, be it over several spans."""
    text, wanted = "".join(text for text, _ in line).lower(), query.lower()
    if len(text) != sum(len(text) for text, _ in line):
        return line  # a letter whose small form is two: places would not be the same
    inside: set[int] = set()
    at = text.find(wanted)
    while wanted and at >= 0:
        inside.update(range(at, at + len(wanted)))
        at = text.find(wanted, at + len(wanted))
    painted: Line = []
    place = 0
    for part, paint in line:
        for char in part:
            painted.append((char, ink if place in inside else paint))
            place += 1
    return painted
