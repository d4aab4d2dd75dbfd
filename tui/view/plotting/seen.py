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
        deaths: list[Mark] = []
        back: list[Mark] = []
        for death in self.snapshot.deaths:
            column, back_column = self.window.column_of(death.at_ns), self.window.column_of(death.back_ns or 0)
            if column is not None:
                deaths.append(Mark(column, Ink.FAILURE, "OOM" if death.outcome.is_oom else "died"))
            if back_column is not None:
                back.append(Mark(back_column if column is None else max(back_column, column + 1), Ink.GOOD, "↻"))
        changes: list[Mark] = []
        for before, after in pairwise(self._points):
            column = self.window.column_of(after.at_ns)
            if (before.users_wanted, before.prompt_tokens) == (after.users_wanted, after.prompt_tokens) or not column:
                continue
            if not changes or column - changes[-1].column >= _APART:
                changes.append(Mark(column, Ink.RULE))
        return [*deaths, *back, *changes]
