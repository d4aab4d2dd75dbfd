"""Whether requests came faster than they were answered: the queue, or the time to the first token, grows. Pure.

The test: of ten parts of the window, equal in time (requests under way at their ends) or in number (TTFT, in the order
requests ended), the values rise by Mann-Kendall (Mann, "Nonparametric tests against trend", Econometrica 13, 1945;
one-sided, p < 0.01 for ten values: S ≥ 27), and the mean of the last three is at least half as much again as that of
the first three. The first alone would call a drift of one per cent a trend, the second a single bad second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import fmean, median

import msgspec

PARTS = 10
LEAST_S = 27
"""Of 45 pairs: P[S ≥ 27] = 0.0083 for ten independent values without a trend (Kendall, 1975)."""
GROWTH = 1.5
FEWEST_UNDER_WAY = 5
"""A queue that grew by less than this is none."""


class RateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of mode rate: what was asked, what was answered, and whether the server kept up."""

    asked_per_s: float
    """Planned requests/s."""
    answered_per_s: float
    """Requests/s that were answered in full."""
    cut: int = 0
    """Requests that were sent and then cut, unanswered, for the cell ended before its time."""
    over_saturated: bool | None = None
    """Whether queue or TTFT rose by the test; None where there was too little to tell."""
    what: str = ""
    """In words, where it was over-saturated."""


def rises(values: Sequence[float]) -> bool:
    """Say whether `PARTS` values rise, by the test above."""
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    return score >= LEAST_S and fmean(values[-3:]) >= GROWTH * fmean(values[:3])


def sections(values: Sequence[float]) -> list[float]:
    """Return the medians of `PARTS` parts of values in their order; none for fewer than two in each."""
    if len(values) < 2 * PARTS:
        return []
    edges = [round(place * len(values) / PARTS) for place in range(PARTS + 1)]
    return [median(values[begin:end]) for begin, end in pairwise(edges)]


def saturation(
    asked_per_s: float, answered_per_s: float, under_way: Sequence[int], ttft_s: Sequence[float]
) -> RateFigures:
    """Return the figures of a rate cell.

    `under_way`: at the ends of `PARTS` equal parts of the window; `ttft_s`: in the order requests ended.
    """
    firsts = sections(ttft_s)
    what = []
    if len(under_way) == PARTS and under_way[-1] - under_way[0] >= FEWEST_UNDER_WAY and rises(under_way):
        what.append(f"requests under way rise from {under_way[0]} to {under_way[-1]}")
    if firsts and rises(firsts):
        what.append(f"TTFT rises from {firsts[0]:.3g} s to {firsts[-1]:.3g} s")
    known = len(under_way) == PARTS or bool(firsts)
    return RateFigures(
        asked_per_s=asked_per_s,
        answered_per_s=answered_per_s,
        over_saturated=bool(what) if known else None,
        what=f"over-saturated: {', '.join(what)} within the window" if what else "",
    )
