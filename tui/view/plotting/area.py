"""The picture of one curve, cell by cell: eighths of blocks, a bright edge, an area that darkens towards the ground.

Pure. A cell has two colours, so the edge is as thick as that allows: `_EDGE` eighths, and up to a whole cell where the
curve passes through the upper part of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui.view.colours.paint import SHADE, TONES, Ink, Over, Tone
from tui.view.widgets.lines import Span

EIGHTHS = " ▁▂▃▄▅▆▇█"
_EDGE = 3
_BAND_STEP = 3
_BLANK: Span = (" ", Ink.PLAIN)

Values = Sequence[float | None]
Picture = list[list[Span]]
"""Rows of cells, top to bottom; each a character and its paint."""


def level(value: float | None, top: float, rows: int) -> int:
    """Return how high a value stands, in eighths of a row; nothing only for nothing."""
    if value is None or not math.isfinite(value) or value <= 0 or top <= 0:
        return 0
    return max(1, min(rows * 8, round(min(1.0, value / top) * rows * 8)))


def area(values: Values, top: float, rows: int, ink: Ink, *, band: Values = ()) -> Picture:
    """Return one column a value, from 0 to `top`; `band` is an upper bound that is filled, too, and duller."""
    columns = [
        _column(level(value, top, rows), level(band[place] if place < len(band) else None, top, rows), rows, ink)
        for place, value in enumerate(values)
    ]
    return [[column[row] for column in columns] for row in range(rows)]


def _column(height: int, upper: int, rows: int, ink: Ink) -> list[Span]:
    """Return the cells of one column, top to bottom."""
    cells = [_BLANK] * rows
    if height <= 0:
        return cells
    tone = Tone(ink, _BAND_STEP)
    for row in range(rows):
        low = (rows - 1 - row) * 8  # the cell's lower edge
        if height <= low:
            if upper > low:
                part = min(8, upper - low)
                cells[row] = (SHADE, tone) if part == 8 else (EIGHTHS[part], Over(tone, None))
        elif height < low + 8:
            cells[row] = (EIGHTHS[height - low], Over(ink, tone if upper >= low + 8 else None))
        else:
            cells[row] = _below(height - _EDGE - low, Tone(ink, row * TONES // rows), ink)
    return cells


def _below(filled: int, tone: Tone, ink: Ink) -> Span:
    """Return a cell that the curve covers, of which so many eighths are no part of the edge."""
    if filled >= 8:
        return SHADE, tone
    return ("█", ink) if filled <= 0 else (EIGHTHS[filled], Over(tone, ink))
