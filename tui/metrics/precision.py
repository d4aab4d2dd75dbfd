"""How sure the figures of a standing cell are: where its warm-up ends, whether it is steady, and its intervals. Pure.

- **Warm-up**: MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation output", Simulation
  69, 1997; with batches of five: White, Cobb & Spratt, WSC 2000). Of the series of tokens/s, batched by fives, the cut
  d is taken that makes the squared standard error of what is left least: Σ (y - mean)² / (n - d)², both over the n - d
  batches after the cut. A least that lies in the second half tells of no end of the warm-up.
- **Tokens/s**: batch means. The series is cut into as many as 30 batches of equal length that do not overlap
  (Schmeiser, "Batch size effects", Operations Research 30, 1982), and an AR(1) is fitted to their means, as ASAP3 does
  (Steiger, Lada, Wilson, Joines, Alexopoulos & Goldsman, ACM TOMACS 15, 2005): batches that resemble the one before
  are worth fewer than they are. With r the first autocorrelation, n batches are worth n (1 - r) / (1 + r), and the
  half width is Student's t over that many. r itself comes out too small in a short series, by (1 + 3r) / n (Marriott &
  Pope, Biometrika 41, 1954), and is then taken half a standard error larger than found, sqrt((1 - r²) / n) (Bartlett,
  1946), so that a series that seems quick to forget by chance gives no narrow interval.
- **Median latency**: the same of the medians of sections, around the median of all (Asmussen & Glynn, "Stochastic
  Simulation", 2007, III.5a): the requests, in the order they ended, are cut into sections as the series is.
  Their logarithms are taken: queues are skewed, and in a quiet stretch both the median and its spread come out small.
- **Nothing is said** where the batches are worth fewer than three independent ones, or the window is shorter than
  `LATENCIES` median latencies: what does not vary within it varies beyond it.

How often these intervals hold the truth was tried: docs/precision.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

import msgspec

BATCHES = 30
"""Batches of the series, and sections of the requests, at most."""
FEWEST_BATCHES = 10
LEAST_IN_BATCH = 5
"""So many bins or requests are in each at least."""
LEAST_VALUES = FEWEST_BATCHES * LEAST_IN_BATCH
"""The series must have so many bins, and so many requests must have ended."""
FEWEST_INDEPENDENT = 3.0
"""Batches that are worth fewer independent ones have no interval."""
LATENCIES = 15
"""Users who ask again and again repeat themselves with each answer: a window must hold so many median latencies."""
_WIDEST_LOG = 100.0
_ROUNDING = 1e-12
CAUTION = 0.5
"""Standard errors by which the autocorrelation is taken larger than found."""
SLICES = 10
"""Of the series, for the test of a steady state."""
MOST_VALUES = 5_000
MSER_BATCH = 5
FEWEST_MSER_BATCHES = 10


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
    sections: int = 10
    """Batches and sections that the intervals are made of, each at most."""
    independent: float | None = None
    """How many independent batches the batches are worth, of tokens/s or of latency, whichever is worth less; t has one
    degree of freedom less. None = no interval."""
    needed_s: float | None = None
    """How long the window would have to be for what was asked, by the spread seen in it, s; None = not known."""
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
    if len(batches) < FEWEST_MSER_BATCHES:
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


def slices(series: Sequence[float]) -> list[float]:
    """Return the means of `SLICES` equal parts that do not overlap; none where the series is too short.

    What does not fill a whole part at the beginning is left out.
    """
    return _means(series, SLICES) if len(series) >= LEAST_VALUES else []


def thinned(values: Sequence[float]) -> Sequence[float]:
    """Return at most `MOST_VALUES` values, every so many: more make no interval better, and take time."""
    return values[:: -(-len(values) // MOST_VALUES)] if len(values) > MOST_VALUES else values


class Interval(msgspec.Struct, frozen=True):
    """Of a figure at 95 %."""

    half_width: float
    independent: float
    """How many independent batches it rests on."""


def interval_of_mean(series: Sequence[float]) -> Interval | None:
    """Return the interval of a correlated series' mean; None where too little is known of it."""
    if len(series) < LEAST_VALUES:
        return None
    means = _means(series, _batches_of(len(series)))
    return _interval(means, fmean(means))


def interval_of_median(values: Sequence[float]) -> Interval | None:
    """Return the interval of the median of values in the order they came; None where too little is known of it."""
    if len(values) < LEAST_VALUES:
        return None
    count = _batches_of(len(values))
    edges = [round(place * len(values) / count) for place in range(count + 1)]
    medians = [median(values[begin:end]) for begin, end in pairwise(edges)]
    middle = median(values)
    if min(medians) <= 0:
        return None
    found = _interval([math.log(each) for each in medians], math.log(middle))
    return (
        None if found is None else Interval(middle * math.expm1(min(found.half_width, _WIDEST_LOG)), found.independent)
    )


