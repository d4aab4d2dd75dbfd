"""The stretch of time that charts show: the same for all charts of a screen, whatever their width. Pure.

It is fitted to the data and grows with it: half a minute at first, so that the first seconds fill it, up to ten
minutes, then all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.metrics.snapshot import Snapshot
from tui.metrics.trend import TrendPoint, trend_point

SPANS_S = (30, 45, 60, 90, 120, 180, 240, 300, 420, 600)
_LONGER_S = (1200, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
_FRESH_S = 2.5


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """`columns` cells of `cell_ns` each, the last of them holding the present moment.

    Its edges stand on multiples of a cell's time: what was drawn keeps its place until all moves on by one cell.
    """

    low_ns: int
    cell_ns: int
    columns: int

    @classmethod
    def until(cls, at_ns: int, columns: int, span_s: float) -> TimeWindow:
        """Return the window of so many seconds that ends with `at_ns`."""
        cell_ns = max(1, round(span_s * NS_PER_S) // max(1, columns))
        return cls((at_ns // cell_ns + 1 - columns) * cell_ns, cell_ns, columns)

    @property
    def end_ns(self) -> int:
        """Return its end; nothing is known beyond."""
        return self.low_ns + self.columns * self.cell_ns

    def column_of(self, at_ns: int) -> int | None:
        """Return the column of a moment; None outside the window."""
        column = (at_ns - self.low_ns) // self.cell_ns
        return column if 0 <= column < self.columns else None

    def share_of(self, at_ns: int) -> float:
        """Return how far into its column a moment is, 0 to 1."""
        return (at_ns - self.low_ns) % self.cell_ns / self.cell_ns


def points_of(snapshot: Snapshot) -> list[TrendPoint]:
    """Return the run as points, oldest first: the latest minutes by the second, what was before in longer steps."""
    second_ns = max(1, round(NS_PER_S * snapshot.time_scale))
    recent = [trend_point(point, second_ns) for point in snapshot.series]
    begins = recent[0].at_ns if recent else snapshot.at_ns + 1
    return [*(point for point in snapshot.trend if point.at_ns < begins), *recent]


def fitted_span_s(snapshot: Snapshot, points: Sequence[TrendPoint]) -> float:
    """Return how many seconds of the session's time hold all that was measured, as one of a few round numbers."""
    scale = max(1.0, snapshot.time_scale)
    first_ns = next((point.at_ns - point.span_ns for point in points if _tells(point)), snapshot.at_ns)
    age_s = max(0.0, (now_of(snapshot) - first_ns) / NS_PER_S / scale)
    round_s = next((span for span in (*SPANS_S, *_LONGER_S) if age_s <= span), 86_400 * (1 + age_s // 86_400))
    return round_s * scale


def _tells(point: TrendPoint) -> bool:
    return point.users > 0 or point.users_wanted > 0 or bool(point.tokens_per_s_total)


def now_of(snapshot: Snapshot) -> int:
    """Return where the charts end: at the latest second of the series, unless nothing has been measured since long."""
    last_ns = snapshot.series[-1].at_ns if snapshot.series else 0
    fresh_ns = round(_FRESH_S * NS_PER_S * max(1.0, snapshot.time_scale))
    return last_ns if last_ns and snapshot.at_ns - last_ns <= fresh_ns else max(snapshot.at_ns, last_ns)
