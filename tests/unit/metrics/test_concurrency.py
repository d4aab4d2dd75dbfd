from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.core.steps import at_once
from tui.metrics import concurrency
from tui.metrics.concurrency import Interval

interval = st.tuples(st.integers(0, 30), st.integers(0, 15)).map(lambda pair: (pair[0], sum(pair)))
intervals = st.lists(interval, max_size=12)


def busy_ns(spans: list[Interval]) -> int:
    return concurrency.busy_ns(*_columns(spans))


def area_ns(spans: list[Interval], window: Interval) -> int:
    return concurrency.area_ns(*_columns(spans), window)


def peak(spans: list[Interval], window: Interval) -> int:
    return at_once(concurrency.peak(*_columns(spans), window))


def _columns(spans: list[Interval]) -> tuple[list[int], list[int]]:
    return sorted(start for start, _ in spans), sorted(end for _, end in spans)


def test_by_hand() -> None:
    spans = [(0, 10), (5, 15), (20, 30)]
    assert busy_ns(spans) == 25
    assert area_ns(spans, (0, 30)) == 30
    assert area_ns(spans, (8, 22)) == 2 + 7 + 2
    assert peak(spans, (0, 30)) == 2
    assert peak(spans, (10, 30)) == 1


def test_a_request_that_follows_another_is_not_beside_it() -> None:
    assert peak([(0, 10), (10, 20), (20, 30)], (0, 30)) == 1


def test_nothing_is_nothing() -> None:
    assert (busy_ns([]), area_ns([], (0, 9)), peak([], (0, 9))) == (0, 0, 0)


@given(intervals, interval)
def test_it_agrees_with_counting_moment_by_moment(spans: list[Interval], window: Interval) -> None:
    under_way = [sum(start <= at < end for start, end in spans) for at in range(60)]
    assert busy_ns(spans) == sum(count > 0 for count in under_way)
    inside = under_way[window[0] : window[1]]
    assert area_ns(spans, window) == sum(inside)
    if window[0] < window[1]:
        assert peak(spans, window) == max(inside)
