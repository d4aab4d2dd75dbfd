"""The grid: order, implied cells, estimates."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.bench.grid import Grid
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.profile.catalogue import reference_table


def result(users: int, prompt_tokens: int, outcome: Outcome, duration_s: float | None = None) -> CellResult:
    return CellResult(
        users=users,
        prompt_tokens=prompt_tokens,
        output_tokens=100,
        mode="burst",
        outcome=outcome,
        duration_s=duration_s,
    )


def grid() -> Grid:
    return Grid("burst", [4, 1, 2], [300, 30], 100)


def test_cheap_cells_come_first() -> None:
    # Tokens of prompts and answers: 130, 260, 400, 520, 800, 1600.
    assert grid().open_cells() == [(1, 30), (2, 30), (1, 300), (4, 30), (2, 300), (4, 300)]


def test_standing_cells_take_as_long_as_each_other_and_users_grow_within_a_prompt_size() -> None:
    for mode in ("steady", "rate"):
        order = Grid(mode, [4, 1, 2], [300, 30], 100).open_cells()
        assert order == [(1, 30), (2, 30), (4, 30), (1, 300), (2, 300), (4, 300)]


_AXIS = st.lists(st.integers(1, 5000), min_size=1, max_size=8, unique=True)


@given(st.sampled_from(["burst", "steady", "rate"]), _AXIS, _AXIS, st.integers(1, 500))
def test_what_a_cell_may_imply_comes_after_it(
    mode: str, users: list[int], sizes: list[int], output_tokens: int
) -> None:
    order = Grid(mode, users, sizes, output_tokens).open_cells()
    assert sorted(order) == sorted((n, size) for n in users for size in sizes)
    for place, cell in enumerate(order):
        assert not any(other[0] >= cell[0] and other[1] >= cell[1] for other in order[:place])


def test_the_order_is_nearly_that_of_the_published_times() -> None:
    cells = {cell: published.seconds or 0.0 for cell, published in reference_table("mistral-7b").items()}
    order = Grid("burst", {n for n, _ in cells}, {size for _, size in cells}, 100).open_cells()
    times = [cells[cell] for cell in order]
    by_rows = [cells[cell] for cell in sorted(cells, key=lambda cell: (cell[1], cell[0]))]
    swapped, by_rows_swapped = (
        sum(later < earlier for earlier, later in combinations(each, 2)) for each in (times, by_rows)
    )
    assert swapped < 0.05 * 56 * 55 / 2 and by_rows_swapped > 5 * swapped


def test_a_measured_cell_is_no_longer_open_and_a_running_one_still_is() -> None:
    g = grid()
    g.put(result(1, 30, Outcome.OK))
    g.put(result(2, 30, Outcome.RUNNING))
    assert g.open_cells()[0] == (2, 30)


def test_out_of_memory_implies_the_larger_cells_only() -> None:
    g = grid()
    new = g.put(result(2, 30, Outcome.OOM_RUNTIME))
    assert {(c.users, c.prompt_tokens) for c in new if c.outcome is Outcome.IMPLIED} == {(4, 30), (2, 300), (4, 300)}
    assert g.open_cells() == [(1, 30), (1, 300)]
    assert all("2 users x 30 tokens ended with oom-runtime" in c.evidence for c in new[1:])


def test_implied_cells_bear_no_figures() -> None:
    implied = grid().put(result(1, 30, Outcome.ENGINE_DEAD))[1]
    assert implied.time_to_resolve_s is None and implied.requests_ok == 0 and implied.tag == 0


def test_what_was_measured_is_not_overwritten_by_an_implication() -> None:
    g = grid()
    g.put(result(4, 300, Outcome.OK))
    g.put(result(2, 300, Outcome.OOM_KV))
    kept = g.get((4, 300))
    assert kept is not None and kept.outcome is Outcome.OK


def test_an_outcome_of_the_network_implies_nothing() -> None:
    g = grid()
    assert len(g.put(result(1, 30, Outcome.TIMEOUT))) == 1


def test_a_cell_beside_the_axes_extends_them_but_is_not_asked_for() -> None:
    g = grid()
    g.put(result(24, 77, Outcome.OK))
    assert g.users == [1, 2, 4, 24] and g.prompt_tokens == [30, 77, 300]
    assert (24, 77) not in g.asked and (1, 77) not in g.asked


def test_a_forgotten_cell_is_open_again() -> None:
    g = grid()
    g.put(result(1, 30, Outcome.CANCELLED))
    g.forget((1, 30))
    assert g.open_cells()[0] == (1, 30)


def test_remaining_is_unknown_before_the_first_figure() -> None:
    assert grid().remaining_s({}) is None


def test_remaining_takes_expectations_first_and_the_nearest_measured_cell_else() -> None:
    g = grid()
    g.put(result(1, 30, Outcome.OK, duration_s=2.0))
    expected = {(2, 30): 3.0, (4, 30): 5.0}
    # (2, 30) and (4, 30) as expected; the three cells of 300 tokens as the only measured one.
    assert g.remaining_s(expected) == 3.0 + 5.0 + 3 * 2.0
    assert g.remaining_s({}) == 5 * 2.0


def test_remaining_follows_a_server_that_is_faster_than_its_table() -> None:
    # Mistral 7B: published for two V100, measured on an H200, where the published 420 s took 59.
    published = {cell: known.seconds for cell, known in reference_table("mistral-7b").items() if known.seconds}
    ours = reference_table("h200-mistral-7b")
    g = Grid("burst", {users for users, _ in ours}, {prompt for _, prompt in ours}, 100)
    assert g.remaining_s(published) == pytest.approx(sum(published.values()))
    for done, cell in enumerate(g.asked):
        left = sum(ours[other].seconds or 0 for other in g.asked[done:])
        if done >= 8:  # the cheap cells of a grid tell the dear ones roughly, better the more of them there are
            assert g.remaining_s(published) == pytest.approx(left, rel=0.15 if done >= 32 else 0.35)
            assert g.remaining_s({}) == g.remaining_s(published)
        g.put(result(*cell, Outcome.OK, duration_s=ours[cell].seconds))


def test_remaining_of_a_full_grid_is_nothing() -> None:
    g = grid()
    for users, prompt_tokens in g.asked:
        g.put(result(users, prompt_tokens, Outcome.OK))
    assert g.remaining_s({}) == 0.0
