"""When the tokens of a cell arrived, in memory that does not grow with them. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate, pairwise
from math import ceil

from tui.core.clock import NS_PER_S, NS_PER_US
from tui.metrics.record import RequestRecord

SLICES = 10
_BINS_PER_SLICE = 4
_MOST_BINS = 1 << 14


class TokenBins:
    """Output tokens by bins, the first of which begins with the window that is measured.

    A request's events are looked up once for each bin it lasted, never walked through. The tokens of the whole window
    are exact, and those of a slice as long as the window lasts as long as was said; else what came in the bin around
    the edge between two slices is divided by time. A window far longer than was said has wider bins, not more.
    """

    def __init__(self, start_ns: int, lasting_ns: int = 10 * NS_PER_S) -> None:
        """`lasting_ns`: how long the window is meant to last."""
        self._start_ns = start_ns
        self._bin_ns = max(NS_PER_US, lasting_ns // (SLICES * _BINS_PER_SLICE))
        self._tokens = array("d")

    def add(self, record: RequestRecord, before_ns: int | None = None) -> None:
        """Spread an answer's tokens over its events; what came before the window or from `before_ns` on counts not."""
        if record.first_token_ns is None or not record.events:
            return
        arrivals_us = list(accumulate(record.gaps_us(), initial=0))
        first_ns = record.first_token_ns - self._start_ns
        until = len(arrivals_us)
        if before_ns is not None:
            until = bisect_left(arrivals_us, -(-(before_ns - record.first_token_ns) // NS_PER_US))
        counted = bisect_left(arrivals_us, -(first_ns // NS_PER_US)) if first_ns < 0 else 0
        if counted >= until:
            return
        self._reach(first_ns + arrivals_us[until - 1] * NS_PER_US)
        per_event = record.tokens / record.events
        while counted < until:
            at = (first_ns + arrivals_us[counted] * NS_PER_US) // self._bin_ns
            next_us = -((first_ns - (at + 1) * self._bin_ns) // NS_PER_US)
            after = bisect_left(arrivals_us, next_us, counted, until)
            self._tokens[at] += (after - counted) * per_event
            counted = after

    def slices(self, end_ns: int) -> list[float]:
        """Return the tokens that arrived in each of `SLICES` equal parts of the window, which ended at `end_ns`."""
        so_far = [0.0, *accumulate(self._tokens)]
        bins = (end_ns - self._start_ns) / self._bin_ns
        # What came in the bin that the end cuts came before it; a token of the very end has one of its own.
        edges = [*(_at(so_far, bins * edge / SLICES) for edge in range(SLICES)), _at(so_far, ceil(bins))]
        return [after - before for before, after in pairwise(edges)]

    def _reach(self, at_ns: int) -> None:
        while at_ns // self._bin_ns >= _MOST_BINS:
            self._tokens.extend([0.0] * (len(self._tokens) % 2))
            pairs = zip(self._tokens[::2], self._tokens[1::2], strict=True)
            self._tokens = array("d", (first + second for first, second in pairs))
            self._bin_ns *= 2
        self._tokens.extend([0.0] * (at_ns // self._bin_ns + 1 - len(self._tokens)))


def _at(so_far: list[float], place: float) -> float:
    """Return a running sum between two of its values; beyond the last nothing is added."""
    low = int(place)
    if low >= len(so_far) - 1:
        return so_far[-1]
    return so_far[low] + (place - low) * (so_far[low + 1] - so_far[low])
