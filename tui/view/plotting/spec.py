"""What a chart shows, as a hashable value, and its cleaning: finite values only, holes split, no more than can be seen.

plotext 6.x aborts the whole process on a NaN in a line, and every version's time goes by the number of points: so
nothing reaches it but finite runs, thinned to two values a column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tui.view.widgets.lines import Ink

LARGEST = 1e12
"""Values beyond (either sign) are left out: no latency is 30,000 years, and sums of huge values overflow."""

MOST_DOTS = 1200
"""Twice the points that a snapshot holds; drawn in about 20 ms."""

Run = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Series:
    """Points or a line: runs of finite (x, y), each drawn by itself."""

    runs: tuple[Run, ...]
    ink: Ink
    joined: bool


@dataclass(frozen=True)
class ChartSpec:
    """Series over x from `x_low` to `x_high` and y from 0 to `top`. Later series cover earlier ones."""

    series: tuple[Series, ...]
    x_low: float
    x_high: float
    top: float


def finite_runs(points: Iterable[tuple[float | None, float | None]]) -> tuple[Run, ...]:
    """Return the points as runs without None, NaN, inf and absurd values; each of these ends a run."""
    runs: list[Run] = []
    run: list[tuple[float, float]] = []
    for x, y in points:
        if x is not None and y is not None and abs(x) <= LARGEST and abs(y) <= LARGEST:
            run.append((float(x), float(y)))
        elif run:
            runs.append(tuple(run))
            run = []
    if run:
        runs.append(tuple(run))
    return tuple(runs)


def dots(points: Iterable[tuple[float | None, float | None]], ink: Ink) -> Series:
    """Return single points, the last `MOST_DOTS` of them."""
    kept = [point for run in finite_runs(points) for point in run][-MOST_DOTS:]
    return Series(runs=(tuple(kept),) if kept else (), ink=ink, joined=False)


def curve(points: Iterable[tuple[float | None, float | None]], columns: int, ink: Ink) -> Series:
    """Return a line with its holes, each run thinned so that all together keep to two values a column.

    Give only the points of the window: thinned from another start, a line that stands still would change.
    """
    runs = finite_runs(points)
    total = sum(len(run) for run in runs)
    step = max(1, math.ceil(total / max(1, 2 * columns + 2)))
    return Series(runs=tuple(_thinned(run, step) for run in runs), ink=ink, joined=True)


def _thinned(run: Run, step: int) -> Run:
    return run if step == 1 else (*run[:-1:step], run[-1])
