from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.steps import at_once
from tui.metrics import ordered as module
from tui.metrics.ordered import ordered


@pytest.fixture(autouse=True, scope="module")
def _small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "VALUES_PER_STEP", 8)
        patch.setattr(module, "_SAMPLES_PER_RUN", 3)
        yield


@given(st.lists(st.integers(-50, 50), max_size=200))
def test_a_column_comes_in_order_whatever_its_steps(values: list[int]) -> None:
    column = array("q", values)
    assert at_once(ordered(column)).tolist() == sorted(values)
    assert column.tolist() == values


@given(st.lists(st.floats(0, 1e6, allow_nan=False), min_size=50, max_size=200))
def test_so_does_one_of_fractions(values: list[float]) -> None:
    assert at_once(ordered(array("d", values))).tolist() == sorted(values)


def test_no_step_has_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def watched(values: Iterable[int]) -> list[int]:
        found = sorted(values)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(module, "sorted", watched, raising=False)
    monkeypatch.setattr(module, "VALUES_PER_STEP", 100)
    monkeypatch.setattr(module, "_SAMPLES_PER_RUN", 50)
    same_again_and_again = [*range(0, 3000, 3), *range(1, 3000, 3), *[1500] * 1000, *range(2, 3000, 3)]
    assert at_once(ordered(array("q", same_again_and_again))).tolist() == sorted(same_again_and_again)
    *numbers, samples = sorted(sizes)
    assert samples == 40 * 50
    assert numbers[-1] <= 200
