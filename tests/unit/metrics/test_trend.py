"""A run of any length in few points that leave nothing out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.core.clock import NS_PER_S
from tui.metrics.reading import SeriesPoint
from tui.metrics.trend import MOST_POINTS, Trend


def second(at_s: int, value: float | None = None, p99: float | None = None) -> SeriesPoint:
    return SeriesPoint(
        at_ns=at_s * NS_PER_S,
        users_wanted=at_s,
        users_active=at_s,
        in_flight=0,
        prompt_tokens=31,
        tokens_per_s_total=value,
        e2e_p50_s=value,
        e2e_p99_s=p99,
    )


@settings(max_examples=30, deadline=None)
@given(seconds=st.integers(1, 5000), scale=st.sampled_from([1.0, 10.0]))
def test_any_length_is_kept_in_few_points_without_holes(seconds: int, scale: float) -> None:
    trend = Trend(scale).extend(second(round(scale) * (at + 1), 1.0) for at in range(seconds))
    points = trend.points
    assert len(points) <= MOST_POINTS
    ends = [point.at_ns for point in points]
    assert ends == sorted(set(ends)) and ends[-1] == round(scale) * seconds * NS_PER_S
    begins = [point.at_ns - point.span_ns for point in points]
    assert begins == [0, *ends[:-1]], "each begins where the one before ends"
    assert all(point.tokens_per_s_total == pytest.approx(1.0) for point in points)


def test_means_are_of_what_is_known_and_a_99th_percentile_is_the_greatest() -> None:
    values = [None, 2.0, 4.0, None] * 120
    trend = Trend().extend(second(at + 1, value, None if value is None else at) for at, value in enumerate(values))
    first, *_, last = trend.points
    assert first.span_ns == 2 * NS_PER_S
    assert (first.tokens_per_s_total, first.e2e_p99_s) == (2.0, 1.0)
    assert (last.tokens_per_s_total, last.e2e_p99_s) == (4.0, 478.0)
    assert last.users_wanted == 480


def test_a_gap_is_not_bridged() -> None:
    trend = Trend().extend(second(at) for at in (*range(1, 401), *range(500, 600)))
    gap = [point for point in trend.points if 400 < (point.at_ns - point.span_ns / 2) / NS_PER_S < 499]
    assert gap == []
