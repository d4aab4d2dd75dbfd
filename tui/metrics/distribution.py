"""How often a latency was how long: a histogram of at most 40 bins, small enough to go with every result of a cell.

Its bins are those of `histogram`, joined by twos until they are few for the sample: so two of them can be brought to
the same bins, and be added up. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import isqrt
from typing import Annotated, Self

import msgspec

from tui.metrics.histogram import MAX_VALUE, bucket_of, first_value_of

MAX_BINS = 40
_LEAST_BINS = 8
_FINEST_BITS = 6
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """Counts by bin; bins are as wide as their latency is long, but those under some µs."""

    bits: Annotated[int, msgspec.Meta(ge=0, le=_FINEST_BITS)]
    """Each doubling of the latency is cut into 2 to the power of this many bins."""
    first: Annotated[int, msgspec.Meta(ge=0, le=1 << 13)]
    """The number of the first bin, as `histogram.bucket_of` counts."""
    counts: Annotated[list[_Count], msgspec.Meta(min_length=1, max_length=MAX_BINS)]
    """Of it and those that follow; neither the first nor the last is empty."""

    def __post_init__(self) -> None:
        """Raise ValueError for bins that no latency is in, which a file may hold."""
        if self.first + len(self.counts) - 1 > bucket_of(MAX_VALUE, self.bits):
            raise ValueError("expected bins of at most 2^48 µs")

    @classmethod
    def of_us(cls, counts: dict[int, int]) -> Self | None:
        """Return the distribution of a histogram of µs, given as `LogHistogram.buckets`; None of an empty one."""
        if not counts:
            return None
        bits = _FINEST_BITS
        # A small sample in many bins is a comb.
        enough = min(MAX_BINS, max(_LEAST_BINS, 2 * isqrt(sum(counts.values()))))
        while max(counts) - min(counts) >= enough and bits > 0:
            counts, bits = _joined(counts, bits), bits - 1
        first, last = min(counts), max(counts)
        # At one bin for each doubling 48 bits of µs are 49 bins: what lies below the last 40 counts in the first.
        lowest = max(first, last - MAX_BINS + 1)
        dense = [counts.get(number, 0) for number in range(lowest, last + 1)]
        dense[0] += sum(times for number, times in counts.items() if number < lowest)
        return cls(bits, lowest, dense)

    @classmethod
    def of_ordered_s(cls, values_s: Sequence[float]) -> Self | None:
        """Return the distribution of latencies in s that ascend; None of none. Takes time by the bin, not the value."""
        counts: dict[int, int] = {}
        counted = 0
        while counted < len(values_s):
            bucket = bucket_of(int(values_s[counted] * 1e6))
            after = bisect_left(values_s, first_value_of(bucket + 1) / 1e6, counted + 1)
            counts[bucket] = counts.get(bucket, 0) + after - counted
            counted = after
        return cls.of_us(counts)

    @property
    def edges_s(self) -> list[float]:
        """Where the bins begin, and where the last one ends, in s."""
        return [first_value_of(self.first + place, self.bits) / 1e6 for place in range(len(self.counts) + 1)]

    @property
    def bins(self) -> list[tuple[float, float, int]]:
        """Each bin: from, to (in s), how many."""
        edges = pairwise(self.edges_s)
        return [(begin_s, end_s, count) for (begin_s, end_s), count in zip(edges, self.counts, strict=True)]


class Distributions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the answered requests of one cell; None of what none of them has."""

    ttft: Distribution | None = None
    itl: Distribution | None = None
    e2e: Distribution | None = None


def _joined(counts: dict[int, int], bits: int) -> dict[int, int]:
    joined: dict[int, int] = {}
    for number, times in counts.items():
        wider = bucket_of(first_value_of(number, bits), bits - 1)
        joined[wider] = joined.get(wider, 0) + times
    return joined
