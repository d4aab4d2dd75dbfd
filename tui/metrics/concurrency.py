"""How many requests were under way, rebuilt from their raw start and end times. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

Interval = tuple[int, int]
"""Start and end, ns."""


def busy_ns(intervals: Iterable[Interval]) -> int:
    """Return how long at least one of the intervals lasted: the length of their union, ns."""
    total = 0
    until = None
    for start, end in sorted(intervals):
        if until is None or start > until:
            total += end - start
            until = end
        elif end > until:
            total += end - until
            until = end
    return total


def area_ns(intervals: Iterable[Interval], window: Interval) -> int:
    """Return the sum of the intervals' lengths within `window`, ns; over its length it is the mean concurrency."""
    return sum(max(0, min(end, window[1]) - max(start, window[0])) for start, end in intervals)


def peak(intervals: Iterable[Interval], window: Interval) -> int:
    """Return how many of the intervals lasted at once at most within `window`, by a sweep line.

    One that ends when another starts is not counted beside it.
    """
    starts, ends = array("q"), array("q")
    for start, end in intervals:
        if end > window[0] and start < window[1]:
            starts.append(max(start, window[0]))
            ends.append(end)
    # Sorted one after the other into columns, as a million sorted numbers take 40 MB while they are a list.
    starts, ends = array("q", sorted(starts)), array("q", sorted(ends))
    highest = ended = 0
    for begun, start in enumerate(starts, 1):
        while ended < len(ends) and ends[ended] <= start:
            ended += 1
        highest = max(highest, begun - ended)
    return highest
