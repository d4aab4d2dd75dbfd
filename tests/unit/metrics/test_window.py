from __future__ import annotations

import pytest

from tests.unit.metrics.records import answered, failed, ns
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.metrics.reading import SeriesPoint
from tui.metrics.snapshot import Figures
from tui.metrics.window import LiveWindow


def tick(window: LiveWindow, at_s: float, in_flight: int = 2, metrics: ServerMetrics | None = None) -> SeriesPoint:
    return window.series_point(
        ns(at_s), users_wanted=2, users_active=in_flight, in_flight=in_flight, prompt_tokens=31, metrics=metrics
    )


def stream(window: LiveWindow, start_s: int, end_s: int, per_s: int) -> None:
    """Tokens in buckets of 100 ms."""
    for tenth in range(start_s * 10, end_s * 10):
        window.add_tokens([(ns(tenth / 10), per_s // 10)])


def test_before_anything_all_is_unknown() -> None:
    window = LiveWindow()
    assert window.figures(ns(5)) == Figures()
    assert window.delivered_concurrency(ns(5)) is None
    assert tick(window, 1, in_flight=0).tokens_per_s_total is None


def test_tokens_per_second_are_those_of_the_last_three() -> None:
    window = LiveWindow()
    stream(window, 100, 110, 200)
    assert window.figures(ns(110.3)).tokens_per_s_total == pytest.approx(200)
    stream(window, 110, 112, 500)
    assert window.figures(ns(112.3)).tokens_per_s_total == pytest.approx(400)
    stream(window, 112, 115, 500)
    assert window.figures(ns(115.3)).tokens_per_s_total == pytest.approx(500)


def test_a_start_is_not_averaged_with_the_time_before_it() -> None:
    window = LiveWindow()
    stream(window, 100, 103, 200)
    assert window.figures(ns(102)).tokens_per_s_total == pytest.approx(200)
    assert window.figures(ns(100.5)).tokens_per_s_total is None


def test_a_tenth_counts_when_its_reports_are_in() -> None:
    window = LiveWindow()
    stream(window, 100, 109, 200)
    assert window.figures(ns(109.3)).tokens_per_s_total == pytest.approx(200)
    stream(window, 109, 110, 1000)
    assert window.figures(ns(109.3)).tokens_per_s_total == pytest.approx(200)
    assert window.figures(ns(109.8)).tokens_per_s_total == pytest.approx((2.5 * 200 + 0.5 * 1000) / 3)
    assert window.figures(ns(110.3)).tokens_per_s_total == pytest.approx(1400 / 3)


def test_the_first_rate_comes_within_a_second_of_the_first_token() -> None:
    window = LiveWindow()
    stream(window, 100, 101, 200)
    assert window.figures(ns(100.7)).tokens_per_s_total is None
    assert window.figures(ns(100.8)).tokens_per_s_total == pytest.approx(200)


def test_modelled_time_that_runs_faster_widens_the_window() -> None:
    window = LiveWindow(time_scale=20)
    # Each 100 ms of the clock are 2 modelled seconds, and a report comes 4 later.
    for start_s in range(1000, 1400, 2):
        window.add_tokens([(ns(start_s), 100)])
        tick(window, start_s + 4)
    window.add_records([answered(1390, [1391, 1392, 1393])])
    figures = window.figures(ns(1400))
    assert figures.window_s == 200
    assert figures.tokens_per_s_total == pytest.approx(50)
    assert figures.e2e_p50_s == pytest.approx(3, rel=0.01)


def test_a_stalled_server_shows_zero_and_an_idle_one_nothing() -> None:
    stalled, idle = LiveWindow(), LiveWindow()
    for window, in_flight in ((stalled, 2), (idle, 0)):
        stream(window, 100, 101, 100)
        for second in range(100, 125):
            tick(window, second, in_flight)
    assert stalled.figures(ns(125)).tokens_per_s_total == 0.0
    assert idle.figures(ns(125)).tokens_per_s_total is None


def test_when_the_last_user_has_gone_no_rate_is_left_standing() -> None:
    window = LiveWindow()
    stream(window, 100, 105, 100)
    for second in range(100, 105):
        tick(window, second, in_flight=3)
    assert window.figures(ns(105.5)).tokens_per_s_total is not None
    tick(window, 105, in_flight=0)
    assert window.figures(ns(106.5)).tokens_per_s_total is None


def test_each_token_counts_in_exactly_one_point() -> None:
    window = LiveWindow()
    tick(window, 100)
    stream(window, 100, 101, 100)
    first = tick(window, 101)
    window.add_tokens([(ns(100.9), 7)])  # a late report
    stream(window, 101, 103, 100)
    second = tick(window, 103)
    assert first.tokens_per_s_total == 100
    assert second.tokens_per_s_total == (200 + 7) / 2


def test_latencies_are_of_the_requests_that_finished_in_the_window() -> None:
    window = LiveWindow()
    window.add_records([answered(80, [85, 86, 87])])
    window.add_records([answered(100, [101, 102, 103]), answered(100, [102, 103, 105])])
    figures = window.figures(ns(106))
    assert figures.requests_ok == 2
    assert figures.requests_ok_total == 3
    assert figures.ttft_p50_s == pytest.approx(1.5, rel=0.01)
    assert figures.e2e_p50_s == pytest.approx(4.0, rel=0.01)
    assert figures.tpot_p50_s == pytest.approx(1.25, rel=0.01)
    assert figures.itl_p50_s == pytest.approx(1.0, rel=0.01)
    assert figures.tokens_per_s_per_user == pytest.approx((1 + 0.6) / 2)
    assert (figures.ttft_p90_s, figures.e2e_p99_s, figures.itl_p99_s) == (None, None, None)
    assert window.figures(ns(120)).ttft_p50_s is None


def test_failures_have_their_own_count_and_no_latency() -> None:
    window = LiveWindow()
    tick(window, 100)
    window.add_records([failed(100, 101, Outcome.TIMEOUT), failed(100, 101, Outcome.CANCELLED)])
    point = tick(window, 102)
    assert point.requests_failed_per_s == 0.5
    assert point.requests_ok_per_s == 0.0
    figures = window.figures(ns(102))
    assert (figures.requests_failed, figures.requests_failed_total, figures.ttft_p50_s) == (1, 1, None)


def test_the_servers_own_latencies_are_those_since_the_last_scrape() -> None:
    window = LiveWindow()
    tick(window, 1, metrics=ServerMetrics(ttft_sum_s=10.0, ttft_count=5, running=3))
    point = tick(window, 2, metrics=ServerMetrics(ttft_sum_s=12.0, ttft_count=9, running=4, kv_cache_usage=0.5))
    assert point.server_ttft_mean_s == 0.5
    assert point.server_itl_mean_s is None
    assert (point.server_running, point.kv_cache_usage) == (4, 0.5)
    restarted = tick(window, 3, metrics=ServerMetrics(ttft_sum_s=1.0, ttft_count=1))
    assert restarted.server_ttft_mean_s is None


def test_delivered_concurrency_is_the_mean_of_the_last_ten_seconds() -> None:
    window = LiveWindow()
    for second in range(100, 120):
        tick(window, second, in_flight=1 if second < 115 else 3)
    assert window.delivered_concurrency(ns(119.5)) == pytest.approx((5 * 1 + 5 * 3) / 10)


def test_what_a_dead_server_had_under_way_is_not_delivered_by_the_next() -> None:
    window = LiveWindow()
    for second in range(100, 105):
        tick(window, second, in_flight=8)
    window.begin_anew(ns(106))
    assert window.delivered_concurrency(ns(106)) is None
    tick(window, 107, in_flight=2)
    assert window.delivered_concurrency(ns(107)) == 2


def test_memory_does_not_grow_with_the_run() -> None:
    window = LiveWindow()
    for second in range(5_000):
        window.add_tokens([(ns(second), 5)])
        window.add_records([answered(second - 1, [second - 0.5, second])])
    assert len(window._seconds) <= 12
    window.add_tokens([(ns(3), 1)])
    assert len(window._seconds) <= 12
    assert window.figures(ns(4_999)).requests_ok_total == 5_000
