"""What becomes of the operator's users: where they cannot stand, and when the server dies under them."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.testbed import FakeTestbed, Script, crash, oom
from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.dwelling import Dwelling
from tui.bench.relaunch import Relaunch
from tui.core.outcome import Outcome
from tui.profile.schema import Mode

PATIENCE_S = 30.0


class Bench:
    def __init__(self, script: Script, *, users_return: bool = False) -> None:
        self.testbed = FakeTestbed(script, users=[1, 2, 4], prompt_tokens=[30, 998])
        self.cells = CellResults(self.testbed)
        self.asking = Asking(self.testbed, self.cells)
        relaunch = Relaunch(self.testbed, self.asking)
        self.dwelling = Dwelling(self.testbed, self.cells, self.asking, relaunch, users_return=users_return)

    def outcomes(self) -> dict[tuple[int, int], Outcome]:
        return {(each.users, each.prompt_tokens): each.outcome for each in self.cells.grids[Mode.STEADY].results}


def fine(users: int, prompt_tokens: int) -> None:
    return None


async def test_users_whose_prompts_cannot_fit_ask_nothing() -> None:
    bench = Bench(fine)
    bench.asking.prompt_tokens = 998
    await bench.dwelling.operate(2)
    assert bench.outcomes() == {(2, 998): Outcome.TOO_LONG}
    assert not bench.testbed.pool.asked and bench.asking.users == 0


async def test_a_ramp_with_prompts_that_cannot_fit_ends_at_once_and_says_why() -> None:
    bench = Bench(fine)
    bench.asking.prompt_tokens = 998
    async with asyncio.timeout(PATIENCE_S):
        await bench.dwelling.ramp()
    assert bench.outcomes() == {(1, 998): Outcome.TOO_LONG}
    assert bench.testbed.notice.startswith("too long: 998 prompt + 3 output tokens exceed")
    assert bench.testbed.pool.users == 0 and bench.asking.users == 0


async def test_a_ramp_goes_up_from_the_users_that_are_there_and_stays_at_its_end() -> None:
    bench = Bench(fine)
    bench.asking.want(2)
    ramp = asyncio.create_task(bench.dwelling.ramp())
    async with asyncio.timeout(PATIENCE_S):
        while len([cell for cell in bench.testbed.kept if cell.users == 4]) < 2:
            await asyncio.sleep(0.005)
    ramp.cancel()
    assert {users for _, users, _ in bench.testbed.pool.asked} == {4}


@pytest.mark.parametrize(
    ("dies_of", "users_return", "times", "left"),
    [
        # What ended an engine by accident, once, is tried again though users are to wait.
        (crash, False, 1, None),
        (crash, True, 2, None),
        (crash, False, 2, 2),
        (oom, True, 1, 2),
    ],
)
async def test_after_a_death_users_ask_again_or_are_remembered(
    dies_of: Script, users_return: bool, times: int, left: int | None
) -> None:
    deaths = iter([dies_of] * times)

    def script(users: int, prompt_tokens: int) -> object:
        how = next(deaths, None)
        return None if how is None else how(users, prompt_tokens)

    bench = Bench(script, users_return=users_return)  # type: ignore[arg-type]
    operating = asyncio.create_task(bench.dwelling.operate(2))
    async with asyncio.timeout(PATIENCE_S):
        while not operating.done() and bench.outcomes().get((2, 30)) is not Outcome.OK:
            await asyncio.sleep(0.005)
    assert bench.testbed.launches == 1 + times
    assert operating.done() == (left is not None)
    assert bench.dwelling.users_before == (left or 0)
    assert bench.asking.users == (0 if left else 2)
    operating.cancel()
