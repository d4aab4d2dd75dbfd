"""How far a sweep says it is, in cells and in seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.testbed import FakeTestbed
from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.clock import SessionClock
from tui.bench.measuring import Measuring
from tui.bench.relaunch import Relaunch
from tui.bench.sweep import Sweep
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.profile.schema import Mode


def sweep_of(**load: Any) -> tuple[Sweep, CellResults, FakeTestbed]:
    testbed = FakeTestbed(lambda users, size: None, **{"users": [1, 2], "prompt_tokens": [30, 300], **load})
    cells = CellResults(testbed)
    asking = Asking(testbed, cells)
    return Sweep(testbed, cells, asking, Measuring(testbed, cells, asking, Relaunch(testbed, asking))), cells, testbed


def ok(users: int, size: int, mode: Mode, duration_s: float) -> CellResult:
    return CellResult(
        users=users, prompt_tokens=size, output_tokens=3, mode=mode.value, outcome=Outcome.OK, duration_s=duration_s
    )


async def test_what_is_left_of_standing_cells_is_their_planned_time_as_the_clock_on_the_wall_has_it() -> None:
    sweep, cells, testbed = sweep_of(mode="steady", warm_up_s=2.0, duration_s=10.0)
    assert sweep.status().remaining_s == 48.0
    cells.keep(ok(1, 30, Mode.STEADY, 10.0))
    assert (sweep.status().cells_done, sweep.status().cells_total, sweep.status().remaining_s) == (1, 4, 36.0)
    testbed.clock = SessionClock(time_scale=4.0)
    assert sweep.status().remaining_s == 9.0


async def test_what_is_left_of_bursts_is_known_by_a_measured_one_and_by_what_was_published() -> None:
    sweep, cells, testbed = sweep_of(repeats=2)
    assert sweep.status().remaining_s is None  # nothing is known of any
    cells.keep(ok(1, 30, Mode.BURST, 4.0))
    assert sweep.status().remaining_s == 2 * (4.0 * 3)
    testbed.references = {(1, 30): 2.0, (2, 30): 3.0, (1, 300): 5.0, (2, 300): 8.0}
    assert sweep.status().remaining_s == pytest.approx(2 * (6.0 + 10.0 + 16.0))  # twice what was published


async def test_what_cannot_fit_is_said_first_and_what_is_known_is_not_asked_again() -> None:
    sweep, cells, testbed = sweep_of(prompt_tokens=[30, 998])
    cells.keep(ok(1, 30, Mode.BURST, 4.0))
    await sweep.walk()
    assert testbed.announced == [(2, 30), (1, 998), (2, 998)]
    assert [(cell.users, cell.prompt_tokens, cell.outcome) for cell in testbed.kept[1:]] == [
        (1, 998, Outcome.TOO_LONG),
        (2, 998, Outcome.TOO_LONG),
        (2, 30, Outcome.OK),
    ]
    assert testbed.pool.asked == [("burst", 2, 30)]
    assert sweep.status().finished and sweep.status().remaining_s == 0
