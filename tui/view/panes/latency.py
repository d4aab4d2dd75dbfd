"""Each finished request as a point, with p50 and p99 over time: E2E above, TTFT below, each on its own scale.

Drawn by plotext, so at most once a second: the spec holds whole seconds, and an unchanged spec is not drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from tui.core.clock import NS_PER_S
from tui.metrics.reading import SeriesPoint
from tui.metrics.snapshot import LatencyPoint, Snapshot
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.plotting import plotext_backend
from tui.view.plotting.spec import ChartSpec, curve, dots
from tui.view.widgets.axes import SCALE_CELLS, named, round_top, ruled, scaled, time_line
from tui.view.widgets.history import history
from tui.view.widgets.lines import Ink, Line, pack
from tui.view.widgets.time_window import WINDOW_S, TimeWindow

Pick = Callable[[LatencyPoint], float | None]
Percentile = Callable[[SeriesPoint], float | None]


class LatencyPane(Pane):
    """Two charts over one time line; failed requests are crosses on it."""

    KEY: ClassVar[str] = "2"
    NAME: ClassVar[str] = "latency"
    COLUMN: ClassVar[int] = 2
    HELP: ClassVar[str] = (
        "Each finished request as a point, failed ones as crosses; TTFT and E2E with their p50 and p99."
    )

    def __init__(self) -> None:
        super().__init__()
        self._drawn_for: tuple[int, int, int] | None = None
        self._charts: list[Line] = []

    def title(self, snapshot: Snapshot) -> str:
        """Return the title with the unit."""
        return "latency, s"

    def subtitle(self, snapshot: Snapshot) -> str:
        """Return the legend."""
        return "· a request  ─ p50 bright, p99 grey  ✕ failed"

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the figures and the charts."""
        lines = _figures(snapshot, width, 2 if height >= 12 else 1)
        key = (snapshot.at_ns // NS_PER_S, width, height)
        if key != self._drawn_for:
            self._drawn_for = key
            self._charts = _charts(snapshot, width, height - len(lines))
        return [*lines, *self._charts]

    def on_hide(self) -> None:
        """Forget the charts: what is not seen need not be kept."""
        self._drawn_for = None


def _figures(snapshot: Snapshot, width: int, rows: int) -> list[Line]:
    figures = snapshot.figures
    wide = width >= 70 or rows > 1
    e2e = _percentiles("E2E ", figures.e2e_p50_s, figures.e2e_p90_s, figures.e2e_p99_s, wide=wide)
    ttft = _percentiles("TTFT", figures.ttft_p50_s, figures.ttft_p90_s, figures.ttft_p99_s, wide=wide)
    itl: Line = [
        ("ITL  p50 ", Ink.DIM),
        (formatting.milliseconds(figures.itl_p50_s), Ink.PLAIN),
        (" p99 ", Ink.DIM),
        (formatting.milliseconds(figures.itl_p99_s), Ink.PLAIN),
        (" ms", Ink.DIM),
    ]
    return [pack([e2e, ttft, itl], width)] if rows == 1 else [pack([e2e, itl], width), pack([ttft], width)]


def _percentiles(name: str, p50: float | None, p90: float | None, p99: float | None, *, wide: bool) -> Line:
    """Return p50 and what else there is room for: p90 and p99, or the further out of the two that is known."""
    shown = [("p50", p50), ("p90", p90), ("p99", p99)]
    if not wide:
        shown = [("p50", p50), ("p90", p90) if p99 is None else ("p99", p99)]
    line: Line = [(name, Ink.DIM)]
    for label, value in shown:
        line += [(f" {label} ", Ink.DIM), (formatting.significant(value), Ink.STRONG if label == "p50" else Ink.PLAIN)]
    return line


def _charts(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    columns = width - SCALE_CELLS
    rows = height - 1
    if columns < 16 or rows < 2:
        return []
    newest_ns = max(snapshot.at_ns, snapshot.series[-1].at_ns if snapshot.series else 0)
    lower = rows * 2 // 5 if rows >= 5 else 0
    chart = _Chart(snapshot, TimeWindow.until(newest_ns, columns))
    lines = chart.draw(lambda point: point.e2e_s, lambda one: one.e2e_p50_s, lambda one: one.e2e_p99_s, rows - lower)
    if lower:
        below = chart.draw(lambda point: point.ttft_s, lambda one: one.ttft_p50_s, lambda one: one.ttft_p99_s, lower)
        lines = [*named(lines, "E2E"), *named(below, "TTFT")]
    lines = ruled(lines, (death.at_ns for death in snapshot.deaths), chart.window)
    return [*lines, _with_failures(time_line(width, WINDOW_S), chart)]


class _Chart:
    """The window and the points that both charts share."""

    def __init__(self, snapshot: Snapshot, window: TimeWindow) -> None:
        self.window = window
        self.columns = window.columns
        self.points = snapshot.points
        self.series = snapshot.series

    def draw(self, pick: Pick, p50: Percentile, p99: Percentile, rows: int) -> list[Line]:
        """Return one chart of so many rows, scale included."""
        values = self._seen((point.at_ns, pick(point)) for point in self.points if point.ok)
        over = self._seen((one.at_ns, p99(one)) for one in self.series)
        middle = self._seen((one.at_ns, p50(one)) for one in self.series)
        known = [y for _, y in (*values, *over, *middle) if y is not None and formatting.is_figure(y)]
        top = round_top(max(known, default=None))
        spec = ChartSpec(
            series=(
                dots(values, Ink.FAINT),
                curve(over, self.columns, Ink.DIM),
                curve(middle, self.columns, Ink.STRONG),
            ),
            x_low=self.window.low_ns / NS_PER_S,
            x_high=self.window.end_ns / NS_PER_S,
            top=top,
        )
        drawn: list[Line] = [list(row) for row in plotext_backend.draw(spec, self.columns, rows)]
        if not drawn:
            drawn = [[(text, Ink.STRONG)] for text in self._plain_line(middle, top, rows)]
        return scaled(drawn, top)

    def _seen(self, values: Iterable[tuple[int, float | None]]) -> list[tuple[float, float | None]]:
        """Return what lies in the window, with its time in s."""
        return [(at_ns / NS_PER_S, y) for at_ns, y in values if self.window.dot_of(at_ns) is not None]

    def _plain_line(self, middle: list[tuple[float, float | None]], top: float, rows: int) -> list[str]:
        """Return p50 alone by the line API: what is left where plotext is missing."""
        by_dot: list[float | None] = [None] * (2 * self.columns)
        for x, y in middle:
            dot = self.window.dot_of(round(x * NS_PER_S))
            if dot is not None:
                by_dot[dot] = y
        return history(by_dot, top, self.columns, rows)


def _with_failures(rule: Line, chart: _Chart) -> Line:
    """Return the time line with a cross where requests failed."""
    dots_failed = {chart.window.dot_of(point.at_ns) for point in chart.points if not point.ok}
    places = {SCALE_CELLS + dot // 2 for dot in dots_failed if dot is not None}
    marked: Line = []
    x = 0
    for text, ink in rule:
        for char in text:
            marked.append(("✕", Ink.FAILURE) if x in places and char == "─" else (char, ink))
            x += 1
    return marked
