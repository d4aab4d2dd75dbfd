"""Tokens/s over time, total and per user, and the users that made them: a lane each, with its own zero and top."""

from __future__ import annotations

from typing import ClassVar

from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.arrangement import Need
from tui.view.panes.pane import Pane
from tui.view.plotting.lane import Curve, lanes, plot_cells, time_rule
from tui.view.plotting.seen import Seen
from tui.view.widgets.lines import Ink, Line, pack


class ThroughputPane(Pane):
    """One lane of all users' tokens/s, one of each user's, one of how many users there were."""

    KEY: ClassVar[str] = "1"
    NAME: ClassVar[str] = "tokens/s"
    HELP: ClassVar[str] = (
        "Output tokens of all users in each second, and of one user; how many users there were at the time. Thin rules "
        "stand where their number or the prompt size changed, a server ran out of memory (OOM), and was back (↻)."
    )

    def need(self, snapshot: Snapshot) -> Need:
        """Return the rows with which each lane can be read."""
        return Need(least=11, wished=(12,))

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the lanes, as many as there is room for, and the time below them."""
        columns = plot_cells(width)
        if columns < 8 or height < 3:
            return [_figures(snapshot, width)]
        seen = Seen(snapshot, columns, self.span_s)
        return [*lanes(_curves(snapshot, seen, height - 1), width, seen.marks()), time_rule(width, seen.span_s)]


def _curves(snapshot: Snapshot, seen: Seen, rows: int) -> list[tuple[Curve, int]]:
    figures = snapshot.figures
    total = Curve(
        "total",
        Ink.TOTAL,
        seen.means(lambda point: point.tokens_per_s_total),
        formatting.per_second(figures.tokens_per_s_total, 0),
    )
    if rows < 6:
        return [(total, rows)]
    each = Curve(
        "each",
        Ink.EACH,
        seen.means(lambda point: point.tokens_per_s_per_user),
        formatting.per_second(figures.tokens_per_s_per_user, 0),
    )
    users = Curve(
        "users", Ink.USERS, seen.means(lambda point: point.users), formatting.count(snapshot.load.users_active)
    )
    user_rows = max(1, rows // 5) if rows < 8 else max(2, rows // 5)
    each_rows = max(2, (rows - user_rows) * 2 // 5)
    return [(total, rows - each_rows - user_rows), (each, each_rows), (users, user_rows)]


def _figures(snapshot: Snapshot, width: int) -> Line:
    """Return the figures alone, where there is no room for a curve."""
    figures = snapshot.figures
    return pack(
        [
            [("total ", Ink.DIM), (formatting.per_second(figures.tokens_per_s_total, 6), Ink.TOTAL)],
            [("each ", Ink.DIM), (formatting.per_second(figures.tokens_per_s_per_user, 6), Ink.EACH)],
            [("users ", Ink.DIM), (str(snapshot.load.users_active).rjust(4), Ink.USERS)],
        ],
        width,
    )
