"""How long bursts take, by those that were measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.burst_time import FEWEST_CELLS, burst_time
from tui.profile.catalogue import reference_table

GRID = [(users, size) for users in (1, 2, 4, 8) for size in (30, 300, 3000)]


@given(st.floats(0.1, 10), st.floats(0, 1), st.floats(0, 1e-2))
def test_what_goes_by_users_and_prompts_is_found(step: float, each: float, prompt: float) -> None:
    times = {(n, p): step + each * n + prompt * n * p for n, p in GRID}
    found = burst_time(times)
    assert found is not None
    assert found((128, 2193)) == pytest.approx(step + each * 128 + prompt * 128 * 2193, rel=1e-3, abs=1e-3)


def test_too_few_cells_or_cells_that_are_alike_tell_nothing() -> None:
    times = {cell: 1.0 + cell[0] for cell in GRID[: FEWEST_CELLS - 1]}
    assert burst_time(times) is None
    assert burst_time({(1, size): 1.0 + size for size in range(20)}) is None
    assert burst_time({(1, size): 0.0 for size in range(20)}) is None


def test_no_cell_is_taken_for_quicker_than_a_smaller_one() -> None:
    found = burst_time({**{cell: 5.0 / cell[0] for cell in GRID}, (8, 3000): 7.0})
    assert found is not None and found((16, 3000)) >= 7.0 and found((9, 3001)) >= 7.0


@pytest.mark.parametrize("name", ["mistral-7b", "codestral-22b", "llama-3-70b-awq", "mixtral-8x7b-awq"])
def test_half_of_a_published_table_tells_the_other_half(name: str) -> None:
    table = {cell: known.seconds for cell, known in reference_table(name).items() if known.seconds}
    order = sorted(table, key=lambda cell: cell[0] * (cell[1] + 100))
    measured, left = order[: len(order) // 2], order[len(order) // 2 :]
    found = burst_time({cell: table[cell] for cell in measured})
    assert found is not None
    assert sum(map(found, left)) == pytest.approx(sum(table[cell] for cell in left), rel=0.15)