def _batches_of(values: int) -> int:
    return min(BATCHES, values // LEAST_IN_BATCH)


def _means(series: Sequence[float], count: int) -> list[float]:
    size = len(series) // count
    return [fmean(series[at : at + size]) for at in range(len(series) - size * count, len(series), size)]


def _interval(parts: Sequence[float], centre: float) -> Interval | None:
    count = len(parts)
    likeness = _likeness(parts)
    if likeness >= 1:
        return None
    inflated = (1 + likeness) / (1 - likeness)
    independent = count / inflated
    if independent < FEWEST_INDEPENDENT:
        return None
    # What is alike spreads less: the expected sum of squares is (n - inflated) variances.
    squares = sum((part - centre) ** 2 for part in parts)
    return Interval(t_95(independent - 1) * math.sqrt(squares / (count - inflated) * inflated / count), independent)


def _likeness(parts: Sequence[float]) -> float:
    """Return how much each value resembles the one before, from 0, on the side of caution."""
    count, mean = len(parts), fmean(parts)
    squares = sum((part - mean) ** 2 for part in parts)
    if squares <= count * (_ROUNDING * mean) ** 2:  # all are alike
        return 0.0
    found = sum((one - mean) * (other - mean) for one, other in pairwise(parts)) / squares
    found += (1 + 3 * found) / count
    return max(0.0, found + CAUTION * math.sqrt(max(0.0, 1 - found * found) / count))


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
    what is known of the window (`metrics/steady.py`); `lasting_s`: how long it is.
    """
    rate = fmean(series) if series else 0.0
    middle_s = median(latencies_s) if latencies_s else 0.0
    tokens = e2e = None
    if lasting_s >= LATENCIES * middle_s:
        tokens, e2e = interval_of_mean(series), interval_of_median(latencies_s)
    known = Precision(
        state="drifting" if steady is False else "steady",
        asked=asked,
        tokens_per_s_half_width=tokens.half_width if tokens is not None else None,
        e2e_p50_half_width_s=e2e.half_width if e2e is not None else None,
        tokens_per_s_error=tokens.half_width / rate if tokens is not None and rate > 0 else None,
        e2e_p50_error=e2e.half_width / middle_s if e2e is not None and middle_s > 0 else None,
        sections=BATCHES,
        independent=min(tokens.independent, e2e.independent) if tokens is not None and e2e is not None else None,
        bins=len(series),
        requests=len(latencies_s),
        warm_up_s=warm_up_s,
        warm_up_ended=warm_up_ended,
    )
    if asked is None:
        return known
    error = known.error
    return msgspec.structs.replace(
        known,
        reached=error is not None and error <= asked and steady is not False,
        # A half width falls with the square root of time.
        needed_s=None if error is None else lasting_s * (error / asked) ** 2,
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
# Student's t, two-sided 95 %, by degrees of freedom from 2 on.
_T_BY_FREEDOM = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_FEWEST_FREEDOM = 2
_Z_95 = 1.959964


def t_95(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t with so many degrees of freedom, at least 2, within 0.2 %."""
    place = max(freedom, float(_FEWEST_FREEDOM)) - _FEWEST_FREEDOM
    below = int(place)
    if below + 1 >= len(_T_BY_FREEDOM):  # Abramowitz & Stegun, 26.7.5
        return _Z_95 + 2.3723 / freedom + 2.8225 / freedom**2
    # It is all but linear in 1 / freedom.
    low, high = 1 / (below + _FEWEST_FREEDOM), 1 / (below + 1 + _FEWEST_FREEDOM)
    share = (low - 1 / (place + _FEWEST_FREEDOM)) / (low - high)
    return _T_BY_FREEDOM[below] + share * (_T_BY_FREEDOM[below + 1] - _T_BY_FREEDOM[below])


def mean_half_width(values: Sequence[float]) -> float | None:
    """Return the half width of the 95 % interval of the mean of independent values; None for fewer than three."""
    if len(values) < FEWEST_REPEATS:
        return None
    return t_95(len(values) - 1) * stdev(values) / math.sqrt(len(values))


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
    enough = "" if precision.needed_s is None else f"; by the spread seen it takes about {_time(precision.needed_s)}"
    return (
        f"{asked}, but the time given allows {_within(precision.error)} only (tokens/s "
        f"{_within(precision.tokens_per_s_error)}, median E2E {_within(precision.e2e_p50_error)}){enough}"
    )


def _within(error: float | None) -> str:
    return f"±{error:.1%}" if error is not None and error <= 1 else "more than ±100%"


def _time(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


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
