"""When the tokens of a cell arrived, in memory that grows neither with them nor with the time. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate

from tui.core.clock import NS_PER_MS, NS_PER_US
from tui.metrics.record import RequestRecord

SLICES = 10
MOST_BINS = 1 << 16


class TokenBins:
    """Output tokens by bins of 1 ms, the first of which begins with the window that is measured.

    The tokens of a whole window are exact; at an edge between two of its slices a token may count for the other when
    it came within 1 ms of it. A window of more than 65 s has bins twice as wide, one of more than 131 s again, so that
    a bin is always less than 1/32,000 of it.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._bin_ns = NS_PER_MS
        self._tokens = array("d")

    def add(self, record: RequestRecord, before_ns: int | None = None) -> None:
        """Spread an answer's tokens over its events; what came before the window or from `before_ns` on counts not."""
        if record.first_token_ns is None or not record.events:
            return
        first_us = -(-(self._start_ns - record.first_token_ns) // NS_PER_US)
        arrivals_us = list(accumulate(record.gaps_us(), initial=0))
        until = len(arrivals_us)
        if before_ns is not None:
            until = bisect_left(arrivals_us, -(-(before_ns - record.first_token_ns) // NS_PER_US))
        counted = arrivals_us[bisect_left(arrivals_us, first_us) : until]
        if not counted:
            return
        offset_ns = record.first_token_ns - self._start_ns
        self._reach(offset_ns + counted[-1] * NS_PER_US)
        per_event = record.tokens / record.events
        tokens, bin_ns = self._tokens, self._bin_ns
        for at_us in counted:
            tokens[(offset_ns + at_us * NS_PER_US) // bin_ns] += per_event

    def slices(self, end_ns: int) -> list[float]:
        """Return the tokens that arrived in each of `SLICES` equal parts of the window, which ended at `end_ns`."""
        lasting_ns = end_ns - self._start_ns
        edges = [-(-(lasting_ns * at // SLICES) // self._bin_ns) for at in range(SLICES + 1)]
        return [sum(self._tokens[edges[at] : edges[at + 1]]) for at in range(SLICES)]

    def _reach(self, at_ns: int) -> None:
        while at_ns // self._bin_ns >= MOST_BINS:
            self._tokens.extend([0.0] * (len(self._tokens) % 2))
            pairs = zip(self._tokens[::2], self._tokens[1::2], strict=True)
            self._tokens = array("d", (first + second for first, second in pairs))
            self._bin_ns *= 2
        self._tokens.extend([0.0] * (at_ns // self._bin_ns + 1 - len(self._tokens)))
