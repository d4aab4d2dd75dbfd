"""How sure the figures of a standing cell are: where its warm-up ends, whether it is steady, and its intervals. Pure.

- **Warm-up**: MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation output", Simulation
  69, 1997; with batches of five: White, Cobb & Spratt, WSC 2000). Of the series of tokens/s, batched by fives, the cut
  d is taken that makes the squared standard error of what is left least: Σ (y - mean)² / (n - d)², both over the n - d
  batches after the cut. A least that lies in the second half tells of no end of the warm-up.
- **Tokens/s**: the series is correlated, so the interval is one of batch means: k batches of equal length that do not
  overlap, Student's t with k - 1 degrees of freedom (Schmeiser, "Batch size effects", Operations Research 30, 1982:
  10 to 30 batches).
- **Median latency**: sectioning (Asmussen & Glynn, "Stochastic Simulation", 2007, III.5a): the requests, in the order
  they ended, are cut into k sections; the spread of the sections' medians around the median of all gives the interval.

How often these intervals hold the truth was tried: docs/precision.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

import msgspec

CONFIDENCE = 0.95
SECTIONS = 10
"""Batches of the series, and sections of the requests."""
LEAST_BINS = 5 * SECTIONS
"""The series must have so many bins: five in each batch."""
LEAST_REQUESTS = 5 * SECTIONS
"""So many requests must have ended: five in each section."""
MOST_VALUES = 5_000
MSER_BATCH = 5
# Student's t, two-sided 95 %, SECTIONS - 1 degrees of freedom.
_T_95 = 2.262157


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """How sure a cell's figures are: half widths of 95 % intervals, and what they are made of."""

    state: str = "settling"
    """settling: the warm-up goes on; steady; drifting: the window's halves do not agree."""
    asked: float | None = None
    """The share within which tokens/s and the median latency were to be known; None = a fixed time was asked."""
    reached: bool | None = None
    """Whether they are; None where nothing was asked."""
    tokens_per_s_half_width: float | None = None
    """Tokens/s; None = too short a series."""
    e2e_p50_half_width_s: float | None = None
    """None = too few requests."""
    tokens_per_s_error: float | None = None
    """The half width as a share of tokens/s."""
    e2e_p50_error: float | None = None
    """The half width as a share of the median E2E latency."""
    sections: int = SECTIONS
    """Batches and sections: t has one degree of freedom less."""
    bins: int = 0
    """Values of the series of tokens/s."""
    requests: int = 0
    """Requests whose latency counts."""
    warm_up_s: float | None = None
    """How long the warm-up was in the end."""
    warm_up_ended: bool | None = None
    """Whether MSER-5 said that it had ended; None where the series was too short to tell."""

    @property
    def error(self) -> float | None:
        """Return the larger of both errors; None while one is not known."""
        if self.tokens_per_s_error is None or self.e2e_p50_error is None:
            return None
        return max(self.tokens_per_s_error, self.e2e_p50_error)


def mser5(series: Sequence[float]) -> int | None:
    """Return how many values of a series are warm-up by MSER-5.

    None: it has fewer than ten batches, or the least lies in its second half, so that the end of the warm-up is not in
    sight.
    """
    batches = [fmean(series[at : at + MSER_BATCH]) for at in range(0, len(series) - MSER_BATCH + 1, MSER_BATCH)]
    if len(batches) < SECTIONS:
        return None
    best, best_cut = math.inf, 0
    total = squares = 0.0
    # From the end on, so that each sum is the last one and a value more; the last batches alone say nothing.
    least_left = len(batches) // 4
    for left, value in enumerate(reversed(batches), start=1):
        total += value
        squares += value * value
        error = max(0.0, squares - total * total / left) / (left * left)
        if left >= least_left and error <= best:
            best, best_cut = error, len(batches) - left
    return None if best_cut > len(batches) // 2 else best_cut * MSER_BATCH


def batch_means(series: Sequence[float]) -> list[float]:
    """Return the means of equal batches that do not overlap; none where the series is too short.

    What does not fill a whole batch at the beginning is left out.
    """
    if len(series) < LEAST_BINS:
        return []
    size = len(series) // SECTIONS
    return [fmean(series[at : at + size]) for at in range(len(series) - size * SECTIONS, len(series), size)]


def batch_means_half_width(series: Sequence[float]) -> float | None:
    """Return the half width of the 95 % interval of a correlated series' mean; None where it is too short."""
    means = batch_means(series)
    return _half_width(means, fmean(means)) if means else None


