"""A whole run in few points: what charts show of the time before the latest minutes. Pure; of bounded size.

It begins with a point a second. When it is full, two neighbours become one, and from then on each point tells of twice
the time: a run of eight hours is kept in points of two minutes at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from tui.core.clock import NS_PER_S
from tui.metrics.reading import SeriesPoint

MOST_POINTS = 240


class TrendPoint(msgspec.Struct, frozen=True, array_like=True):
    """Some seconds of a run: means of what is known of them; of a 99th percentile the greatest."""

    at_ns: int
    """Their end."""
    span_ns: int
    users_wanted: int
    """At their end."""
    prompt_tokens: int
    """At their end."""
    users: float
    tokens_per_s_total: float | None = None
    tokens_per_s_per_user: float | None = None
    ttft_p50_s: float | None = None
    ttft_p99_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p99_s: float | None = None
    itl_p50_s: float | None = None
    itl_p99_s: float | None = None
    kv_cache_usage: float | None = None
    vram_used_share: float | None = None


_GREATEST = ("ttft_p99_s", "e2e_p99_s", "itl_p99_s")
_MEANS = tuple(name for name in TrendPoint.__struct_fields__[5:] if name not in _GREATEST)


def trend_point(point: SeriesPoint, span_ns: int = NS_PER_S) -> TrendPoint:
    """Return one second of the series as it is drawn."""
    return TrendPoint(
        point.at_ns,
        span_ns,
        point.users_wanted,
        point.prompt_tokens,
        point.users_active,
        point.tokens_per_s_total,
        point.tokens_per_s_per_user,
        point.ttft_p50_s,
        point.ttft_p99_s,
        point.e2e_p50_s,
        point.e2e_p99_s,
        point.itl_p50_s,
        point.itl_p99_s,
        point.kv_cache_usage,
        point.vram_used_share,
    )


class Trend:
    """The points so far. Fed and read by one thread."""

    def __init__(self, time_scale: float = 1.0) -> None:
        """`time_scale`: how many seconds of the session's time one second of the series lasts."""
        self._second_ns = max(1, round(NS_PER_S * time_scale))
        self._span_ns = self._second_ns
        self._points: list[TrendPoint] = []
        self._open: list[TrendPoint] = []

    @property
    def points(self) -> list[TrendPoint]:
        """Return them, oldest first; the last of them may still grow."""
        return [*self._points, _merged(self._open)] if self._open else list(self._points)

    def add(self, point: SeriesPoint) -> None:
        """Take the next second. A gap in time, as while a server is launched, is not bridged."""
        new = trend_point(point, self._second_ns)
        if self._open and (
            new.at_ns - self._open[0].at_ns >= self._span_ns or new.at_ns - self._open[-1].at_ns > 2 * self._second_ns
        ):
            self._close()
        self._open.append(new)

    def extend(self, points: Iterable[SeriesPoint]) -> Trend:
        """Take many, and return itself."""
        for point in points:
            self.add(point)
        return self

    def _close(self) -> None:
        self._points.append(_merged(self._open))
        self._open = []
        if len(self._points) >= MOST_POINTS:
            self._span_ns *= 2
            halves = self._points
            self._points = [_merged(halves[place : place + 2]) for place in range(0, len(halves), 2)]


def curve(points: Sequence[TrendPoint], figure: str, started_at_ns: int) -> list[tuple[float, float] | None]:
    """Return a figure of a trend over seconds since the start; None where time or figures are missing in between."""
    found: list[tuple[float, float] | None] = []
    for before, point in pairwise([None, *points]):
        assert point is not None
        value: float | None = getattr(point, figure)
        begins_ns = point.at_ns - point.span_ns
        if value is None or (before is not None and begins_ns - before.at_ns > 2 * point.span_ns):
            found.append(None)
        if value is not None:
            found.append((max(0.0, (point.at_ns - started_at_ns) / NS_PER_S), value))
    return found


def _merged(points: list[TrendPoint]) -> TrendPoint:
    """Return neighbours as one."""
    if len(points) == 1:
        return points[0]
    last = points[-1]
    return TrendPoint(
        at_ns=last.at_ns,
        span_ns=last.at_ns - points[0].at_ns + points[0].span_ns,
        users_wanted=last.users_wanted,
        prompt_tokens=last.prompt_tokens,
        users=sum(point.users for point in points) / len(points),
        **{name: _mean(points, name) for name in _MEANS},
        **{name: _greatest(points, name) for name in _GREATEST},
    )


def _greatest(points: list[TrendPoint], name: str) -> float | None:
    return max((value for point in points if (value := getattr(point, name)) is not None), default=None)


def _mean(points: list[TrendPoint], name: str) -> float | None:
    known = [value for point in points if (value := getattr(point, name)) is not None]
    return sum(known) / len(known) if known else None
