"""The page of a cell as a pane, so that it is in view beside the grid where there is room: of the picked one, else of
the one that is measured now, else of the last that was."""

from __future__ import annotations

from typing import ClassVar

from tui.core.outcome import Outcome
from tui.metrics.snapshot import Snapshot
from tui.view.panes.pane import Pane
from tui.view.screens.cell import cell_facts
from tui.view.widgets.lines import Ink, Line, cut, plain, wrapped

_LABEL = 11
_BARS = frozenset("█▇▆▅▄▃▂▁┤│┼┴")


class CellPane(Pane):
    """Everything that is known of one cell, from the top; the cell's own page scrolls."""

    KEY: ClassVar[str] = "8"
    NAME: ClassVar[str] = "cell"
    HELP: ClassVar[str] = (
        "All that is known of one cell: the one picked in the grid by the arrow keys, else the present one."
    )

    def __init__(self) -> None:
        super().__init__()
        self._followed: tuple[int, int] | None = None

    def follow(self, place: tuple[int, int] | None) -> None:
        """Show that cell from now on; None = the present one."""
        if place != self._followed:
            self._followed = place
            self.redraw()

    def title(self, snapshot: Snapshot) -> str:
        """Return which cell it is."""
        place = self._place(snapshot)
        return "cell" if place is None else f"cell · {place[0]} × {place[1]}"

    def _place(self, snapshot: Snapshot) -> tuple[int, int] | None:
        grid = snapshot.grid
        if self._followed is not None:
            return self._followed
        if grid.current_users is not None and grid.current_prompt_tokens is not None:
            return grid.current_users, grid.current_prompt_tokens
        measured = [cell for cell in grid.cells if not cell.outcome.is_open and cell.outcome is not Outcome.IMPLIED]
        return (measured[-1].users, measured[-1].prompt_tokens) if measured else None

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the facts that fit."""
        place = self._place(snapshot)
        if place is None:
            return [[("no cell has been measured yet", Ink.DIM)]]
        room = max(1, width - _LABEL)
        lines: list[Line] = []
        for fact in cell_facts(place, snapshot, room):
            label = fact.label
            if not fact.lines:
                lines.append([])
            for content in fact.lines:
                text = plain(content.plain)
                drawn = set(text) & _BARS
                for part in [[(text, Ink.PLAIN)]] if drawn else wrapped(text, room) or [[]]:
                    lines.append(cut([(label.ljust(_LABEL), Ink.DIM), *part], width))
                    label = ""
        return lines[:height]
