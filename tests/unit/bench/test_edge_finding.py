"""How the search for the edge walks: which sizes, where it starts, and when it gives a size up."""

from __future__ import annotations

import pytest

from tests.fakes.testbed import FakeTestbed, Script, oom
from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.edge_finding import TRIES, EdgeFinding
from tui.bench.grid import Cell
from tui.bench.measuring import Measuring
from tui.bench.relaunch import Relaunch
from tui.profile.schema import Mode


def finding_of(script: Script, *, users: list[int], sizes: list[int]) -> tuple[EdgeFinding, CellResults, FakeTestbed]:
    testbed = FakeTestbed(script, users=users, prompt_tokens=sizes)
    cells = CellResults(testbed)
    asking = Asking(testbed, cells)
    measuring = Measuring(testbed, cells, asking, Relaunch(testbed, asking))
    return EdgeFinding(testbed, cells, asking, measuring), cells, testbed


async def test_short_prompts_come_first_whatever_the_profiles_order_and_bound_the_longer_ones() -> None:
    finding, cells, testbed = finding_of(
        lambda users, size: oom(users, size) if users > 6 else None, users=[1, 4, 9], sizes=[300, 30]
    )
    await finding.find()
    assert list(dict.fromkeys(size for _, _, size in testbed.pool.asked)) == [30, 300]
    assert testbed.pool.asked[0] == ("burst", 4, 30)  # the middle of the axis
    assert max(users for _, users, size in testbed.pool.asked if size == 300) <= 7
    assert [(edge.prompt_tokens, edge.users, edge.fails_at) for edge in cells.edges] == [(30, 6, 7), (300, 6, 7)]
    assert testbed.notice == cells.edges[-1].sentence
    status = finding.status()
    assert status.finished and (status.cells_done, status.cells_total) == (2, 2)
    finding.reset()
    assert not finding.finished and finding.status().cells_done == 0


async def test_at_one_size_alone_the_others_are_asked_for_nothing() -> None:
    finding, _, testbed = finding_of(
        lambda users, size: oom(users, size) if users > 6 else None, users=[1, 4, 9], sizes=[300, 30, 90]
    )
    finding.reset(90)
    await finding.find()
    assert {size for _, _, size in testbed.pool.asked} == {90}
    assert finding.status().finished and (finding.status().cells_done, finding.status().cells_total) == (1, 1)
    finding.reset()
    await finding.find()
    assert {size for _, _, size in testbed.pool.asked} == {30, 90, 300}


async def test_a_size_whose_cells_get_no_outcome_is_given_up_and_the_search_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finding, cells, _ = finding_of(
        lambda users, size: oom(users, size) if users > 2 else None, users=[1, 2], sizes=[30, 300]
    )
    tried: list[Cell] = []
    measure = Measuring.measure

    async def measure_the_long_ones(self: Measuring, cell: Cell, mode: Mode) -> bool:
        tried.append(cell)
        return cell[1] != 30 and await measure(self, cell, mode)

    monkeypatch.setattr(Measuring, "measure", measure_the_long_ones)
    await finding.find()
    assert [cell for cell in tried if cell[1] == 30] == [(1, 30)] * TRIES
    assert [(edge.prompt_tokens, edge.users) for edge in cells.edges] == [(300, 2)]
    assert finding.status().finished and finding.status().cells_done == 2


async def test_a_size_that_cannot_fit_is_asked_for_nothing() -> None:
    finding, cells, testbed = finding_of(lambda users, size: None, users=[1, 2], sizes=[998])
    await finding.find()
    assert not testbed.pool.asked
    assert testbed.notice == cells.edges[0].sentence and testbed.notice.startswith("none at 998 tokens")
