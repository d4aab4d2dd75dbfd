"""What is read beside a cell: the most of each figure, of what is of the cell, each reading once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.testbed import FakeTestbed
from tui.bench.readings import Readings
from tui.core.clock import NS_PER_S
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress
from tui.metrics.conditions import Conditions
from tui.metrics.reading import GpuReading


@pytest.fixture
async def testbed() -> FakeTestbed:
    return FakeTestbed(lambda users, size: None)


def card(index: int, **fields: Any) -> GpuReading:
    return GpuReading(at_ns=2**62, index=index, name="A100", **fields)


async def test_the_most_of_each_is_kept_and_what_is_missing_stays_missing(testbed: FakeTestbed) -> None:
    readings = Readings.begun(testbed, 30, None)
    readings.take(testbed)
    assert (readings.server_waiting_max, readings.kv_cache_usage_max, readings.vram_used_max_bytes) == (None,) * 3
    rounds: list[tuple[float | None, float | None, float | None]] = [
        (2.0, 0.3, None),
        (5.0, None, 4.0),
        (1.0, 0.2, None),
    ]
    for waiting, usage, silent_s in rounds:
        testbed.metrics = ServerMetrics(waiting=waiting, kv_cache_usage=usage)
        testbed.silent_s = silent_s
        readings.take(testbed)
    assert (readings.server_waiting_max, readings.kv_cache_usage_max, readings.silent_s) == (5.0, 0.3, 4.0)
    assert readings.gauges.occupancy(None, None, None).waiting_readings == 3


async def test_the_same_reading_counts_once_however_often_it_is_looked_at(testbed: FakeTestbed) -> None:
    readings = Readings.begun(testbed, 30, None)
    testbed.metrics = ServerMetrics(running=2.0, waiting=1.0)
    for _ in range(3):
        readings.take(testbed)
    assert readings.gauges.occupancy(None, None, None).readings == 1


async def test_gauges_of_an_idle_server_before_and_after_a_burst_are_not_of_it(testbed: FakeTestbed) -> None:
    before, within, after = (ServerMetrics(running=n, waiting=9.0 * n) for n in (0.0, 3.0, 0.0))
    for idle_around, expected in ((True, 1), (False, 3)):
        readings = Readings.begun(testbed, 30, before, idle_around=idle_around)
        readings.after = after
        for metrics in (before, within, after):
            testbed.metrics = metrics
            readings.take(testbed)
        assert readings.gauges.occupancy(None, None, None).readings == expected
        assert readings.server_waiting_max == 27.0


async def test_vram_is_of_the_fullest_card_and_a_slice_stands_for_its_card(testbed: FakeTestbed) -> None:
    readings = Readings.begun(testbed, 30, None)
    testbed.own_gpus = [card(0, vram_used_bytes=5), card(1, vram_used_bytes=7)]
    readings.take(testbed)
    testbed.own_gpus = [card(0, vram_used_bytes=6), card(1)]
    readings.take(testbed)
    assert readings.vram_used_max_bytes == 7
    sliced = Readings.begun(testbed, 30, None)
    testbed.own_gpus = [card(0, mig_mode=True, vram_used_bytes=70), card(0, mig_index=1, vram_used_bytes=3)]
    sliced.take(testbed)
    assert sliced.vram_used_max_bytes == 3


async def test_the_load_workers_say_how_busy_they_were(testbed: FakeTestbed) -> None:
    readings = Readings.begun(testbed, 30, None)
    for share, lag_s in ((0.2, None), (0.9, 0.001)):
        testbed.progress = LoadProgress(at_ns=NS_PER_S, users_active=1, in_flight=1, cpu_share=share, lag_p99_s=lag_s)
        readings.take(testbed)
    assert (readings.cpu_shares, readings.lags_p99_s) == ([0.2, 0.9], [0.001])


async def test_conditions_are_those_of_the_end_with_the_servers_age_at_the_beginning(testbed: FakeTestbed) -> None:
    testbed.conditions = Conditions(launch=2, server_age_s=3.0)
    readings = Readings.begun(testbed, 30, None)
    testbed.own_gpus = [card(0, clock_mhz=1400), card(1, clock_mhz=1200, throttle="power cap")]
    readings.take(testbed)
    testbed.conditions = Conditions(launch=2, server_age_s=60.0, kv_pool_tokens=1_000)  # told only meanwhile
    found = readings.conditions(testbed)
    assert (found.server_age_s, found.kv_pool_tokens) == (3.0, 1_000)
    assert (found.clock_min_mhz, found.clock_max_mhz, found.throttle) == (1200, 1400, "power cap")
