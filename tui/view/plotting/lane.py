"""Lanes: one curve each, with its own zero and top, its name and value beside its right end. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui.view import formatting
from tui.view.colours.paint import SHADE, Ink, Over, Paint, Tone
from tui.view.plotting.area import EIGHTHS, Picture, Values, area, level
from tui.view.plotting.scale import round_top, tick
from tui.view.plotting.seen import Mark
from tui.view.widgets.lines import Line, Span

SCALE_CELLS = 6
LABEL_CELLS = 8
_BRAILLE = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Dots by column, from the ground up."""
_THICK = 4
"""An edge of so many eighths of a cell is one that a point can lie on."""
_FAR = 2.5
"""A limit further above the data than that would press them to the ground: it is named, not drawn."""


@dataclass(frozen=True)
class Curve:
    """What a lane shows."""

    name: str
    ink: Ink
    values: Values
    """One a column."""
    told: str
    """The present value, as it stands beside the curve."""
    upper: Values = ()
    """The upper end of a band over the curve."""
    dots: tuple[tuple[float, float], ...] = ()
    """Single points: column (with its fraction), value."""
    limit: float | None = None
    limit_words: str = ""


def plot_cells(width: int) -> int:
    """Return how many columns a lane of so many cells has for its curve."""
    return max(0, width - SCALE_CELLS - LABEL_CELLS - 1)


