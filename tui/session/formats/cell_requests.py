"""The answered requests of one measured cell, as other tools' formats want them: lists and their statistics. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, pstdev

from tui.core.outcome import Outcome
from tui.metrics.histogram import LogHistogram, first_value_of
from tui.metrics.record import RequestRecord

PERCENTILES = (50, 90, 99)


@dataclass(slots=True)
class CellRequests:
    """In the order in which they ended; times in s."""

    input_lens: list[int] = field(default_factory=list)
    output_lens: list[int] = field(default_factory=list)
    ttft: list[float] = field(default_factory=list)
    tpot: list[float] = field(default_factory=list)
    e2e: list[float] = field(default_factory=list)
    start_ns: list[int] = field(default_factory=list)
    failed: int = 0
    gaps_us: LogHistogram = field(default_factory=LogHistogram)
    gaps_total_s: float = 0.0

    def add(self, record: RequestRecord) -> None:
        """Take a request of the measurement; what vramp itself cut short is none."""
        if record.outcome is not Outcome.OK:
            self.failed += record.outcome is not Outcome.CANCELLED
            return
        ttft_s, e2e_s = record.ttft_s, record.e2e_s
        if ttft_s is None or e2e_s is None:
            return
        counted = record.prompt_tokens_usage
        self.input_lens.append(record.prompt_tokens if counted is None else counted)
        self.output_lens.append(record.tokens)
        self.ttft.append(ttft_s)
        self.e2e.append(e2e_s)
        self.start_ns.append(record.intended_start_ns)
        if record.tpot_s is not None:
            self.tpot.append(record.tpot_s)
        record.add_gaps_to(self.gaps_us)
        self.gaps_total_s += e2e_s - ttft_s

    @property
    def itl(self) -> Statistic | None:
        """Of the gaps between events that bear tokens; their percentiles and spread are known to 0.8 %."""
        count = self.gaps_us.count
        if not count:
            return None
        mean_s = self.gaps_total_s / count
        spread = sum(times * (_middle_s(bucket) - mean_s) ** 2 for bucket, times in self.gaps_us.buckets().items())
        at = {q: (self.gaps_us.value_at(q) or 0.0) / 1e6 for q in PERCENTILES}
        return Statistic(mean_s, math.sqrt(spread / count), at)


@dataclass(frozen=True, slots=True)
class Statistic:
    """Mean, standard deviation and percentiles of one figure."""

    mean: float
    std: float
    at: dict[int, float]

    @classmethod
    def of(cls, values: list[float]) -> Statistic | None:
        """Return what values come to, percentiles between ranks as numpy has them, however few; None of none."""
        if not values:
            return None
        ordered = sorted(values)
        return cls(fmean(values), pstdev(values), {q: _percentile(ordered, q) for q in PERCENTILES})


def _percentile(ordered: list[float], q: float) -> float:
    rank = q / 100 * (len(ordered) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    return ordered[low] + (rank - low) * (ordered[high] - ordered[low])


def _middle_s(bucket: int) -> float:
    return (first_value_of(bucket) + first_value_of(bucket + 1)) / 2 / 1e6
