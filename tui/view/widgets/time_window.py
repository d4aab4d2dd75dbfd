"""The stretch of time that a chart shows: the same for all charts of a screen, whatever their width. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.metrics.reading import SeriesPoint

WINDOW_S = 120


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """`columns` cells of two dot columns each, the last of them holding the present moment.

    Its edges stand on multiples of a cell's time: what was drawn keeps its place until all moves on by one cell.
    """

    low_ns: int
    columns: int

    @classmethod
    def until(cls, at_ns: int, columns: int) -> TimeWindow:
        """Return the window that ends with `at_ns`."""
        cell_ns = _cell_ns(columns)
        return cls((at_ns // cell_ns + 1 - columns) * cell_ns, columns)

    @property
    def end_ns(self) -> int:
        """Return its end; nothing is known beyond."""
        return self.low_ns + self.columns * _cell_ns(self.columns)

    def dot_of(self, at_ns: int) -> int | None:
        """Return the dot column of a moment; None outside the window."""
        dot = 2 * (at_ns - self.low_ns) // _cell_ns(self.columns)
        return dot if 0 <= dot < 2 * self.columns else None

    def by_dot(self, series: Sequence[SeriesPoint], each_ns: int = NS_PER_S) -> list[SeriesPoint | None]:
        """Return one point for each dot column, None where there is none; each tells of the `each_ns` before it."""
        found: list[SeriesPoint | None] = [None] * (2 * self.columns)
        for point in series:
            last = self.dot_of(point.at_ns)
            if last is None:
                continue
            first = self.dot_of(point.at_ns - each_ns)
            for dot in range(min(last, 0 if first is None else first + 1), last + 1):
                found[dot] = point
        return found


def _cell_ns(columns: int) -> int:
    return WINDOW_S * NS_PER_S // max(1, columns)
