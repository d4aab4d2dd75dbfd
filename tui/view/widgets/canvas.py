"""The one widget under all panes: it shows lines of spans by the line API and repaints only the cells that changed.

Measured in a pty at 120x40: a DataTable repaints whole for each changed cell (4.3 kB), four Sparklines cost 18 kB;
a picture costs what changed. So any pane may simply compose all its lines at every refresh.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.view.widgets.lines import FILLED, Ink, Line, Span, cut, width_of


class Canvas(Widget):
    """Shows lines; `paint` takes new ones."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"ink--{ink.value}" for ink in Ink}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    def paint(self, lines: list[Line]) -> None:
        """Show `lines`, from the top; what goes over the size is cut."""
        width, height = self.content_size.width, self.content_size.height
        fresh = [_normal(line, width) for line in lines[:height]]
        fresh += [_normal([], width)] * (height - len(fresh))
        old, self._lines = self._lines, fresh
        if len(old) != len(fresh):
            self.refresh()
            return
        regions = [
            Region(start, y, end - start, 1)
            for y, (before, after) in enumerate(zip(old, fresh, strict=True))
            if before != after
            for start, end in (_changed(before, after),)
        ]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """Return one line as the terminal gets it."""
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.get_component_rich_style("ink--plain"))
        segments = [Segment(text, self.get_component_rich_style(f"ink--{ink.value}")) for text, ink in self._lines[y]]
        return Strip(segments).adjust_cell_length(width, self.get_component_rich_style("ink--plain"))


def _normal(line: Line, width: int) -> Line:
    """Return the line in exactly `width` cells, in as few spans as look the same: each costs 40 bytes of colour."""
    line = cut(line, width)
    line.append((" " * (width - width_of(line)), Ink.PLAIN))
    joined: Line = []
    for text, ink in line:
        if not text:
            continue
        if joined and ink is Ink.PLAIN and joined[-1][1] not in FILLED and text.isspace():
            ink = joined[-1][1]  # a blank has no colour of its own
        if joined and joined[-1][1] is ink:
            joined[-1] = (joined[-1][0] + text, ink)
        else:
            joined.append((text, ink))
    return joined


def _changed(before: Line, after: Line) -> tuple[int, int]:
    """Return the run of cells (start, end) outside of which two lines of one width are equal.

    One run a line: Textual paints each run from the widget's left edge on, so two would paint the left part twice.
    """
    old, new = _exploded(before), _exploded(after)
    if old is None or new is None or len(old) != len(new):
        return 0, max(width_of(before), width_of(after))
    changed = [x for x, (left, right) in enumerate(zip(old, new, strict=True)) if left != right]
    return (changed[0], changed[-1] + 1) if changed else (0, 0)


def _exploded(line: Line) -> list[Span] | None:
    """Return a line cell by cell, or None where a character is not one cell wide."""
    cells = [(char, ink) for text, ink in line for char in text]
    return cells if len(cells) == width_of(line) else None
