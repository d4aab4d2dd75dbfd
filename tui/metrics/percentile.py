"""Percentiles of a sample, withheld where the sample cannot carry them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

CONFIDENCE = 0.99


@lru_cache
def sample_floor(q: float) -> int:
    """Return the smallest sample that can carry the `q`-th percentile (0 to 100).

    MLPerf Inference's early stopping (inference rules, "Early Stopping"; LoadGen's early_stopping.cc, confidence
    0.99, tolerance 0): an estimate must have left out at least one sample above it, so n must be so large that, with
    p = q / 100, at most one of n samples above the percentile would be a rare event:
    P[Binomial(n, 1 − p) ≤ 1] = pⁿ + n (1 − p) pⁿ⁻¹ ≤ 1 − 0.99. That is 64 for p90, 662 for p99, 6,636 for p99.9.
    The median and what is below are no tails: one sample is enough.
    Raises ValueError when `q` is not within 0 to 100 (100 excluded: no sample carries it).
    """
    if not 0 <= q < 100:
        raise ValueError("expected a percentile of at least 0 and below 100")
    if q <= 50:
        return 1
    p = q / 100
    n = 2
    while p**n + n * (1 - p) * p ** (n - 1) > 1 - CONFIDENCE:
        n += 1
    return n


def percentile(samples: Sequence[float], q: float) -> float | None:
    """Return the `q`-th percentile of `samples`, in their unit, or None when they are too few (`sample_floor`).

    numpy's default definition ("linear"): between the sorted samples at the ranks around q / 100 · (n − 1).
    """
    return percentile_of_sorted(sorted(samples), q)


def percentile_of_sorted(ordered: Sequence[float], q: float) -> float | None:
    """Return `percentile(ordered, q)` of samples that are sorted already."""
    if len(ordered) < sample_floor(q):
        return None
    rank = q / 100 * (len(ordered) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    return ordered[low] + (rank - low) * (ordered[high] - ordered[low])
