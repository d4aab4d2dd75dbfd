"""Between measured cells: right where the truth is a power law, bounded by neighbours, silent outside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.interpolation import OutsideMeasured, Surface

USERS, PROMPTS = (1, 2, 4, 8, 16), (31, 119, 480, 2193)


def grid(a: float = 0.5, b: float = 0.3) -> dict[tuple[int, int], list[float]]:
    return {(u, p): [2.0 * u**a * p**b] for u in USERS for p in PROMPTS}


@given(st.integers(1, 16), st.integers(31, 2193), st.floats(-1, 2), st.floats(-1, 2))
def test_a_power_law_is_met_exactly(users: int, prompt: int, a: float, b: float) -> None:
    found = Surface(grid(a, b)).at(users, prompt)
    assert found.value == pytest.approx(2.0 * users**a * prompt**b, rel=1e-9)
    assert found.low <= found.value * (1 + 1e-9) and found.value <= found.high * (1 + 1e-9)


@given(
    st.integers(1, 8),
    st.integers(10, 100),
    st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
)
def test_it_lies_between_its_neighbours(users: int, prompt: int, corners: list[float]) -> None:
    places = [(1, 10), (1, 100), (8, 10), (8, 100)]
    found = Surface({place: [value] for place, value in zip(places, corners, strict=True)}).at(users, prompt)
    assert min(corners) * (1 - 1e-9) <= found.value <= max(corners) * (1 + 1e-9)


def test_the_error_by_hand() -> None:
    # One row, straight but for its middle, which is 20 % too high: inner cells are 2, 4 and 8 users.
    values = {1: 1.0, 2: 2.0, 4: 4.8, 8: 8.0, 16: 16.0, 32: 32.0}
    found = Surface({(users, 31): [value] for users, value in values.items()}).at(3, 31)
    assert found.value == pytest.approx(math.exp(math.log(2) + math.log(3 / 2) / math.log(2) * math.log(2.4)))
    assert found.high / found.value == pytest.approx(1.2)
    assert found.value / found.low == pytest.approx(1.2)
    assert (found.cells, found.by) == (2, "nine in ten of 4 inner cells are known so well by their neighbours")


def test_repeats_tell_their_own_spread() -> None:
    found = Surface({(1, 31): [1.0, 1.4, 1.1]}).at(1, 31)
    assert (found.value, found.low, found.high, found.by) == (1.1, 1.0, 1.4, "the spread of 3 measurements")


def test_few_cells_tell_what_they_can() -> None:
    assert Surface({(1, 31): [2.0]}).at(1, 31).by.startswith("measured once")
    pair = Surface({(1, 31): [2.0], (4, 31): [8.0]}).at(2, 31)
    assert (pair.value, pair.low, pair.high) == pytest.approx((4.0, 2.0, 8.0))
    assert pair.by == "the range of its neighbours"


@pytest.mark.parametrize("place", [(17, 31), (1, 2194), (1, 30)])
def test_beyond_the_outermost_cells_nothing_is_said(place: tuple[int, int]) -> None:
    with pytest.raises(OutsideMeasured, match="1 to 16 users, 31 to 2193 prompt tokens"):
        Surface(grid()).at(*place)


def test_a_hole_is_not_bridged() -> None:
    holed = {place: value for place, value in grid().items() if place != (8, 480)}
    with pytest.raises(OutsideMeasured, match="8 users x 480 prompt tokens"):
        Surface(holed).at(7, 400)
    with pytest.raises(OutsideMeasured, match="no cell"):
        Surface({(1, 31): [math.nan, 0.0, -1.0]}).at(1, 31)
