"""Charts over two scales, drawn by plotext: dots and a path, curves over each other, and bars. The only importer of it.

plotext is one global figure, and slow to import: it comes with the first chart, and a lock lets one thread at a time
draw. Its colours are not shown: it is given the place of an ink as a colour's number, and that comes back as the ink,
so a chart has the colours of the theme it is shown in. What it is given is finite, bounded in number and size, and text
only as names of ours, made safe.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from rich.cells import cell_len

from tui.view.plotting.scale import round_ticks, round_top, tick
from tui.view.widgets.lines import Ink, Line, Span, cut, plain

MOST_DOTS = 2000
"""The last of them are drawn: a grid has fewer cells, and more could not be told apart."""
LARGEST = 1e15
WIDEST, TALLEST = 400, 120
"""Cells; on a larger terminal the chart does not fill it."""
_NAME_CELLS = 20
_AXIS_ROWS = 2
_LEAST_COLUMNS, _LEAST_ROWS = 10, 3
_COLUMNS_PER_TICK, _ROWS_PER_TICK = 14, 4

_INKS = tuple(Ink)
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Dot:
    """A glyph of one cell at (x, y), both 0 or more; its name stands beside it where there is room."""

    x: float
    y: float
    glyph: str
    ink: Ink
    name: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """A curve by its points (x, y), in the order of x, both 0 or more; None is a gap. Its letter stands at its end."""

    points: tuple[tuple[float, float] | None, ...]
    ink: Ink
    letter: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An amount, 0 or more."""

    amount: float
    ink: Ink


def dots(shown: Sequence[Dot], width: int, height: int, *, path: Ink | None = None, joined: int = 0) -> list[Line]:
    """Return `height` lines: both scales from 0, the dots in order, so that later ones cover earlier, and their names.

    The last `joined` dots are joined by a path in the ink `path`. Nothing where there is no room.
    """
    known = tuple(dot for dot in shown[-MOST_DOTS:] if _drawable(dot.x) and _drawable(dot.y))
    lines = _dots(known, min(width, WIDEST), min(height, TALLEST), path, joined)
    return [list(line) for line in lines]


def traces(shown: Sequence[Trace], width: int, height: int, *, doubling: bool = False) -> list[Line]:
    """Return `height` lines: curves over each other, later ones on top, both scales from 0.

    With `doubling` each power of two of x (1 or more) takes as much room as the next, and points are marked. Nothing
    where there is no room, or nothing to draw.
    """
    known = tuple(
        Trace(tuple(map(_kept, trace.points[-MOST_DOTS:])), trace.ink, plain(trace.letter, 1) or "•") for trace in shown
    )
    lines = _traces(known, min(width, WIDEST), min(height, TALLEST), doubling)
    return [list(line) for line in lines]


def bars(shown: Sequence[Bar], width: int) -> list[Line]:
    """Return a line for each bar, then the axis and its values; nothing where there is no room."""
    known = tuple(bar if _drawable(bar.amount) else Bar(0.0, bar.ink) for bar in shown[: TALLEST - _AXIS_ROWS])
    return [list(line) for line in _bars(known, min(width, WIDEST))]


