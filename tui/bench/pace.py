"""How long a standing cell is measured: until its warm-up has ended, then until it is known well enough or time is up.

Many failures in a row end it at once, in the warm-up too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tui.bench.readings import Readings
from tui.bench.server_death import ServerDied
from tui.bench.system_under_test import SystemUnderTest
from tui.core.clock import NS_PER_S
from tui.metrics.precision import LEAST_VALUES, Precision, mser5
from tui.metrics.summary import CellSummary

OnProgress = Callable[[float, Precision | None], None]
"""Told how much of the cell is done, 0 to 1, and how sure its figures are by now, where that is known."""

LOOK_EVERY_S = 1.0
"""How sure the figures are is looked at so often at most, s of the clock."""
LOOK_GROWTH = 0.05
"""And not before so much more time has passed: each look is a chance to stop too early (docs/precision.md)."""
SURE_LOOKS = 4
"""So many looks in a row must find the figures sure: fewer may do so by luck."""
STEP_S = 0.5


class Pace:
    """Waits while one cell is measured, and looks at what has come of it."""

    def __init__(self, testbed: SystemUnderTest, summary: CellSummary, users: int, on_progress: OnProgress) -> None:
        self._testbed = testbed
        self._summary = summary
        self._on_progress = on_progress
        load = testbed.profile.load
        self._load = load
        self._most_failures = max(load.failures_in_a_row, users)
        self._began_ns = testbed.clock.now_ns()
        self._next_look_ns = 0
        self._sure_looks = 0
        self._warm_up_ended: bool | None = None
        self._latest: Precision | None = None

    @property
    def broken(self) -> bool:
        """Say whether so many requests in a row have failed that the cell is over."""
        return self._summary.failures_in_a_row >= self._most_failures

    def precision(self) -> Precision:
        """Return how sure the figures are by now."""
        return self._summary.precision(
            self._testbed.clock.now_ns(),
            asked=self._load.precision,
            warm_up_s=(self._summary.start_ns - self._began_ns) / NS_PER_S,
            warm_up_ended=self._warm_up_ended,
        )

    async def warm_up(self) -> None:
        """Wait for the end of the warm-up: the time that the profile says, and, where a precision is asked, until
        MSER-5 sees its end, though no longer than the cell is to be measured. Raises ServerDied."""
        load = self._load
        self._latest = Precision(asked=load.precision)
        await self.stand(load.warm_up_s, None)
        if load.precision is not None:
            await self.stand(load.duration_s, None, enough=self._has_warmed_up)
        self._has_warmed_up()

    async def measure(self, readings: Readings) -> None:
        """Wait until the figures are as sure as was asked, or time is up. Raises ServerDied."""
        self._latest = None
        await self.stand(self._load.duration_s, readings, enough=self._is_sure, before_s=self._load.warm_up_s)

    async def stand(
        self,
        session_s: float,
        readings: Readings | None,
        *,
        enough: Callable[[], bool] = lambda: False,
        before_s: float = 0.0,
    ) -> None:
        """Let the load stand for so long, or until it is `enough`. Raises ServerDied."""
        testbed = self._testbed
        assert testbed.failure is not None
        total_s = self._load.warm_up_s + self._load.duration_s
        start_ns = testbed.clock.now_ns()
        while (left_s := session_s - (testbed.clock.now_ns() - start_ns) / NS_PER_S) > 0 and not self.broken:
            self._on_progress(min(1.0, (before_s + session_s - left_s) / total_s), self._latest)
            wait_s = min(left_s / testbed.clock.time_scale, STEP_S)
            done, _ = await asyncio.wait({testbed.failure}, timeout=wait_s)
            if readings is not None:
                readings.take(testbed)
            if done:
                raise ServerDied(testbed.failure.result())
            if enough():
                return

    def _has_warmed_up(self) -> bool:
        rates = self._summary.token_rates(self._testbed.clock.now_ns())
        if len(rates) < LEAST_VALUES:
            return False
        self._warm_up_ended = mser5(rates) is not None
        return self._warm_up_ended

    def _is_sure(self) -> bool:
        now_ns = self._testbed.clock.now_ns()
        if now_ns < self._next_look_ns:
            return False
        measured_ns = now_ns - self._summary.start_ns
        pause_ns = max(LOOK_EVERY_S * self._testbed.clock.time_scale * NS_PER_S, LOOK_GROWTH * measured_ns)
        self._next_look_ns = now_ns + round(pause_ns)
        self._latest = self.precision()
        self._sure_looks = self._sure_looks + 1 if self._latest.reached else 0
        return self._sure_looks >= SURE_LOOKS
