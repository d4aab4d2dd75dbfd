"""Planned times."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.load.arrivals import planned_offsets_ns


def test_constant_is_even() -> None:
    assert planned_offsets_ns(4.0, "constant", 0, 1.0) == [0, 250_000_000, 500_000_000, 750_000_000]
    assert planned_offsets_ns(0.1, "constant", 0, 1.0) == [0]


@given(st.floats(0.5, 500), st.integers(), st.floats(0.1, 20))
def test_poisson_is_seeded_ordered_and_within(rate: float, seed: int, duration_s: float) -> None:
    offsets = planned_offsets_ns(rate, "poisson", seed, duration_s)
    assert offsets == planned_offsets_ns(rate, "poisson", seed, duration_s)
    assert offsets == sorted(offsets)
    assert all(0 <= offset <= duration_s * 1e9 for offset in offsets)


def test_poisson_has_the_rate_and_the_spread_of_its_name() -> None:
    offsets = planned_offsets_ns(1000.0, "poisson", 3, 100.0)
    assert abs(len(offsets) - 100_000) < 5 * 100_000**0.5
    gaps = [b - a for a, b in itertools.pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert abs(deviation / mean - 1) < 0.02  # an exponential's deviation is its mean
    assert planned_offsets_ns(10.0, "poisson", 1, 10.0) != planned_offsets_ns(10.0, "poisson", 2, 10.0)


@pytest.mark.parametrize(
    ("rate", "arrivals", "duration_s"),
    [
        (0, "constant", 1),
        (-1, "poisson", 1),
        (1, "constant", 0),
        (1, "bursty", 1),
        (1e9, "constant", 1),
        (float("nan"), "poisson", 1),
    ],
)
def test_plans_that_are_none(rate: float, arrivals: str, duration_s: float) -> None:
    with pytest.raises(ValueError):
        planned_offsets_ns(rate, arrivals, 0, duration_s)