@lru_cache(maxsize=8)
def _dots(
    shown: tuple[Dot, ...], width: int, height: int, path: Ink | None, joined: int
) -> tuple[tuple[Span, ...], ...]:
    right = round_top(max((dot.x for dot in shown), default=0.0))
    top = round_top(max((dot.y for dot in shown), default=0.0))
    rows = height - _AXIS_ROWS
    y_ticks = round_ticks(top, max(2, rows // _ROWS_PER_TICK))
    columns = width - 1 - max(len(tick(value)) for value in y_ticks)
    if columns < _LEAST_COLUMNS or rows < _LEAST_ROWS:
        return ()
    x_ticks = round_ticks(right, max(1, columns // _COLUMNS_PER_TICK))
    with _LOCK:
        plotext = _cleared(width, height)
        plotext.xlim(0, right)
        plotext.ylim(0, top)
        plotext.xticks(x_ticks, [tick(value) for value in x_ticks])
        plotext.yticks(y_ticks, [tick(value) for value in y_ticks])
        on_path = shown[-joined:] if joined else ()
        if path is not None and len(on_path) > 1:
            xs, ys = [dot.x for dot in on_path], [dot.y for dot in on_path]
            plotext.plot(xs, ys, marker="braille", color=_INKS.index(path))
        for x, y, name, ink in _named(shown, columns, rows, right, top):
            plotext.text(name, x=x, y=y, color=_INKS.index(ink), alignment="left")
        for dot in shown:
            plotext.scatter([dot.x], [dot.y], marker=dot.glyph, color=_INKS.index(dot.ink))
        return _read(plotext.build(), width, height)


@lru_cache(maxsize=8)
def _traces(shown: tuple[Trace, ...], width: int, height: int, doubling: bool) -> tuple[tuple[Span, ...], ...]:
    known = [point for trace in shown for point in trace.points if point is not None]
    if not known:
        return ()
    place = (lambda x: math.log2(max(x, 1.0))) if doubling else float
    xs = sorted({x for x, _ in known})
    top = round_top(max(y for _, y in known))
    rows = height - _AXIS_ROWS
    y_ticks = round_ticks(top, max(2, rows // _ROWS_PER_TICK))
    columns = width - 1 - max(len(tick(value)) for value in y_ticks)
    if columns < _LEAST_COLUMNS or rows < _LEAST_ROWS:
        return ()
    left, right = (place(xs[0]), place(xs[-1])) if doubling else (0.0, round_top(xs[-1]))
    right = right if right > left else left + 1.0
    most = max(1, columns // (_COLUMNS_PER_TICK // 2 if doubling else _COLUMNS_PER_TICK))
    x_ticks = xs[:: -(-len(xs) // most)] if doubling else round_ticks(right, most)
    with _LOCK:
        plotext = _cleared(width, height)
        plotext.xlim(left, right)
        plotext.ylim(0, top)
        plotext.xticks([place(value) for value in x_ticks], [tick(value) for value in x_ticks])
        plotext.yticks(y_ticks, [tick(value) for value in y_ticks])
        for trace in shown:
            for stretch in _stretches(trace.points):
                across, up = [place(x) for x, _ in stretch], [y for _, y in stretch]
                plotext.plot(across, up, marker="braille", color=_INKS.index(trace.ink))
        for trace in shown:
            points = [point for point in trace.points if point is not None]
            for x, y in points[-1:] if not doubling else points:
                plotext.scatter([place(x)], [y], marker=trace.letter, color=_INKS.index(trace.ink))
        return _read(plotext.build(), width, height)


def _stretches(points: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    """Yield what lies between gaps."""
    for known, stretch in groupby(points, key=lambda point: point is not None):
        if known:
            yield [point for point in stretch if point is not None]


def _kept(point: tuple[float, float] | None) -> tuple[float, float] | None:
    return point if point is not None and _drawable(point[0]) and _drawable(point[1]) else None


@lru_cache(maxsize=8)
def _bars(shown: tuple[Bar, ...], width: int) -> tuple[tuple[Span, ...], ...]:
    count = len(shown)
    if not count or width < _LEAST_COLUMNS:
        return ()
    right = round_top(max(bar.amount for bar in shown))
    ticks = round_ticks(right, max(1, width // _COLUMNS_PER_TICK))
    with _LOCK:
        plotext = _cleared(width, count + _AXIS_ROWS)
        plotext.xlim(0, right)
        plotext.ylim(0.5, count + 0.5)
        plotext.xticks(ticks, [tick(value) for value in ticks])
        for row, bar in enumerate(shown):
            if bar.amount > 0:
                place, ink = count - row, _INKS.index(bar.ink)
                plotext.bar([place], [bar.amount], orientation="h", width=0.1, marker="█", color=ink)
        plotext.yticks([])  # only now: each bar brings one
        return _read(plotext.build(), width, count + _AXIS_ROWS)


def _drawable(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= LARGEST


def _cleared(width: int, height: int) -> Any:
    """Return plotext with an empty figure of that size and two axes."""
    import plotext  # noqa: PLC0415 - a tenth of a second that most runs never need

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.theme("clear")
    plotext.frame(False)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.ticks_color(_INKS.index(Ink.DIM))
    return plotext


def _named(
    shown: Sequence[Dot], columns: int, rows: int, right: float, top: float
) -> Iterator[tuple[float, float, str, Ink]]:
    """Yield where names begin, in the units of the axes: those of the last dots first, beside dots and over none."""

    def place(dot: Dot) -> tuple[int, int]:
        return round(dot.x / right * (columns - 1)), round(dot.y / top * (rows - 1))

    taken = {place(dot) for dot in shown}
    for dot in reversed(shown):
        column, row = place(dot)
        name = plain(dot.name, _NAME_CELLS)
        size = cell_len(name) + 1
        for start, text in ((column + 1, f" {name}"), (column - size, f"{name} ")):
            wanted = {(at, row) for at in range(start - 1, start + size + 1)} - {(column, row)}
            if name and start >= 0 and start + size <= columns and not wanted & taken:
                taken |= wanted
                yield start / (columns - 1) * right, dot.y, text, Ink.DIM
                break


def _read(text: str, width: int, height: int) -> tuple[tuple[Span, ...], ...]:
    """Return plotext's output as spans."""
    return tuple(tuple(cut(_spans(line), width)) for line in text.split("\n")[:height])


def _spans(text: str) -> Line:
    """Return one line of plotext's output with its colours' numbers read as inks."""
    line: Line = []
    ink = Ink.PLAIN
    for place, part in enumerate(_SGR.split(text)):
        if place % 2 == 0:
            if part:
                line.append((part, ink if part.strip() else Ink.PLAIN))
            continue
        kind, _, number = part.rpartition(";")
        if part == "0":
            ink = Ink.PLAIN
        elif kind == "38;5" and int(number) < len(_INKS):
            ink = _INKS[int(number)]
    return line
