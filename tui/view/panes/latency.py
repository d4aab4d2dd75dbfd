"""Latency over time: the whole answer, its first token (prefill) and the gaps between the others (decode), a lane each.

In each the area goes to p50, a duller band from there to p99; every finished request is a point, a failed one a cross
on the time line. Where there is room, the distributions of the last seconds stand below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypedDict

from textual.geometry import Size

from tui.core.clock import NS_PER_S
from tui.metrics.snapshot import LatencyPoint, Snapshot
from tui.view import formatting
from tui.view.panes.arrangement import Need
from tui.view.panes.pane import Pane
from tui.view.plotting.histogram import histogram
from tui.view.plotting.lane import Curve, lanes, plot_cells, time_rule
from tui.view.plotting.seen import Seen
from tui.view.widgets.lines import Ink, Line, pack, width_of

_HISTOGRAM_ROWS = 7
_WITH_HISTOGRAMS = 24
"""From this height on there is room for them."""


class LatencyPane(Pane):
    """Lanes over one time line."""

    KEY: ClassVar[str] = "2"
    NAME: ClassVar[str] = "latency"
    HELP: ClassVar[str] = (
        "The time of a whole answer (E2E), of its first token (TTFT: queue and prefill) and between two tokens (ITL: "
        "decode): p50 with a band up to p99. Each finished request is a point, a failed one a cross on the time line."
    )

    def __init__(self) -> None:
        super().__init__()
        self._drawn_for: tuple[object, ...] = ()
        self._drawn: list[Line] = []

    def title(self, snapshot: Snapshot) -> str:
        """Return the title with the unit."""
        return "latency, s"

    def subtitle(self, snapshot: Snapshot, size: Size, room: int) -> str:
        """Return the legend."""
        return "· a request  ░ p50 to p99  ✕ failed"

    def need(self, snapshot: Snapshot) -> Need:
        """Return the rows with which there is a lane for the gaps between tokens, too."""
        return Need(least=11, wished=(13, 12))

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the lanes, and below them the distributions where there is room."""
        if plot_cells(width) < 8 or height < 3:
            return [_figures(snapshot, width)]
        # Once a second, and between two seconds of the series: a new point moves the charts of the other panes then,
        # and a slow line is not to carry all of them at once.
        half_ns = max(1, round(NS_PER_S * snapshot.time_scale)) // 2
        drawn_for = ((snapshot.at_ns + half_ns) // max(1, 2 * half_ns), snapshot.session_id, width, height, self.span_s)
        if drawn_for != self._drawn_for:
            self._drawn_for, self._drawn = drawn_for, self._charts(snapshot, width, height)
        return self._drawn

    def _charts(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        columns = plot_cells(width)
        spread = _distributions(snapshot, width) if height >= _WITH_HISTOGRAMS else []
        seen = Seen(snapshot, columns, self.span_s)
        failed = {seen.window.column_of(point.at_ns) for point in snapshot.points if not point.ok}
        crosses = frozenset(column for column in failed if column is not None)
        rows = height - 1 - len(spread)
        return [
            *lanes(_curves(snapshot, seen, rows), width, seen.marks()),
            time_rule(width, seen.span_s, crosses),
            *spread,
        ]


def _curves(snapshot: Snapshot, seen: Seen, rows: int) -> list[tuple[Curve, int]]:
    figures, terms = snapshot.figures, snapshot.terms
    whole = Curve(
        "E2E",
        Ink.E2E,
        seen.means(lambda point: point.e2e_p50_s),
        _seconds(figures.e2e_p50_s),
        upper=seen.greatest(lambda point: point.e2e_p99_s),
        dots=_dots(seen, lambda point: point.e2e_s),
        **_limit(terms.slo_e2e_s, "SLO whole answer"),
    )
    if rows < 5:
        return [(whole, rows)]
    first = Curve(
        "TTFT",
        Ink.TTFT,
        seen.means(lambda point: point.ttft_p50_s),
        _seconds(figures.ttft_p50_s),
        upper=seen.greatest(lambda point: point.ttft_p99_s),
        dots=_dots(seen, lambda point: point.ttft_s),
        **_limit(terms.slo_ttft_s, "SLO first token"),
    )
    if rows < 9:
        return [(whole, rows - rows // 2), (first, rows // 2)]
    further = Curve(
        "ITL",
        Ink.ITL,
        seen.means(lambda point: _ms(point.itl_p50_s)),
        f"{formatting.milliseconds(figures.itl_p50_s, 0)} ms",
        upper=seen.greatest(lambda point: _ms(point.itl_p99_s)),
        **_limit(_ms(terms.slo_tpot_s), "SLO per token", unit="ms"),
    )
    further_rows, first_rows = max(2, rows // 5), max(3, rows * 3 // 10)
    return [(whole, rows - first_rows - further_rows), (first, first_rows), (further, further_rows)]


class _Limit(TypedDict):
    limit: float | None
    limit_words: str


def _limit(limit: float | None, words: str, unit: str = "s") -> _Limit:
    return {"limit": limit, "limit_words": "" if limit is None else f"{words} {limit:g} {unit}"}


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * 1000


def _seconds(value_s: float | None) -> str:
    return f"{formatting.significant(value_s, 0)} s"


def _dots(seen: Seen, pick: Callable[[LatencyPoint], float | None]) -> tuple[tuple[float, float], ...]:
    """Return the finished requests of the window as points: column with its fraction, value."""
    return tuple(
        (column + seen.window.share_of(point.at_ns), value)
        for point in seen.snapshot.points
        if point.ok and (value := pick(point)) is not None
        if (column := seen.window.column_of(point.at_ns)) is not None
    )


def _distributions(snapshot: Snapshot, width: int) -> list[Line]:
    """Return the distributions of TTFT and ITL side by side, under a line that says so; nothing where none is known."""
    known = snapshot.distributions
    told = ((known.ttft, "TTFT", Ink.TTFT), (known.itl, "ITL", Ink.ITL))
    half = (width - 3) // 2
    pictures = [histogram(one, name, ink, half, _HISTOGRAM_ROWS) for one, name, ink in told if one is not None]
    if not pictures or not all(pictures):
        return []
    rows: list[Line] = [[]]
    for place in range(_HISTOGRAM_ROWS):
        row: Line = []
        for picture in pictures:
            row += [(" " * (3 if row else 0), Ink.PLAIN), *picture[place]]
            row.append((" " * (half - width_of(picture[place])), Ink.PLAIN))
        rows.append(row)
    return rows


def _figures(snapshot: Snapshot, width: int) -> Line:
    """Return the figures alone, where there is no room for a curve."""
    figures = snapshot.figures
    told = (("E2E", figures.e2e_p50_s, Ink.E2E), ("TTFT", figures.ttft_p50_s, Ink.TTFT))
    return pack([[(f"{name} ", Ink.DIM), (_seconds(value), ink)] for name, value, ink in told], width)