def thinned(values: Sequence[float]) -> Sequence[float]:
    """Return at most `MOST_VALUES` values, every so many: more make no interval better, and take time."""
    return values[:: -(-len(values) // MOST_VALUES)] if len(values) > MOST_VALUES else values


def median_half_width(values: Sequence[float]) -> float | None:
    """Return the half width of the 95 % interval of the median of values in the order they came; None for too few."""
    if len(values) < LEAST_REQUESTS:
        return None
    edges = [round(place * len(values) / SECTIONS) for place in range(SECTIONS + 1)]
    medians = [median(values[begin:end]) for begin, end in pairwise(edges)]
    return _half_width(medians, median(values))


def _half_width(parts: Sequence[float], centre: float) -> float:
    squares = sum((part - centre) ** 2 for part in parts)
    return _T_95 * math.sqrt(squares / (len(parts) * (len(parts) - 1)))


def precision_of(
    series: Sequence[float],
    latencies_s: Sequence[float],
    *,
    asked: float | None,
    steady: bool | None,
    lasting_s: float,
    warm_up_s: float | None = None,
    warm_up_ended: bool | None = None,
) -> Precision:
    """Return how sure a measured window is.

    `series`: tokens/s in bins of equal length; `latencies_s`: E2E latencies in the order the requests ended; `steady`:
    what is known of the window (`metrics/steady.py`); `lasting_s`: how long it is. Users who ask again and again repeat
    themselves with each answer, so that a batch shorter than a request is no sample of its own: less than `SECTIONS`
    median latencies are never enough.
    """
    tokens_half, e2e_half = batch_means_half_width(series), median_half_width(latencies_s)
    rate = fmean(series) if series else 0.0
    middle_s = median(latencies_s) if latencies_s else 0.0
    tokens_error = tokens_half / rate if tokens_half is not None and rate > 0 else None
    e2e_error = e2e_half / middle_s if e2e_half is not None and middle_s > 0 else None
    long_enough = lasting_s >= SECTIONS * middle_s
    sure = (
        asked is not None
        and None not in (tokens_error, e2e_error)
        and max(tokens_error or 0.0, e2e_error or 0.0) <= asked
    )
    return Precision(
        state="drifting" if steady is False else "steady",
        asked=asked,
        reached=None if asked is None else sure and long_enough and steady is not False,
        tokens_per_s_half_width=tokens_half,
        e2e_p50_half_width_s=e2e_half,
        tokens_per_s_error=tokens_error,
        e2e_p50_error=e2e_error,
        bins=len(series),
        requests=len(latencies_s),
        warm_up_s=warm_up_s,
        warm_up_ended=warm_up_ended,
    )


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Bursts, or windows one after the other, that make up one cell: the median of them and their spread."""

    count: int
    figure: str
    """What is told of each: "mean E2E", or "E2E p90"."""
    median_s: float
    least_s: float
    most_s: float
    half_width_s: float | None = None
    """Of the 95 % interval of their mean, by Student's t; None for fewer than three."""

    @property
    def error(self) -> float | None:
        """The half width as a share of the median."""
        return self.half_width_s / self.median_s if self.half_width_s is not None and self.median_s > 0 else None


FEWEST_REPEATS = 3
# Student's t, two-sided 95 %, by degrees of freedom from 2 on; the normal distribution's beyond.
_T_BY_FREEDOM = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_T_MORE = 2.131


def mean_half_width(values: Sequence[float]) -> float | None:
    """Return the half width of the 95 % interval of the mean of independent values; None for fewer than three."""
    if len(values) < FEWEST_REPEATS:
        return None
    freedom = len(values) - 1
    t = _T_BY_FREEDOM[freedom - 2] if freedom - 2 < len(_T_BY_FREEDOM) else _T_MORE
    return t * stdev(values) / math.sqrt(len(values))


def repeats_of(values_s: Sequence[float], figure: str) -> Repeats | None:
    """Return what several measures of the same come to, each independent of the others; None for none."""
    if not values_s:
        return None
    half_width_s = mean_half_width(values_s)
    return Repeats(
        count=len(values_s),
        figure=figure,
        median_s=median(values_s),
        least_s=min(values_s),
        most_s=max(values_s),
        half_width_s=half_width_s,
    )


def unreached(precision: Precision) -> str:
    """Return in a sentence that a cell is not known as well as was asked for; "" where it is, or nothing was asked."""
    if precision.asked is None or precision.reached:
        return ""
    asked = f"within ±{precision.asked:.1%} was asked"
    if precision.state == "drifting":
        return f"{asked}, but there was no steady state in the time given"
    if precision.error is None:
        return f"{asked}, but the time given is too short to tell: {precision.requests} requests ended"
    if precision.error <= precision.asked:
        return f"{asked}, but the time given is less than {SECTIONS} median latencies, which is too short to be sure"
    return (
        f"{asked}, but the time given allows ±{precision.error:.1%} only "
        f"(tokens/s ±{precision.tokens_per_s_error:.1%}, median E2E ±{precision.e2e_p50_error:.1%})"
    )


class RateBins:
    """Tokens by when they arrived, in bins of equal length, fewer than `_MOST_BINS` however long it goes on."""

    _MOST_BINS = 512

    def __init__(self, start_ns: int, bin_ns: int) -> None:
        """`bin_ns`: how long a bin is at first; they are joined in pairs when there are too many."""
        self._start_ns = start_ns
        self._bin_ns = bin_ns
        self._tokens: list[int] = []

    def add(self, tokens: Sequence[tuple[int, int]]) -> None:
        """Take (bucket_start_ns, tokens) pairs of a load worker's report."""
        for at_ns, count in tokens:
            if at_ns < self._start_ns:
                continue
            while (place := (at_ns - self._start_ns) // self._bin_ns) >= self._MOST_BINS:
                self._join()
            if place >= len(self._tokens):
                self._tokens.extend([0] * (place + 1 - len(self._tokens)))
            self._tokens[place] += count

    def rates(self, end_ns: int) -> list[float]:
        """Return tokens/s in each bin that had ended by `end_ns`."""
        whole = max(0, min((end_ns - self._start_ns) // self._bin_ns, self._MOST_BINS))
        known = [*self._tokens[:whole], *([0] * (whole - len(self._tokens)))]
        return [count * 1e9 / self._bin_ns for count in known]

    def _join(self) -> None:
        padded = [*self._tokens, *([0] * (len(self._tokens) % 2))]
        self._tokens = [first + second for first, second in zip(padded[::2], padded[1::2], strict=True)]
        self._bin_ns *= 2
