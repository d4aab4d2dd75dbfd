"""Whether a measured window was in a steady state. Pure.

The rule: the window's two halves agree, in tokens/s (each half seen as slices of equal length) and in the E2E
latency of the requests that finished in them. Two halves agree when their means differ by at most 10 % of the mean of
both, or by no more than noise explains (two standard errors of the difference) while below 25 %. It wants two requests
per half at least; with fewer, nothing can be said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

TOLERANCE = 0.10
NOISE_TOLERANCE = 0.25
STANDARD_ERRORS = 2.0
MIN_REQUESTS_PER_HALF = 2


def halves_agree(first: Sequence[float], second: Sequence[float]) -> bool:
    """Say whether two samples of at least two values each have the same mean, by the rule above."""
    mean_first, mean_second = fmean(first), fmean(second)
    difference = abs(mean_first - mean_second)
    scale = abs(fmean((mean_first, mean_second)))
    if difference <= TOLERANCE * scale:
        return True
    if difference > NOISE_TOLERANCE * scale:
        return False
    errors = _variance(first, mean_first) / len(first) + _variance(second, mean_second) / len(second)
    return difference <= STANDARD_ERRORS * math.sqrt(errors)


def _variance(values: Sequence[float], mean: float) -> float:
    # Of a million values the exact one of `statistics` takes a second.
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def is_steady(
    slice_tokens: Sequence[float], e2e_first_s: Sequence[float], e2e_second_s: Sequence[float]
) -> bool | None:
    """Say whether a window was steady; None when too few requests finished to tell.

    `slice_tokens`: tokens that arrived in each of an even number (four or more) of equal slices of the window;
    `e2e_first_s`, `e2e_second_s`: latencies of the requests that finished in its first and second half.
    """
    if min(len(e2e_first_s), len(e2e_second_s)) < MIN_REQUESTS_PER_HALF:
        return None
    middle = len(slice_tokens) // 2
    return halves_agree(slice_tokens[:middle], slice_tokens[middle:]) and halves_agree(e2e_first_s, e2e_second_s)
