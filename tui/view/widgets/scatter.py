"""Single points over two scales that begin at 0, as lines of spans; later points cover earlier ones. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tui.view import formatting
from tui.view.widgets.lines import Ink, Line

_SCALE = 7
"""Cells of the scale at the left, its line included."""


@dataclass(frozen=True, slots=True)
class Point:
    """A glyph of one cell at (x, y), both 0 or more."""

    x: float
    y: float
    glyph: str
    ink: Ink


def scatter(points: Sequence[Point], width: int, height: int, *, x_name: str, y_name: str) -> list[Line]:
    """Return `height` lines: what y is, the points, the line below them with what x is; nothing without room."""
    columns, rows = width - _SCALE, height - 3
    shown = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y) and point.x >= 0 <= point.y]
    if columns < 10 or rows < 3:
        return []
    right = max((point.x for point in shown), default=0.0) or 1.0
    top = max((point.y for point in shown), default=0.0) or 1.0
    cells: list[list[tuple[str, Ink]]] = [[(" ", Ink.PLAIN)] * columns for _ in range(rows)]
    for point in shown:
        column = min(columns - 1, int(point.x / right * (columns - 1) + 0.5))
        row = rows - 1 - min(rows - 1, int(point.y / top * (rows - 1) + 0.5))
        cells[row][column] = (point.glyph, point.ink)
    ends = {0: formatting.significant(top, 0), rows - 1: "0"}
    lines: list[Line] = [[(y_name[:width], Ink.DIM)]]
    for row, spans in enumerate(cells):
        lines.append([(f"{ends.get(row, ''):>{_SCALE - 2}} │", Ink.DIM), *spans])
    lines.append([(" " * (_SCALE - 1) + "└" + "─" * columns, Ink.DIM)])
    most = formatting.significant(right, 0)
    room = max(0, columns - len(most) - 2)
    lines.append([(f"{' ' * _SCALE}0 {x_name[:room]:^{room}}{most}", Ink.DIM)])
    return lines
