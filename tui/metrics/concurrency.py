"""How many requests were under way, rebuilt from their raw start and end times. Pure.

All starts and all ends are columns of their own, each ascending, ns: which end is whose changes none of these figures.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from tui.core.steps import Steps
from tui.metrics.ordered import places

Interval = tuple[int, int]
"""Start and end, ns."""


def busy_ns(starts: Sequence[int], ends: Sequence[int]) -> int:
    """Return how long at least one of the intervals lasted: the length of their union, ns."""
    if not starts:
        return 0
    # Between two starts nothing is under way where all that began before has ended.
    idle_ns = sum(max(0, start - end) for start, end in zip(starts[1:], ends, strict=False))
    return ends[-1] - starts[0] - idle_ns


def area_ns(starts: Sequence[int], ends: Sequence[int], window: Interval) -> int:
    """Return the sum of the intervals' lengths within `window`, ns; over its length it is the mean concurrency."""
    return _within(ends, window) - _within(starts, window)


def peak(starts: Sequence[int], ends: Sequence[int], window: Interval) -> Steps[int]:
    """Return how many of the intervals lasted at once at most within `window`, by a sweep line.

    One that ends when another starts is not counted beside it.
    """
    begun, ended = bisect_right(starts, window[0]), bisect_right(ends, window[0])
    highest = begun - ended
    inside = starts[begun : bisect_left(starts, window[1])]
    for place in places(len(inside)):
        for start in inside[place]:
            begun += 1
            while ended < len(ends) and ends[ended] <= start:
                ended += 1
            if begun - ended > highest:
                highest = begun - ended
        yield
    return highest


def _within(moments: Sequence[int], window: Interval) -> int:
    """Return the sum of the moments, those without the window taken to be at its nearer edge."""
    first, after = bisect_left(moments, window[0]), bisect_left(moments, window[1])
    return first * window[0] + sum(moments[first:after]) + (len(moments) - after) * window[1]
