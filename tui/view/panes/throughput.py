"""Tokens/s over time, total and per user, and the users that made them. Drawn by the line API at every refresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tui.core.clock import NS_PER_S
from tui.metrics.reading import SeriesPoint
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.widgets.axes import SCALE_CELLS, named, round_top, ruled, scaled, time_line
from tui.view.widgets.history import history
from tui.view.widgets.lines import Ink, Line, pack
from tui.view.widgets.time_window import WINDOW_S, TimeWindow

Value = Callable[[SeriesPoint], float | None]


class ThroughputPane(Pane):
    """One graph of all users' tokens/s, one of each user's, one of how many users there were."""

    KEY: ClassVar[str] = "1"
    NAME: ClassVar[str] = "tokens/s"
    COLUMN: ClassVar[int] = 1
    HELP: ClassVar[str] = (
        "Output tokens of all users in each second, and of one user; how many users there were at the time."
    )

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the figures, the graphs as tall as there is room for, and the time line."""
        lines = [_figures(snapshot, width)]
        rows = height - 2
        if rows < 2 or width < 24:
            return lines
        newest_ns = max(snapshot.at_ns, snapshot.series[-1].at_ns if snapshot.series else 0)
        window = TimeWindow.until(newest_ns, width - SCALE_CELLS)
        points = window.by_dot(snapshot.series, round(NS_PER_S * snapshot.time_scale))
        user_rows = 0 if rows < 6 else 1 if rows < 16 else 2
        each_rows = (rows - user_rows) // 3 if rows - user_rows >= 6 else 0
        total_rows = rows - user_rows - each_rows
        lines += named(_graph(points, lambda point: point.tokens_per_s_total, width, total_rows, Ink.STRONG), "total")
        if each_rows:
            each = _graph(points, lambda point: point.tokens_per_s_per_user, width, each_rows, Ink.PLAIN)
            lines += named(each, "per user")
        if user_rows:
            users = _graph(points, lambda point: float(point.users_active), width, user_rows, Ink.STEER)
            lines += named(users, "users")
        figures, *graphs = lines
        graphs = ruled(graphs, (death.at_ns for death in snapshot.deaths), window)
        return [figures, *graphs, time_line(width, WINDOW_S)]


def _figures(snapshot: Snapshot, width: int) -> Line:
    figures = snapshot.figures
    total: Line = [
        ("total ", Ink.DIM),
        (formatting.per_second(figures.tokens_per_s_total, 6), Ink.STRONG),
        (" tok/s", Ink.DIM),
    ]
    each: Line = [
        ("per user ", Ink.DIM),
        (formatting.per_second(figures.tokens_per_s_per_user, 6), Ink.STRONG),
        (" tok/s", Ink.DIM),
    ]
    users: Line = [("users ", Ink.DIM), (str(snapshot.load.users_active).rjust(4), Ink.STEER)]
    return pack([total, each, users], width)


def _graph(points: list[SeriesPoint | None], value: Value, width: int, rows: int, ink: Ink) -> list[Line]:
    values = [None if point is None else value(point) for point in points]
    top = round_top(max((one for one in values if one is not None and formatting.is_figure(one)), default=None))
    texts = history(values, top, width - SCALE_CELLS, rows)
    return scaled([[(text, ink)] for text in texts], top)
