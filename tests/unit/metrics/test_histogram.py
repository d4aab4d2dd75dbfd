from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.histogram import MAX_VALUE, LogHistogram, check_packed, packed
from tui.metrics.percentile import percentile_of_sorted

values = st.integers(0, 10**13) | st.integers(0, 300) | st.integers(0, 60).map(lambda bits: (1 << bits) % MAX_VALUE)
samples = st.lists(values, max_size=150)


def of(numbers: list[int]) -> LogHistogram:
    histogram = LogHistogram()
    for number in numbers:
        histogram.add(number)
    return histogram


def test_small_values_are_exact() -> None:
    histogram = of([0, 1, 2, 3, 100, 127])
    assert histogram.value_at(0) == 0
    assert histogram.value_at(50) == 2.5
    assert histogram.value_at(99.999999) == pytest.approx(127, abs=1e-3)


def test_an_empty_one_has_no_figures() -> None:
    assert LogHistogram().value_at(50) is None
    assert LogHistogram().percentile(50) is None


def test_a_tail_is_withheld_below_its_floor() -> None:
    assert of([5] * 63).percentile(90) is None
    assert of([5] * 64).percentile(90) == 5
    assert of([5] * 64).value_at(99) == 5


def test_values_out_of_range_count_at_the_edges() -> None:
    histogram = of([-5, MAX_VALUE * 10])
    assert histogram.value_at(0) == 0
    assert histogram.value_at(99.9999999) == pytest.approx(MAX_VALUE, rel=0.01)
    assert histogram.count == 2


@given(samples.filter(bool), st.floats(0, 99.99))
def test_every_percentile_is_within_one_percent_of_the_exact_one(numbers: list[int], q: float) -> None:
    exact = sorted(numbers)
    rank = q / 100 * (len(exact) - 1)
    low = int(rank)
    wanted = exact[low] + (rank - low) * (exact[min(low + 1, len(exact) - 1)] - exact[low])
    assert of(numbers).value_at(q) == pytest.approx(wanted, rel=0.01, abs=1e-6)


@given(st.lists(values, min_size=64, max_size=100))
def test_it_agrees_with_the_exact_percentile_of_a_sample(numbers: list[int]) -> None:
    exact = percentile_of_sorted(sorted(numbers), 90)
    assert of(numbers).percentile(90) == pytest.approx(exact, rel=0.01)


@given(samples, samples)
def test_merging_is_adding_all_to_one(first: list[int], second: list[int]) -> None:
    merged = of(first)
    merged.merge(of(second))
    assert merged == of(first + second)
    assert merged.count == len(first) + len(second)


@given(samples, samples)
def test_what_was_packed_elsewhere_is_added_as_each_value(here: list[int], elsewhere: list[int]) -> None:
    histogram = of(here)
    histogram.merge_packed(packed(elsewhere))
    assert histogram == of(here + elsewhere)
    assert histogram.count == len(here) + len(elsewhere)


@given(st.lists(values | st.just(MAX_VALUE * 3), max_size=50))
def test_what_was_packed_is_a_histogram(numbers: list[int]) -> None:
    check_packed(packed(numbers))


@pytest.mark.parametrize(
    "content",
    [b"\x01", packed([5])[:-1], packed([500]) + packed([5]), packed([5]) * 2, b"\xff\xff\x01\x00\x00\x00"],
    ids=["short", "cut", "order", "twice", "beyond"],
)
def test_what_is_no_histogram_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected a histogram"):
        check_packed(content)


def test_memory_has_a_bound() -> None:
    assert len(packed([MAX_VALUE >> (at % 48) for at in range(10_000)])) < 600
