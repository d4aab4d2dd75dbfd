"""What is kept of a cell, what is doubted, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.testbed import FakeTestbed
from tui.bench.cell_results import DEATHS_PER_CELL, VOIDS_PER_CELL, CellResults
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.profile.schema import Mode

GRID: dict[str, Any] = {"users": [1, 2, 4], "prompt_tokens": [30, 300]}


@pytest.fixture
async def testbed() -> FakeTestbed:
    return FakeTestbed(lambda users, size: None, **GRID)


def result(users: int, outcome: Outcome = Outcome.OK, *, size: int = 30, **fields: Any) -> CellResult:
    return CellResult(
        users=users, prompt_tokens=size, output_tokens=3, mode=Mode.BURST.value, outcome=outcome, **fields
    )


def known(cells: CellResults) -> dict[tuple[int, int], Outcome]:
    return {(each.users, each.prompt_tokens): each.outcome for each in cells.grids[Mode.BURST].results}


async def test_what_memory_took_is_kept_at_once_with_all_that_it_implies(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    assert cells.keep_unless_doubtful(result(2, Outcome.OOM_RUNTIME, evidence="CUDA out of memory"), 0)
    implied = {(2, 300), (4, 30), (4, 300)}
    assert {cell for cell, outcome in known(cells).items() if outcome is Outcome.IMPLIED} == implied
    assert len(testbed.kept) == 4
    # Nothing was measured of what is only implied.
    assert [cell.users for cell in cells.measures(Mode.BURST)] == [2]


async def test_an_engine_that_died_of_something_else_gets_another_try(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    dead = result(2, Outcome.ENGINE_DEAD, evidence="EngineCore died")
    for _ in range(DEATHS_PER_CELL - 1):
        assert not cells.keep_unless_doubtful(dead, 0)
        assert (2, 30) in cells.grids[Mode.BURST].open_cells()
    assert testbed.said == ["2 users x 30 tokens: engine-dead: EngineCore died; will be measured once more"]
    assert cells.keep_unless_doubtful(dead, 0)
    assert known(cells)[2, 30] is Outcome.ENGINE_DEAD
    # The count is of a cell, not of the grid.
    assert not cells.keep_unless_doubtful(result(1, Outcome.ENGINE_DEAD), 0)


async def test_a_failure_below_what_was_ok_contradicts_it_and_implies_nothing(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(result(4, size=300))
    failed = result(2, Outcome.OOM_RUNTIME, evidence="CUDA out of memory")
    assert not cells.keep_unless_doubtful(failed, 0)
    assert cells.keep_unless_doubtful(failed, 0)
    assert known(cells) == {(4, 300): Outcome.OK, (2, 30): Outcome.OOM_RUNTIME}
    kept = cells.grids[Mode.BURST].get((2, 30))
    assert kept is not None
    assert kept.evidence == "CUDA out of memory (contradicts 4 users x 300 tokens, which was ok)"


async def test_a_cell_in_which_a_worker_died_is_void_a_few_times(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    testbed.pool.workers_lost = 1
    for _ in range(VOIDS_PER_CELL):
        assert not cells.keep_unless_doubtful(result(1, time_to_resolve_s=0.5), 0)
    assert not known(cells) and not testbed.kept
    assert cells.keep_unless_doubtful(result(1, time_to_resolve_s=0.5), 0)
    again = "1 user x 30 tokens: 0.50 s; void, since a load worker was lost: will be measured again"
    assert testbed.said[:VOIDS_PER_CELL] == [again] * VOIDS_PER_CELL
    assert testbed.kept[-1].caveats == "a load worker was lost while it was measured"
    # Memory gave out whoever asked for it.
    assert cells.keep_unless_doubtful(result(4, Outcome.OOM_RUNTIME), 0)
    # One that had died before has no part in this.
    assert cells.keep_unless_doubtful(result(2), 1)


async def test_a_cell_that_stands_is_told_once_and_kept_each_time(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    for seconds in (1.0, 2.0):
        cells.keep(result(1, time_to_resolve_s=seconds))
    assert testbed.said == ["1 user x 30 tokens: 1.00 s"]
    assert [cell.time_to_resolve_s for cell in testbed.kept] == [1.0, 2.0]
    cells.keep(result(1, Outcome.TIMEOUT, evidence="no token for 9 s"))
    assert testbed.said[1:] == ["1 user x 30 tokens: timeout: no token for 9 s"]


async def test_a_control_replaces_what_it_controls_and_names_its_launch(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    earlier = result(1, time_to_resolve_s=1.0, conditions=Conditions(launch=1))
    cells.keep(earlier)
    cells.keep_control(earlier, result(1, time_to_resolve_s=1.1, conditions=Conditions(launch=2)))
    now = cells.grids[Mode.BURST].get((1, 30))
    assert now is not None and now.conditions is not None
    assert (now.time_to_resolve_s, now.conditions.control_of) == (1.1, 1)
    assert now.conditions.notes == [testbed.said[-1]] and "(+10.0%): the launches differ" in testbed.said[-1]
    cells.keep_control(now, result(1, Outcome.ENGINE_DEAD, conditions=Conditions(launch=3)))
    assert cells.grids[Mode.BURST].get((1, 30)) is now
    assert testbed.said[-1].endswith("a control: what was measured before stays")


async def test_a_cell_that_was_running_is_open_again_and_one_that_was_known_is_not(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(result(1))
    for users in (1, 2):
        cells.mark_running((users, 30), Mode.BURST)
        cells.forget_running((users, 30), Mode.BURST)
    assert known(cells) == {(1, 30): Outcome.OK}
    cells.mark_running((4, 30), Mode.BURST)
    cells.mark_running((4, 30), Mode.STEADY)
    cells.drop_running()
    assert known(cells) == {(1, 30): Outcome.OK} and not cells.grids[Mode.STEADY].results


async def test_measuring_all_again_forgets_the_edges_too(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.restore([result(1), result(2), result(4, Outcome.OOM_RUNTIME)])
    assert [(edge.users, edge.fails_at) for edge in cells.edges] == [(2, 4)]
    cells.forget_all(Mode.BURST)
    assert cells.edges == [] and not known(cells)
    assert not testbed.kept  # what the session has, it keeps


async def test_a_server_that_never_came_up_ends_the_open_cells_alone(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(result(1))
    cells.fail_all(Mode.BURST, Outcome.OOM_LAUNCH, "CUDA out of memory")
    assert known(cells).pop((1, 30)) is Outcome.OK
    assert [cell.outcome for cell in testbed.kept[1:]] == [Outcome.OOM_LAUNCH] * 5


def measured(users: int, time_s: float, *, launch: int = 1, tag: int, **fields: Any) -> CellResult:
    conditions = Conditions(launch=launch, kv_pool_tokens=fields.pop("pool", None))
    return result(users, tag=tag, time_to_resolve_s=time_s, conditions=conditions, **fields)


async def test_a_cell_that_is_asked_for_again_says_what_it_was_before(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(measured(2, 1.0, tag=1))
    assert testbed.kept[-1].earlier is None
    cells.keep(measured(2, 1.5, launch=2, tag=2))
    again = cells.grids[Mode.BURST].get((2, 30))
    assert again is not None and again.earlier is not None and again == testbed.kept[-1]
    assert (again.earlier.count, again.earlier.tag, again.earlier.launch) == (1, 1, 1)
    assert (again.earlier.outcome, again.earlier.time_to_resolve_s) == (Outcome.OK, 1.0)
    cells.keep(measured(2, 2.0, launch=2, tag=3))
    third = cells.grids[Mode.BURST].get((2, 30))
    assert third is not None and third.earlier is not None
    assert (third.earlier.count, third.earlier.tag) == (2, 2)


async def test_an_earlier_measure_is_known_of_a_grid_that_is_swept_again_and_of_a_resumed_one(
    testbed: FakeTestbed,
) -> None:
    cells = CellResults(testbed)
    cells.restore([measured(2, 1.0, tag=1)])
    cells.forget_all(Mode.BURST)
    cells.keep(measured(2, 1.5, tag=2))
    kept = cells.grids[Mode.BURST].get((2, 30))
    assert kept is not None and kept.earlier is not None and kept.earlier.tag == 1


async def test_the_operator_who_stands_on_has_no_earlier_measure(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    for tag in (1, 2, 3):
        cells.keep(measured(2, 1.0, tag=tag, measured_by="operator"))
    assert all(cell.earlier is None for cell in testbed.kept)
    cells.keep(measured(2, 1.0, tag=4))
    cells.keep(measured(2, 1.0, tag=5, measured_by="operator"))
    cells.keep(measured(2, 1.0, tag=6, measured_by="operator"))
    assert [cell.earlier.tag for cell in testbed.kept[3:] if cell.earlier is not None] == [3, 4, 4]


async def test_what_was_not_measured_is_no_earlier_measure(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(result(4, Outcome.OOM_RUNTIME, tag=1))
    assert cells.grids[Mode.BURST].get((4, 300)).outcome is Outcome.IMPLIED  # type: ignore[union-attr]
    cells.keep(measured(4, 1.0, size=300, tag=2))
    assert testbed.kept[-1].earlier is None


async def test_both_of_two_cells_on_launches_with_other_pools_are_marked_once(testbed: FakeTestbed) -> None:
    cells = CellResults(testbed)
    cells.keep(measured(1, 1.0, tag=1, pool=100_000))
    cells.keep(measured(2, 1.0, tag=2, pool=100_900, launch=2))  # within a hundredth
    assert all(not cell.caveats for cell in testbed.kept)
    cells.keep(measured(4, 1.0, tag=3, pool=90_000, launch=3))
    marks = {cell.tag: cell.caveats for cell in testbed.kept}
    assert marks[1] == "its KV pool differs by +11.1% from that of launch 3"
    assert marks[2] == "its KV pool differs by +12.1% from that of launch 3"
    assert marks[3].startswith("its KV pool differs by -10.0% from that of launch 1")
    assert [cell.tag for cell in testbed.kept] == [1, 2, 1, 2, 3]
    assert {cell.tag: cell.caveats for cell in cells.measures(Mode.BURST)} == marks
    cells.keep(measured(4, 1.0, size=300, tag=4, pool=90_000, launch=3))
    assert [cell.tag for cell in testbed.kept] == [1, 2, 1, 2, 3, 4]
