"""A histogram of whole numbers (ns or µs) with fixed log-linear buckets, which can be added up wherever it was made.

The layout is HdrHistogram's (https://hdrhistogram.github.io/HdrHistogram/): each power of two is cut into 64 equal
buckets, values below 128 have a bucket each. A bucket is at most 1/64 of its lower edge wide and is read as its
middle, so a value is off by less than 1/128 = 0.8 %. Pure; one thread.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection
from itertools import accumulate

from tui.metrics.percentile import sample_floor

_SUB_BITS = 6
MAX_VALUE = (1 << 48) - 1
"""Larger values count as this one: 78 hours in ns."""
_PAIR = struct.Struct("<HI")


def bucket_of(value: int, bits: int = _SUB_BITS) -> int:
    """Return the number of the bucket of a value where each power of two is cut into 2^`bits` equal buckets."""
    value = min(max(value, 0), MAX_VALUE)
    shift = max(0, value.bit_length() - bits - 1)
    return (shift << bits) + (value >> shift)


def first_value_of(bucket: int, bits: int = _SUB_BITS) -> int:
    """Return the least value of a bucket."""
    shift = max(0, (bucket >> bits) - 1)
    return (bucket - (shift << bits)) << shift


def _middle(bucket: int) -> float:
    return (first_value_of(bucket) + first_value_of(bucket + 1) - 1) / 2


_LAST_BUCKET = bucket_of(MAX_VALUE)


def packed(values: Collection[int]) -> bytes:
    """Return the histogram of `values` as bytes: (bucket, count) pairs, uint16 and uint32, little-endian, ascending."""
    ordered = sorted(values)
    pairs = []
    counted = 0
    while counted < len(ordered):
        bucket = bucket_of(ordered[counted])
        after = len(ordered) if bucket == _LAST_BUCKET else bisect_left(ordered, first_value_of(bucket + 1), counted)
        pairs.append(_PAIR.pack(bucket, after - counted))
        counted = after
    return b"".join(pairs)


def check_packed(content: bytes) -> None:
    """Raise ValueError for what `packed` does not return."""
    if len(content) % _PAIR.size:
        raise ValueError("expected a histogram: pairs of 6 bytes")
    buckets = [bucket for bucket, _ in _PAIR.iter_unpack(content)]
    if buckets != sorted(set(buckets)) or max(buckets, default=0) > _LAST_BUCKET:
        raise ValueError("expected a histogram: its buckets in order")


class LogHistogram:
    """Counts by bucket; negative values count as 0. Adding a value takes constant time, memory has a bound."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        """How many values were added."""

    def add(self, value: int, times: int = 1) -> None:
        """Count `value`, `times` times."""
        bucket = bucket_of(value)
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += times

    def merge_packed(self, content: bytes) -> None:
        """Count all that was counted in what `packed` returned."""
        counts, counted = self._counts, 0
        known = counts.get
        for bucket, times in _PAIR.iter_unpack(content):
            counts[bucket] = known(bucket, 0) + times
            counted += times
        self.count += counted

    def merge(self, other: LogHistogram) -> None:
        """Count all that `other` counted."""
        for bucket, times in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += other.count

    def buckets(self) -> dict[int, int]:
        """Return the counts by bucket, of those that are not empty."""
        return dict(self._counts)

    def value_at(self, q: float) -> float | None:
        """Return the `q`-th percentile (0 to 100), linear between the neighbouring ranks; None when empty."""
        if not self.count:
            return None
        rank = q / 100 * (self.count - 1)
        low = int(rank)
        buckets = sorted(self._counts)
        below = list(accumulate(self._counts[bucket] for bucket in buckets))
        lower = next(at for at, count in enumerate(below) if count > low)
        value = _middle(buckets[lower])
        if rank > low and below[lower] == low + 1:  # the next rank is in the next bucket
            value += (rank - low) * (_middle(buckets[lower + 1]) - value)
        return value

    def percentile(self, q: float) -> float | None:
        """Return `value_at(q)`, or None when there are too few values to carry it (`sample_floor`)."""
        return self.value_at(q) if self.count >= sample_floor(q) else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogHistogram):
            return NotImplemented
        return self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]
