"""The one widget under all panes: it shows lines of spans by the line API and repaints only the cells that changed.

Measured in a pty at 120x40: a DataTable repaints whole for each changed cell (4.3 kB), four Sparklines cost 18 kB;
a picture costs what changed. So any pane may simply compose all its lines at every refresh.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.view.colours.choice import palette_for
from tui.view.widgets.lines import SHADE, Ink, Line, Span, Tone, cut, has_background, shaded, width_of


class Canvas(Widget):
    """Shows lines; `paint` takes new ones."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._given: list[Line] = []
        self._lines: list[Line] = []
        self._base_style: Style | None = None

    def paint(self, lines: list[Line]) -> None:
        """Show `lines`, from the top; what goes over the size is cut."""
        self._given = lines
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

    def on_resize(self, event: events.Resize) -> None:
        """Show in the new size what was given, some of it before there was any."""
        self.paint(self._given)

    def render_line(self, y: int) -> Strip:
        """Return one line as the terminal gets it."""
        width = self.content_size.width
        base = self._base
        if y >= len(self._lines):
            return Strip.blank(width, base)
        palette = palette_for(self.app)
        whole_cells = palette.shaded or getattr(self.app, "ascii_only", False)
        line = shaded(self._lines[y]) if whole_cells else self._lines[y]
        segments = [
            Segment(text.replace(SHADE, " ") if not palette.shaded and isinstance(paint, Tone) else text, base + style)
            for text, paint in line
            for style in (palette.style(paint),)
        ]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def _base(self) -> Style:
        """Return the style of what is not painted, by the style sheet."""
        if self._base_style is None:
            self._base_style = self.rich_style
        return self._base_style

    def notify_style_update(self) -> None:
        """Forget the style of before."""
        self._base_style = None
        super().notify_style_update()


def _normal(line: Line, width: int) -> Line:
    """Return the line in exactly `width` cells, in as few spans as look the same: each costs 40 bytes of colour."""
    line = cut(line, width)
    line.append((" " * (width - width_of(line)), Ink.PLAIN))
    joined: Line = []
    for text, ink in line:
        if not text:
            continue
        if joined and ink is Ink.PLAIN and text.isspace() and not has_background(joined[-1][1]):
            ink = joined[-1][1]  # a blank has no colour of its own
        if joined and joined[-1][1] == ink:
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
