"""Below the map: the steps of its colours with their figures, then what the marks mean that are in it. Pure."""

from __future__ import annotations

from tui.metrics.cell_figures import CellFigure
from tui.view import formatting
from tui.view.panes.grid_cell import heavy
from tui.view.widgets.heat_map import HeatScale, resolve
from tui.view.widgets.lines import Ink, Line, pack, width_of

_STEP_CELLS = 6
_GAP = 2


def legend(figure: CellFigure, scale: HeatScale, unit: str, marks: list[Line], width: int) -> list[Line]:
    """Return the scale with as many of the marks as fit whole beside it, and the others in a line of their own."""
    line = scale_line(figure, scale, unit, width)
    room = width - width_of(line)
    told: list[Line] = []
    while marks and width_of(marks[0]) + _GAP <= room:
        told.append(marks[0])
        room -= width_of(marks[0]) + _GAP
        marks = marks[1:]
    for mark in told:
        line = [*line, (" " * _GAP, Ink.PLAIN), *mark]
    return [line, pack(marks, width, gap=_GAP)] if marks else [line]


def scale_line(figure: CellFigure, scale: HeatScale, unit: str, width: int) -> Line:
    """Return each step of the scale in its colour, with the figure at which it begins; the last one ends at the last.

    Where not all have room, some that are evenly apart are named.
    """
    steps = scale.steps
    if not steps:
        return []
    end = f" {_written(figure, steps[-1].end)}{' ' + unit if unit else ''}"
    size = min(_STEP_CELLS, (width - len(end)) // len(steps))
    if size < 2:
        return []
    texts = [_written(figure, step.begin) for step in steps]
    if max(map(len, texts)) >= size:
        texts = [text if len(text) < size and place % 3 == 0 else "" for place, text in enumerate(texts)]
    return [
        *((text.center(size), heavy(step.ink)) for text, step in zip(texts, steps, strict=True)),
        (end, Ink.DIM),
    ]


def _written(figure: CellFigure, value: float) -> str:
    return (resolve(value, 0) if figure.unit == "s" else formatting.significant(value, 0)).strip()
