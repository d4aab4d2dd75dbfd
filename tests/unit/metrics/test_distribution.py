from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.distribution import MAX_BINS, Distribution
from tui.metrics.histogram import MAX_VALUE, LogHistogram

latencies_us = st.lists(
    st.integers(0, 10**9) | st.integers(0, 300) | st.just(MAX_VALUE + 1) | st.integers(0, 48).map(lambda n: 1 << n),
    max_size=120,
)


def of(values_us: list[int]) -> Distribution | None:
    histogram = LogHistogram()
    for value in values_us:
        histogram.add(value)
    return Distribution.of_us(histogram.buckets())


def test_none_have_no_distribution() -> None:
    assert of([]) is None and Distribution.of_ordered_s([]) is None


@given(latencies_us)
def test_every_latency_is_counted_in_the_bin_it_belongs_to(values_us: list[int]) -> None:
    found = of(values_us)
    if found is None:
        return
    assert 1 <= len(found.counts) <= MAX_BINS and sum(found.counts) == len(values_us)
    for place, (begin_s, end_s, count) in enumerate(found.bins):
        assert begin_s < end_s
        # The first may have taken in what lies below it.
        inside = [us for us in values_us if (place == 0 or begin_s <= us / 1e6) and us / 1e6 < end_s]
        if place and end_s * 1e6 <= MAX_VALUE:
            assert count == len(inside)


@given(latencies_us)
def test_seconds_are_counted_as_microseconds_are(values_us: list[int]) -> None:
    values_us = [us for us in values_us if us <= MAX_VALUE]
    assert Distribution.of_ordered_s(sorted((us + 0.5) / 1e6 for us in values_us)) == of(values_us)


def test_bins_are_narrow_where_latencies_are_alike() -> None:
    alike = of([20_000 + 30 * n for n in range(100)])
    assert alike is not None and len(alike.counts) > 4
    assert all(end_s - begin_s <= begin_s / 32 for begin_s, end_s, _ in alike.bins)


@given(latencies_us)
def test_it_comes_back_from_json_as_it_was(values_us: list[int]) -> None:
    found = of(values_us)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Distribution | None) == found


@pytest.mark.parametrize(
    "text", ["[0,49,[1,1]]", "[6,8000,[1]]", "[7,0,[1]]", "[0,0,[]]", "[0,0,[-1]]", f"[0,0,{[1] * 41}]"]
)
def test_what_no_distribution_is_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Distribution)
