from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.histogram import MAX_VALUE, LogHistogram
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
    assert histogram.mean == 233 / 6


def test_an_empty_one_has_no_figures() -> None:
    assert LogHistogram().value_at(50) is None
    assert LogHistogram().percentile(50) is None
    assert LogHistogram().mean is None


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
    assert merged.total == sum(first) + sum(second)


@given(samples, samples)
def test_a_window_is_the_difference_of_two_states(earlier: list[int], since: list[int]) -> None:
    assert of(earlier + since).difference(of(earlier)) == of(since)


@given(samples)
def test_adding_many_is_adding_each(numbers: list[int]) -> None:
    histogram = LogHistogram()
    histogram.add_many(numbers)
    assert histogram == of(numbers)


@given(samples)
def test_bytes_round_trip(numbers: list[int]) -> None:
    assert LogHistogram.from_bytes(of(numbers).to_bytes()) == of(numbers)


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected the bytes of a histogram"):
        LogHistogram.from_bytes(content)


def test_tampered_bytes_are_refused() -> None:
    content = bytearray(of([1, 2, 3]).to_bytes())
    content[4] = 9
    with pytest.raises(ValueError, match="expected the bytes of a histogram"):
        LogHistogram.from_bytes(bytes(content))


def test_what_was_never_a_former_state_is_refused() -> None:
    with pytest.raises(ValueError, match="earlier state"):
        of([1]).difference(of([2]))


def test_memory_has_a_bound() -> None:
    histogram = of([MAX_VALUE >> (at % 48) for at in range(10_000)])
    assert len(histogram.to_bytes()) < 1_000
