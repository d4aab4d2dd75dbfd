"""The grid: order, implied cells, estimates."""

import pytest

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


def test_users_grow_within_a_prompt_size() -> None:
    assert grid().open_cells() == [(1, 30), (2, 30), (4, 30), (1, 300), (2, 300), (4, 300)]


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
        if done >= 8:
            assert g.remaining_s(published) == pytest.approx(left, rel=0.15)
        g.put(result(*cell, Outcome.OK, duration_s=ours[cell].seconds))


def test_remaining_of_a_full_grid_is_nothing() -> None:
    g = grid()
    for users, prompt_tokens in g.asked:
        g.put(result(users, prompt_tokens, Outcome.OK))
    assert g.remaining_s({}) == 0.0
