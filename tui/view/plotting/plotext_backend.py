"""Draws a `ChartSpec` with plotext 5.3 as lines of spans. Pure, though plotext is one global figure: each call starts
with a clear one, and Textual has one thread.

Axes, scales and legends are not plotext's: it draws the canvas only, so text from outside never reaches it. Colours
are not plotext's either: a series' colour number is the place of its ink, and the theme comes in later. So a drawn
canvas keeps for any theme.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tui.view.plotting.spec import ChartSpec, Series
from tui.view.widgets.lines import Ink, Line, Span, cut

try:
    import plotext
except ImportError:  # the view works without charts
    plotext = None

_INKS = tuple(Ink)
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


def available() -> bool:
    """Say whether charts can be drawn here."""
    return plotext is not None


@lru_cache(maxsize=32)
def draw(spec: ChartSpec, width: int, height: int) -> tuple[tuple[Span, ...], ...]:
    """Return `height` lines of `width` cells; empty where there is no room or no plotext."""
    if plotext is None or width < 2 or height < 1 or not spec.x_high > spec.x_low or not spec.top > 0:
        return ()
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.theme("clear")
    plotext.frame(False)
    plotext.xaxes(False, False)
    plotext.yaxes(False, False)
    plotext.xticks([])
    plotext.yticks([])
    plotext.xlim(spec.x_low, spec.x_high)
    plotext.ylim(0, spec.top)
    for series in spec.series:
        for run in series.runs:
            _add(series, [(x, y) for x, y in run if spec.x_low <= x <= spec.x_high], spec.top)
    lines = [_spans(text) for text in plotext.build().split("\n")]
    return tuple(tuple(cut(line, width)) for line in lines[:height])


def _add(series: Series, points: list[tuple[float, float]], top: float) -> None:
    if not points:
        return
    xs, ys = [x for x, _ in points], [min(max(y, 0.0), top) for _, y in points]
    put = plotext.plot if series.joined and len(points) > 1 else plotext.scatter
    put(xs, ys, marker="braille", color=_INKS.index(series.ink))


def _spans(text: str) -> Line:
    """Return one line of plotext's output with its colour numbers read as inks."""
    line: Line = []
    ink = Ink.PLAIN
    place = 0
    for found in _SGR.finditer(text):
        if found.start() > place:
            line.append((text[place : found.start()], ink))
        place = found.end()
        codes = found[1].split(";")
        ink = _INKS[int(codes[2])] if codes[:2] == ["38", "5"] and int(codes[2]) < len(_INKS) else Ink.PLAIN
    if place < len(text):
        line.append((text[place:], ink))
    return line
