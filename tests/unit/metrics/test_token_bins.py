from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.metrics.records import answered, ns
from tui.metrics.token_bins import TokenBins

DAY_S = 86_400


def test_by_hand() -> None:
    bins = TokenBins(ns(10))
    bins.add(answered(8, [9, 10, 10.9999, 11, 19.5]))
    bins.add(answered(12, [13, 13.5], tokens=8))
    assert bins.slices(ns(20)) == [2, 1, 0, 8, 0, 0, 0, 0, 0, 1]


def test_what_came_at_the_end_or_later_counts_not() -> None:
    bins = TokenBins(ns(10))
    bins.add(answered(8, [9, 19.9995, 19.9999, 20, 21]), before_ns=ns(19.9999))
    assert sum(bins.slices(ns(19.9999))) == 1


def test_bins_of_a_long_window_are_wider_but_not_more() -> None:
    tracemalloc.start()
    try:
        bins = TokenBins(0)
        for at_s in range(0, DAY_S, 60):
            bins.add(answered(at_s, [at_s + 25, at_s + 26]))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bins.slices(ns(DAY_S)) == [DAY_S / 60 * 2 / 10] * 10
    assert most_bytes < 4_000_000


@given(st.lists(st.floats(0, 400), min_size=1, max_size=20))
def test_no_token_is_lost_or_counted_twice(at_s: list[float]) -> None:
    bins = TokenBins(ns(1))
    for each_s in at_s:
        bins.add(answered(0, [each_s]))
    assert sum(bins.slices(ns(401))) == pytest.approx(sum(ns(each_s) >= ns(1) for each_s in at_s))
