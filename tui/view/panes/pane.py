"""What all panes have in common: a key, a title in the border, help, lines from the last snapshot."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message

from tui.metrics.snapshot import Snapshot
from tui.view.panes.arrangement import Need
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, plain, shaded, spread, text_of

_WITH_TITLES = 9
"""From so many rows on a bare pane spares one for its titles."""
_BETWEEN_TITLES = 2
"""Cells between them at least."""


class Pane(Canvas):
    """One pane. Subclasses say what they are by the constants, and compose `lines`."""

    KEY: ClassVar[str]
    """The digit that goes to it; stands before its title."""
    NAME: ClassVar[str]
    """Its word in the tab line."""
    HELP: ClassVar[str]
    """What it shows, in a sentence or two."""
    HINT: ClassVar[str] = ""
    """What the arrow keys do in it; empty = nothing."""
    MOVES_SIDEWAYS: ClassVar[bool] = False
    """Whether it takes the left and right arrow, too."""

    class Chosen(Message):
        """The mouse went down on a pane."""

        def __init__(self, pane: Pane) -> None:
            self.pane = pane
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id=f"pane-{self.KEY}", classes="pane")
        self.snapshot: Snapshot | None = None
        self.picked: tuple[int, int] | None = None
        """The cell (users, prompt tokens) that the arrow keys picked, where they pick one: enter opens it."""
        self.place: Region | None = None
        """Where the screen has put it."""
        self.bare = False
        """Whether it stands alone under the tab line, without a border: titles are its last line then."""
        self.span_s: float | None = None
        """How many seconds a chart shows; None = fitted to the data."""
        self._shown_title = ""

    def title(self, snapshot: Snapshot) -> str:
        """Return the border's title, without the number."""
        return self.NAME

    def subtitle(self, snapshot: Snapshot, size: Size, room: int) -> str:
        """Return the lower title of lines of that size, in `room` cells: a legend, or nothing."""
        return ""

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return what to show in `width` x `height` cells."""
        raise NotImplementedError

    def move(self, columns: int, rows: int) -> None:
        """Take an arrow key; most panes have nothing to move."""

    def need(self, snapshot: Snapshot) -> Need:
        """Return how many rows it needs, with its border."""
        return Need()

    def turn(self) -> None:
        """Show the next of its figures; most panes have all of them at once."""

    def unpick(self) -> bool:
        """Let go of what the arrow keys picked; say whether there was something."""
        return False

    def show(self, snapshot: Snapshot) -> None:
        """Take a new snapshot; drawn only where it can be seen."""
        self.snapshot = snapshot
        self.redraw()

    def redraw(self) -> None:
        """Draw the last snapshot again."""
        size = self.content_size
        if self.snapshot is None or not self.display or size.width < 1 or size.height < 1:
            return
        height = size.height
        if (
            self.bare
            and height >= _WITH_TITLES
            and (titles := self._titles(self.snapshot, Size(size.width, height - 1)))
        ):
            lines = self.lines(self.snapshot, size.width, height - 1)[: height - 1]
            self.paint([*lines, *([[]] * (height - 1 - len(lines))), titles])
            return
        self._set_titles(self.snapshot)
        self.paint(self.lines(self.snapshot, size.width, height))

    def _titles(self, snapshot: Snapshot, size: Size) -> Line:
        """Return the titles as one line, for want of a border; an empty one where they say no more than the tab."""
        title = plain(self.title(snapshot), size.width)
        room = size.width - cell_len(title) - _BETWEEN_TITLES
        subtitle = plain(self.subtitle(snapshot, size, room), max(0, room))
        if title == self.NAME and not subtitle:
            return []
        return spread([(title, Ink.STRONG)], [(subtitle, Ink.DIM)], size.width)

    def follow(self, place: tuple[int, int] | None) -> None:
        """Learn which cell another pane has picked."""

    def as_text(self) -> str:
        """Return the pane as plain text, title first."""
        if self.snapshot is None:
            return ""
        size = self.content_size
        lines = self.lines(self.snapshot, max(size.width, 20), max(size.height, 4))
        return text_of([[(plain(self.title(self.snapshot)), Ink.PLAIN)], *(shaded(line) for line in lines)])

    def _set_titles(self, snapshot: Snapshot) -> None:
        room = max(4, self.content_size.width - 4)
        title = plain(f"{self.KEY} {self.title(snapshot)}", room)
        subtitle = plain(self.subtitle(snapshot, self.content_size, room), room)
        if title + "\n" + subtitle != self._shown_title:  # setting a title repaints the whole widget
            self._shown_title = title + "\n" + subtitle
            self.border_title = Content(title)
            self.border_subtitle = Content(subtitle) if subtitle else None

    def on_resize(self, event: events.Resize) -> None:
        """Compose again for the new size."""
        self.redraw()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Make this the active pane."""
        self.post_message(self.Chosen(self))
