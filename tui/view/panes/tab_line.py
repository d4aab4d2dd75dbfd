"""The line of tabs over a pane that stands alone."""

from __future__ import annotations

from textual import events

from tui.view.panes.pane import Pane
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, width_of


class TabLine(Canvas):
    """Names all panes and marks one; the mouse may choose."""

    def __init__(self, panes: list[Pane]) -> None:
        super().__init__(id="tabs")
        self._panes = panes
        self._active = panes[0]

    def mark(self, active: Pane) -> None:
        """Mark one pane."""
        self._active = active
        self._draw()

    def _line(self) -> tuple[Line, list[int]]:
        """Return the line and where each tab ends."""
        width = self.content_size.width
        names = sum(len(pane.NAME) + 4 for pane in self._panes)
        bare = names > width
        gap = "" if bare else " " * min(2, max(0, width - names - 1) // len(self._panes))
        line: Line = [] if bare else [(" ", Ink.PLAIN)]
        ends: list[int] = []
        for pane in self._panes:
            active = pane is self._active
            name = f"{pane.KEY} {pane.NAME}"
            if bare and not active:  # a narrow line names the one, and shows the keys of all
                name = pane.KEY
            line.append((f"[{name}]" if active else f" {name} ", Ink.STEER if active else Ink.DIM))
            line.append((gap, Ink.PLAIN))
            ends.append(width_of(line))
        return line, ends

    def _draw(self) -> None:
        self.paint([self._line()[0]])

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Choose the tab under the mouse."""
        for pane, end in zip(self._panes, self._line()[1], strict=True):
            if event.x < end:
                pane.post_message(Pane.Chosen(pane))
                return
