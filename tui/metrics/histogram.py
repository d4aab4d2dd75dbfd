"""A histogram of whole numbers (ns or µs) with fixed log-linear buckets: mergeable, and a window is a difference.

The layout is HdrHistogram's (https://hdrhistogram.github.io/HdrHistogram/): each power of two is cut into 64 equal
buckets, values below 128 have a bucket each. A bucket is at most 1/64 of its lower edge wide and is read as its
middle, so a value is off by less than 1/128 = 0.8 %. Pure; one thread.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from itertools import accumulate
from typing import Self

from tui.metrics.percentile import sample_floor

_SUB_BITS = 6
_EXACT_BITS = _SUB_BITS + 1
MAX_VALUE = (1 << 48) - 1
"""Larger values count as this one: 78 hours in ns."""
_HEADER = struct.Struct("<4sQQ")
_PAIR = struct.Struct("<HQ")
_MAGIC = b"LH1\0"


def _bucket(value: int) -> int:
    value = min(max(value, 0), MAX_VALUE)
    shift = max(0, value.bit_length() - _EXACT_BITS)
    return (shift << _SUB_BITS) + (value >> shift)


def _middle(bucket: int) -> float:
    shift = max(0, (bucket >> _SUB_BITS) - 1)
    return ((bucket - (shift << _SUB_BITS)) << shift) + ((1 << shift) - 1) / 2


_LAST_BUCKET = _bucket(MAX_VALUE)


class LogHistogram:
    """Counts by bucket; negative values count as 0. Adding a value takes constant time, memory has a bound."""

    __slots__ = ("_counts", "count", "total")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        """How many values were added."""
        self.total = 0
        """Their exact sum."""

    def add(self, value: int, times: int = 1) -> None:
        """Count `value`, `times` times."""
        bucket = _bucket(value)
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += times
        self.total += value * times

    def add_many(self, values: Collection[int]) -> None:
        """Count all of `values`: as `add` for each, at a third of its cost."""
        counts = self._counts
        for value in values:
            # As `_bucket`, written out: a call would cost as much as the rest.
            if not 0 <= value <= MAX_VALUE:
                value = 0 if value < 0 else MAX_VALUE
            if value < 1 << _EXACT_BITS:
                bucket = value
            else:
                shift = value.bit_length() - _EXACT_BITS
                bucket = (shift << _SUB_BITS) + (value >> shift)
            counts[bucket] = counts.get(bucket, 0) + 1
        self.count += len(values)
        self.total += sum(values)

    def merge(self, other: LogHistogram) -> None:
        """Count all that `other` counted."""
        for bucket, times in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += other.count
        self.total += other.total

    def difference(self, earlier: LogHistogram) -> LogHistogram:
        """Return what was added since `earlier`, a former state of this histogram.

        Raises ValueError when it cannot have been one.
        """
        later = LogHistogram()
        later._counts = dict(self._counts)
        for bucket, times in earlier._counts.items():
            left = later._counts.get(bucket, 0) - times
            if left < 0:
                raise ValueError("expected an earlier state of the same histogram")
            if left:
                later._counts[bucket] = left
            else:
                later._counts.pop(bucket, None)
        later.count = self.count - earlier.count
        later.total = self.total - earlier.total
        return later

    @property
    def mean(self) -> float | None:
        """The exact mean; None when empty."""
        return self.total / self.count if self.count else None

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

    def to_bytes(self) -> bytes:
        """Return the histogram as bytes, a few per bucket in use."""
        pairs = b"".join(_PAIR.pack(bucket, times) for bucket, times in sorted(self._counts.items()))
        return _HEADER.pack(_MAGIC, self.count, self.total) + pairs

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the histogram that `to_bytes` gave. Raises ValueError for anything else."""
        if len(content) < _HEADER.size or (len(content) - _HEADER.size) % _PAIR.size:
            raise ValueError("expected the bytes of a histogram")
        magic, count, total = _HEADER.unpack_from(content)
        histogram = cls()
        histogram.count, histogram.total = count, total
        histogram._counts = dict(_PAIR.iter_unpack(content[_HEADER.size :]))
        if (
            magic != _MAGIC
            or sum(histogram._counts.values()) != count
            or max(histogram._counts, default=0) > _LAST_BUCKET
        ):
            raise ValueError("expected the bytes of a histogram")
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogHistogram):
            return NotImplemented
        return (self._counts, self.count, self.total) == (other._counts, other.count, other.total)

    __hash__ = None  # type: ignore[assignment]
