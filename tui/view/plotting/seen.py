"""What of a run is in view: its points by columns, and the moments at which something changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tui.metrics.snapshot import Snapshot
from tui.metrics.trend import TrendPoint
from tui.view.colours.paint import Ink
from tui.view.plotting.time_window import TimeWindow, fitted_span_s, now_of, points_of

Value = Callable[[TrendPoint], float | None]
_APART = 6
"""Changes of users nearer than so many columns to the one before have no rule of their own."""

_GAP = 2.5
"""Points further apart than so many of their spans have a time between them in which nothing was measured."""


@dataclass(frozen=True)
class Mark:
    """A rule through all lanes. The word is empty where the lanes say it themselves."""

    column: int
    ink: Ink
    word: str = ""


class Seen:
    """The points of a run by the columns of a window."""

    def __init__(self, snapshot: Snapshot, columns: int, span_s: float | None = None) -> None:
        """`span_s`: the seconds to show, by the clock; None = fitted to the data."""
        points = points_of(snapshot)
        scale = max(1.0, snapshot.time_scale)
        self.span_s = fitted_span_s(snapshot, points) if span_s is None else span_s * scale
        self.window = TimeWindow.until(now_of(snapshot), columns, self.span_s)
        self.snapshot = snapshot
        self._points = [point for point in points if self.window.low_ns < point.at_ns <= self.window.end_ns]
        self._columns = self._by_column()

    def _by_column(self) -> list[list[TrendPoint]]:
        columns: list[list[TrendPoint]] = [[] for _ in range(self.window.columns)]
        for point in self._points:
            last = self.window.column_of(point.at_ns)
            if last is None:
                continue
            first = self.window.column_of(point.at_ns - point.span_ns)
            for column in range(min(last, 0 if first is None else first + 1), last + 1):
                columns[column].append(point)
        return columns

    def means(self, value: Value) -> list[float | None]:
        """Return one value a column: the mean of what is known in it."""
        return [sum(known) / len(known) if known else None for known in self._known(value)]

    def greatest(self, value: Value) -> list[float | None]:
        """Return one value a column: the greatest in it."""
        return [max(known, default=None) for known in self._known(value)]

    def _known(self, value: Value) -> list[list[float]]:
        return [
            [one for point in points if (one := value(point)) is not None and math.isfinite(one)]
            for points in self._columns
        ]

    def marks(self) -> list[Mark]:
        """Return the moments of change, the grave ones first: they are drawn first, and keep their place."""
        deaths = [
            Mark(column, Ink.FAILURE, "OOM" if death.outcome.is_oom else "died")
            for death in self.snapshot.deaths
            if (column := self.window.column_of(death.at_ns)) is not None
        ]
        back = [
            Mark(max(column, death.column + 1), Ink.GOOD, "↻")
            for death, at_ns in zip(deaths, self._back_ns(deaths), strict=True)
            if at_ns is not None and (column := self.window.column_of(at_ns)) is not None
        ]
        changes: list[Mark] = []
        for before, after in pairwise(self._points):
            column = self.window.column_of(after.at_ns)
            if (before.users_wanted, before.prompt_tokens) == (after.users_wanted, after.prompt_tokens) or not column:
                continue
            if not changes or column - changes[-1].column >= _APART:
                changes.append(Mark(column, Ink.RULE))
        return [*deaths, *back, *changes]

    def _back_ns(self, deaths: list[Mark]) -> list[int | None]:
        """Return when there were figures again after each death in view: at the first point behind a gap."""
        found: list[int | None] = []
        for death in deaths:
            gaps = (
                after.at_ns
                for before, after in pairwise(self._points)
                if (self.window.column_of(after.at_ns) or 0) >= death.column
                and after.at_ns - before.at_ns > _GAP * max(before.span_ns, after.span_ns)
            )
            found.append(next(gaps, None))
        return found