def top_of(curve: Curve) -> float:
    """Return the round value at which a lane ends; the band's and the points' outliers do not decide alone."""
    known = [value for value in (*curve.values, *curve.upper) if value is not None and math.isfinite(value)]
    dots = sorted(value for _, value in curve.dots if math.isfinite(value))
    if dots:
        known.append(min(dots[-1], 1.3 * max([*known, dots[len(dots) * 95 // 100]])))
    highest = max(known, default=0.0)
    if curve.limit is not None and highest > 0 and curve.limit <= _FAR * highest:
        highest = max(highest, curve.limit * 1.05)
    return round_top(highest)


def lanes(curves: Sequence[tuple[Curve, int]], width: int, marks: Sequence[Mark] = ()) -> list[Line]:
    """Return curves, each in its number of rows, one below the other, ruled by the marks."""
    lines: list[Line] = []
    for place, (curve, rows) in enumerate(curves):
        lines += lane(curve, width, rows, marks, named_marks=place == 0)
    return lines


def lane(curve: Curve, width: int, rows: int, marks: Sequence[Mark] = (), *, named_marks: bool = False) -> list[Line]:
    """Return one lane. Its values must be as many as `plot_cells(width)`."""
    if rows < 1 or plot_cells(width) < 4:
        return []
    top = top_of(curve)
    picture = area(curve.values, top, rows, curve.ink, band=curve.upper)
    _add_dots(picture, curve, top)
    for mark in marks:
        _add_rule(picture, mark, named=named_marks)
    if curve.limit is not None:
        _add_limit(picture, curve, top)
    labels = _labels(curve, top, rows)
    return [
        [*_scale(top, row, rows), *_compact(cells), (" ", Ink.PLAIN), *labels[row]] for row, cells in enumerate(picture)
    ]


def _scale(top: float, row: int, rows: int) -> Line:
    text = tick(top) if row == 0 else "0" if row == rows - 1 and rows >= 3 else ""
    return [(text.rjust(SCALE_CELLS - 1) + " ", Ink.FAINT if row else Ink.DIM)]


def _labels(curve: Curve, top: float, rows: int) -> list[Line]:
    """Return what stands right of each row: name and value at the height of the curve's end."""
    lines: list[Line] = [[] for _ in range(rows)]
    room = LABEL_CELLS
    if rows == 1:
        both = f"{curve.name} {curve.told}"
        lines[0] = [((both if cell_len(both) <= room else curve.told).ljust(room)[:room], curve.ink)]
        return lines
    last = next((value for value in reversed(curve.values) if value is not None), None)
    height = level(last, top, rows)
    row = rows - 1 - max(0, height - 1) // 8 if height else rows - 2
    row = min(max(0, row), rows - 2)
    lines[row] = [(curve.name[:room], Ink.DIM)]
    lines[row + 1] = [(curve.told[:room], curve.ink)]
    return lines


def _add_dots(picture: Picture, curve: Curve, top: float) -> None:
    """Put single points into a picture: bright on an area, dark on an edge, which gives way where it is thin."""
    rows = len(picture)
    masks: dict[tuple[int, int], int] = {}
    for x, value in curve.dots:
        if not math.isfinite(value) or value < 0 or not 0 <= x < len(picture[0]):
            continue
        height = min(rows * 4 - 1, int(min(1.0, value / top) * rows * 4))
        cell = rows - 1 - height // 4, int(x)
        masks[cell] = masks.get(cell, 0) | _BRAILLE[int(x * 2) % 2][height % 4]
    for (row, column), mask in masks.items():
        text, paint = picture[row][column]
        picture[row][column] = chr(0x2800 + mask), _paint_of_dot(text, paint, curve.ink)


def _paint_of_dot(text: str, paint: Paint, edge: Ink) -> Paint:
    """Return the paint of a point in the place of a cell: most of which is ground, area or edge."""
    tone = _tone_below(paint)
    if text == " " and tone is None:
        return Ink.PLAIN
    filled = EIGHTHS.find(text)
    match paint:
        case Over(Tone() as below, Ink()) if len(EIGHTHS) - 1 - filled < _THICK:
            tone = below
        case Over(Ink(), above) if filled < _THICK:
            return Ink.PLAIN if above is None else Over(Ink.PLAIN, above)
    return Over(Ink.ON_EDGE, edge) if tone is None else Over(Ink.PLAIN, tone)


def _add_rule(picture: Picture, mark: Mark, *, named: bool) -> None:
    """Draw a thin rule where there is room; a grave one over the area as well, with its word beside its top."""
    grave = bool(mark.word)
    for row in picture:
        if not 0 <= mark.column < len(row):
            return
        text, paint = row[mark.column]
        if text == " ":
            row[mark.column] = ("│" if grave else "╎", mark.ink)
        elif grave and isinstance(paint, Tone):
            row[mark.column] = ("│", Over(mark.ink, paint))
    if named and grave:
        _write(picture[0], mark.column + 1, mark.word, mark.ink)


def _add_limit(picture: Picture, curve: Curve, top: float) -> None:
    """Draw the limit as a dashed line with its words; one that is far above is named only."""
    assert curve.limit is not None
    if curve.limit > top:
        any(_write(row, 0, f"{curve.limit_words} is above", Ink.SLO) for row in picture)
        return
    rows = len(picture)
    at = rows - 1 - min(rows * 8 - 1, level(curve.limit, top, rows) - 1) // 8
    for column, (text, paint) in enumerate(picture[at]):
        tone = _tone_below(paint)
        if text == " ":
            picture[at][column] = ("╌", Ink.SLO)
        elif tone is not None:
            picture[at][column] = ("╌", Over(Ink.SLO, tone))
        elif "⠀" < text <= "⣿" and column % 2:  # it goes on between the points
            picture[at][column] = ("╌", Over(Ink.SLO, paint.back) if isinstance(paint, Over) else Ink.SLO)
    words = f" {curve.limit_words} "
    order = sorted(range(rows), key=lambda row: abs(row - at))
    places = [(row, start) for row in order for start in range(1, len(picture[0]) - len(words), 3)]
    any(_write(picture[row], start, words, Ink.SLO, over="╌") for row, start in places)


def _tone_below(paint: Paint) -> Tone | None:
    """Return the area that fills a cell, the ragged end of a band included; None for an edge and for what lies over."""
    if isinstance(paint, Over) and paint.back is None and isinstance(paint.fore, Tone):
        return paint.fore
    return paint if isinstance(paint, Tone) else None


def _write(row: list[Span], start: int, text: str, ink: Ink, over: str = " ") -> bool:
    """Write a text into a row, if all of its cells are free for it; say whether it stands there."""
    cells = row[start : start + len(text)]
    if start < 0 or len(cells) < len(text) or any(old not in (" ", "╎", SHADE, over) for old, _ in cells):
        return False
    for place, char in enumerate(text):
        _, paint = row[start + place]
        back = paint.back if isinstance(paint, Over) else paint if isinstance(paint, Tone) else None
        row[start + place] = char, ink if back is None else Over(ink, back)
    return True


def _compact(cells: list[Span]) -> Line:
    """Return cells in as few spans as look the same: each costs some 40 bytes of colour on the wire."""
    line: Line = []
    for text, paint in cells:
        if line and line[-1][1] == paint:
            line[-1] = line[-1][0] + text, paint
        else:
            line.append((text, paint))
    return line


def time_rule(width: int, span_s: float, crosses: frozenset[int] = frozenset()) -> Line:
    """Return the line below all lanes: how far back its left end is, and `now` at the right.

    `crosses`: the columns in which a request failed; the words give way to them.
    """
    columns = plot_cells(width)
    row: list[Span] = [("─", Ink.FAINT)] * columns
    _write(row, 0, f"{formatting.rough(span_s)} ago ", Ink.DIM, over="─")
    _write(row, columns - 4, " now", Ink.DIM, over="─")
    for column in crosses:
        if 0 <= column < columns:
            row[column] = ("✕", Ink.FAILURE)
    return [(" " * SCALE_CELLS, Ink.PLAIN), *_compact(row)]
