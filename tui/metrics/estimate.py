"""How sure one figure of a cell is: its 95 % interval, by the best that is known of its spread. Pure.

In this order:

- **measures**: the cell was measured three times or more; the mean of the measures, by Student's t.
- **interval**: of a standing cell, batch means for tokens/s and sectioning for the median latency (`precision`); where
  its window is too short for them, nothing.
- **repeats**: of several bursts or runs, Student's t over the figure of each; throughput goes as their time does.
- **requests**: within one measure. A percentile lies between two order statistics (Conover, "Practical Nonparametric
  Statistics", 1999, 3.2: ranks n p -+ 1.96 sqrt(n p (1 - p))); a mean has the standard error of its requests, and
  throughput that of their E2E latency. Requests of one burst wait for one another, so this tells how alike they were
  more than how alike another burst would be: it is the last that is asked, and said by name.

What has none of these has no interval, and is never said to differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import CellFigure
from tui.metrics.distribution import Distribution
from tui.metrics.precision import FEWEST_REPEATS, mean_half_width

_Z_95 = 1.959964
FEWEST_REQUESTS = 6
"""Fewer have no interval of their median at 95 %: 2 x 0.5^6 is the first that is below 5 %."""
_THROUGHPUT = frozenset({"tokens_per_s_total", "tokens_per_s_per_user", "cost_per_1m_tokens"})
_MEDIANS = frozenset({"time_to_resolve_s", "e2e_p50_s"})
_MEANS_OF = {"time_to_resolve_s": "e2e", "ttft_mean_s": "ttft"}
_PERCENTILES_OF = {
    f"{latency}_p{q}_s": (latency, q / 100) for latency in ("ttft", "e2e") for q in (50, 90, 99)
}  # TPOT is kept as no distribution, and the gaps of ITL are no independent sample


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a cell with its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None
    by: str = ""
    """measures, interval, repeats or requests; "" = its spread is not known."""

    @property
    def error(self) -> float | None:
        """The larger half of the interval as a share of the figure; None where it has none."""
        if self.low is None or self.high is None or self.value <= 0:
            return None
        return max(self.high - self.value, self.value - self.low) / self.value


def estimate(measures: Sequence[CellResult], figure: CellFigure) -> Estimate | None:
    """Return a figure of a cell from all its measures, oldest first; None where the latest has none."""
    answered = [cell for cell in measures if cell.outcome is Outcome.OK]
    if not answered or (value := figure.of(answered[-1])) is None:
        return None
    values = [each for each in map(figure.of, answered) if each is not None]
    if len(values) >= FEWEST_REPEATS and (half := mean_half_width(values)) is not None:
        mean = fmean(values)
        return Estimate(value=mean, low=mean - half, high=mean + half, by="measures")
    return _of_one(answered[-1], figure, value)


def _of_one(cell: CellResult, figure: CellFigure, value: float) -> Estimate:
    error = None
    if cell.precision is not None:
        if figure.field in _THROUGHPUT:
            error = cell.precision.tokens_per_s_error
        elif figure.field in _MEDIANS:
            error = cell.precision.e2e_p50_error
    if error is not None:
        return _within(value, error, "interval")
    if cell.repeats is not None and figure.field in (*_THROUGHPUT, *_MEDIANS, "e2e_p90_s"):
        error = cell.repeats.error
    if error is not None:
        return _within(value, error, "repeats")
    if cell.precision is not None and cell.precision.error is None:
        # Its window is too short for an interval, and its requests are no independent sample.
        return Estimate(value=value)
    return _by_requests(cell, figure, value)


def _within(value: float, error: float, by: str) -> Estimate:
    return Estimate(value=value, low=value * (1 - error), high=value * (1 + error), by=by)


def _by_requests(cell: CellResult, figure: CellFigure, value: float) -> Estimate:
    known = cell.distributions
    if known is None:
        return Estimate(value=value)
    if figure.field in _PERCENTILES_OF:
        latency, share = _PERCENTILES_OF[figure.field]
        between = _order_statistics(getattr(known, latency), share)
        if between is None:
            return Estimate(value=value)
        # The bins of a distribution are wide; the figure itself is not read from them. Where bursts or batches were
        # told apart, none of the cell's figures is surer than they agree.
        apart = value * _apart(cell)
        low, high = min(between[0], value - apart), max(between[1], value + apart)
        return Estimate(value=value, low=low, high=high, by="requests")
    error = _error_of_mean(getattr(known, _MEANS_OF[figure.field])) if figure.field in _MEANS_OF else None
    if figure.field in _THROUGHPUT:
        error = _error_of_mean(known.e2e)
    return Estimate(value=value) if error is None else _within(value, max(error, _apart(cell)), "requests")


def _apart(cell: CellResult) -> float:
    """Return how far repeats or batches of a cell are apart, as a share; 0 where it has none."""
    told = (cell.repeats.error if cell.repeats is not None else None, cell.precision.error if cell.precision else None)
    return max((each for each in told if each is not None), default=0.0)


def _order_statistics(distribution: Distribution | None, share: float) -> tuple[float, float] | None:
    """Return between which values the percentile lies; None for too few to tell."""
    count = 0 if distribution is None else sum(distribution.counts)
    if distribution is None or count < FEWEST_REQUESTS:
        return None
    reach = _Z_95 * math.sqrt(count * share * (1 - share))
    below, above = math.floor(count * share - reach), math.ceil(count * share + reach) + 1
    if below < 1 or above > count:
        return None
    return _bin_at(distribution, below)[0], _bin_at(distribution, above)[1]


def _bin_at(distribution: Distribution, rank: int) -> tuple[float, float]:
    counted = 0
    for begin_s, end_s, count in distribution.bins:
        counted += count
        if counted >= rank:
            return begin_s, end_s
    raise ValueError(f"expected a rank of at most {counted}")


def _error_of_mean(distribution: Distribution | None) -> float | None:
    """Return the half width of the interval of a mean as a share of it; None for too few to tell."""
    count = 0 if distribution is None else sum(distribution.counts)
    if distribution is None or count < FEWEST_REQUESTS:
        return None
    middles = [((begin_s + end_s) / 2, times) for begin_s, end_s, times in distribution.bins]
    mean = sum(middle * times for middle, times in middles) / count
    squares = sum(times * (middle - mean) ** 2 for middle, times in middles)
    return _Z_95 * math.sqrt(squares / (count - 1) / count) / mean if mean > 0 else None
