from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.percentile import percentile, sample_floor


@pytest.mark.parametrize(("q", "floor"), [(0, 1), (50, 1), (90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_the_floor_is_that_of_mlperf(q: float, floor: int) -> None:
    assert sample_floor(q) == floor


@pytest.mark.parametrize("q", [-1, 100, 101])
def test_a_percentile_out_of_range_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="expected a percentile"):
        sample_floor(q)


def test_a_percentile_lies_between_the_ranks_around_it() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([1.0, 2.0, 4.0], 25) == 1.5
    assert percentile([7.0], 50) == 7.0
    assert percentile(range(1, 101), 90) == pytest.approx(90.1)  # numpy.percentile(range(1, 101), 90)


def test_a_tail_is_withheld_below_its_floor() -> None:
    assert percentile([], 50) is None
    assert percentile([1.0] * 63, 90) is None
    assert percentile([1.0] * 64, 90) == 1.0
    assert percentile([1.0] * 661, 99) is None
    assert percentile([1.0] * 662, 99) == 1.0


@given(st.lists(st.floats(0, 1e6), min_size=64, max_size=200))
def test_it_agrees_with_the_standard_library(samples: list[float]) -> None:
    # statistics' "inclusive" method is numpy's "linear".
    deciles = statistics.quantiles(samples, n=10, method="inclusive")
    assert percentile(samples, 90) == pytest.approx(deciles[8])
    assert percentile(samples, 50) == pytest.approx(deciles[4])
