"""How many requests a server had, by its gauges and by its times."""

from __future__ import annotations

from tui.engines.base import ServerMetrics
from tui.metrics.occupancy import GaugeReadings

BEFORE = ServerMetrics(queue_sum_s=0.0, prefill_sum_s=0.0, decode_sum_s=0.0, prefill_count=0.0, decode_count=0.0)
AFTER = ServerMetrics(queue_sum_s=4.0, prefill_sum_s=8.0, decode_sum_s=12.0, prefill_count=8.0, decode_count=8.0)


def readings(*running: float, burst: bool) -> GaugeReadings:
    gauges = GaugeReadings(64, burst=burst)
    for number in running:
        gauges.take(ServerMetrics(running=number, waiting=0.0))
    return gauges


def test_a_burst_has_no_readings_from_before_and_after_it() -> None:
    told = readings(0, 8, 8, 0, burst=True).occupancy(None, None, 2.6)
    assert (told.readings, told.running_mean) == (2, 8.0)
    standing = readings(0, 8, 8, 0, burst=False).occupancy(None, None, 2.6)
    assert (standing.readings, standing.running_mean) == (4, 4.0)


def test_of_a_burst_that_was_answered_whole_the_servers_times_tell_the_means() -> None:
    gauges = readings(8, 1, burst=True)
    told = gauges.occupancy(BEFORE, AFTER, 4.0, all_answered=True)
    assert (told.running_mean, told.running_max, told.waiting_mean) == (5.0, 8.0, 1.0)
    # Requests that were not answered are not in its times.
    assert gauges.occupancy(BEFORE, AFTER, 4.0).running_mean == 4.5


def test_of_users_who_stand_still_the_gauges_tell_as_requests_go_on_after_the_cell() -> None:
    told = readings(8, 6, burst=False).occupancy(BEFORE, AFTER, 4.0, all_answered=True)
    assert (told.running_mean, told.waiting_mean) == (7.0, 0.0)
    assert readings(burst=False).occupancy(BEFORE, AFTER, 4.0).running_mean == 5.0
