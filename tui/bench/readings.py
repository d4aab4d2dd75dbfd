"""What is read of server, cards and client while a cell is measured: once a second, added up as it comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from tui.bench.energy import EnergyMeter
from tui.bench.system_under_test import SystemUnderTest
from tui.engines.base import ServerMetrics
from tui.metrics.conditions import CardsWatch, Conditions
from tui.metrics.occupancy import GaugeReadings
from tui.metrics.reading import devices

_N = TypeVar("_N", int, float)


@dataclass(slots=True)
class Readings:
    """What was read beside the requests of one cell."""

    gauges: GaugeReadings
    before: ServerMetrics | None
    energy: EnergyMeter
    server_age_s: float | None
    """When it began."""
    idle_around: bool = False
    """Whether before and after are of an idle server, so that its gauges then say nothing of the cell."""
    after: ServerMetrics | None = None
    cards: CardsWatch = field(default_factory=CardsWatch)
    server_waiting_max: float | None = None
    kv_cache_usage_max: float | None = None
    vram_used_max_bytes: int | None = None
    cpu_shares: list[float] = field(default_factory=list)
    lags_p99_s: list[float] = field(default_factory=list)
    silent_s: float | None = None
    """The longest silence that was too long."""

    @classmethod
    def begun(
        cls, testbed: SystemUnderTest, prompt_tokens: int, before: ServerMetrics | None, *, idle_around: bool = False
    ) -> Readings:
        """Return what is to be filled from now on, of requests with prompts of that size."""
        return cls(
            GaugeReadings(prompt_tokens, burst=idle_around),
            before,
            EnergyMeter(testbed.clock.now_ns()),
            testbed.conditions.server_age_s,
            idle_around,
        )

    def take(self, testbed: SystemUnderTest) -> None:
        """Take the latest of everything."""
        self.silent_s = _larger(self.silent_s, testbed.silent_s)
        around = self.idle_around and (testbed.metrics is self.before or testbed.metrics is self.after)
        if testbed.metrics is not None and not around:
            self.gauges.take(testbed.metrics)
            self.server_waiting_max = _larger(self.server_waiting_max, testbed.metrics.waiting)
            self.kv_cache_usage_max = _larger(self.kv_cache_usage_max, testbed.metrics.kv_cache_usage)
        gpus = testbed.own_gpus
        for gpu in devices(gpus):
            self.vram_used_max_bytes = _larger(self.vram_used_max_bytes, gpu.vram_used_bytes)
        self.energy.take(gpus)
        self.cards.take(gpus)
        if testbed.progress is not None:
            self.cpu_shares.append(testbed.progress.cpu_share)
            if testbed.progress.lag_p99_s is not None:
                self.lags_p99_s.append(testbed.progress.lag_p99_s)

    def conditions(self, testbed: SystemUnderTest) -> Conditions:
        """Return under what conditions the cell was measured; the server told some of them only meanwhile."""
        return msgspec.structs.replace(self.cards.added_to(testbed.conditions), server_age_s=self.server_age_s)


def _larger(known: _N | None, value: _N | None) -> _N | None:
    if known is None or value is None:
        return value if known is None else known
    return max(known, value)
