"""A server that died is launched again once, whoever waits for it, and no fault of that is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fakes.testbed import FakeTestbed
from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.relaunch import Relaunch
from tui.core.errors import LaunchError


def relaunch_of(testbed: FakeTestbed) -> Relaunch:
    return Relaunch(testbed, Asking(testbed, CellResults(testbed)))


async def begun(*waiting: asyncio.Task[None]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)


async def test_all_who_wait_get_one_launch() -> None:
    testbed = FakeTestbed(lambda users, prompt_tokens: None)
    testbed.may_relaunch.clear()
    relaunch = relaunch_of(testbed)
    first, second = asyncio.create_task(relaunch.wait()), asyncio.create_task(relaunch.wait())
    await begun(first, second)
    assert relaunch.under_way
    first.cancel()  # the operator does something else; the launch goes on
    testbed.may_relaunch.set()
    await second
    assert testbed.launches == 2 and not relaunch.under_way
    await relaunch.wait()
    assert testbed.launches == 3


async def test_a_launch_that_fails_is_told_to_all_who_wait() -> None:
    testbed = FakeTestbed(lambda users, prompt_tokens: None, launches_fail_from=2)
    relaunch = relaunch_of(testbed)
    told = await asyncio.gather(relaunch.wait(), relaunch.wait(), return_exceptions=True)
    assert [type(each) for each in told] == [LaunchError, LaunchError]
    assert testbed.launches == 2


@pytest.mark.parametrize("waits", [True, False])
async def test_a_fault_is_told_to_who_waits_or_to_the_loop(waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    testbed = FakeTestbed(lambda users, prompt_tokens: None)

    async def fail() -> None:
        await testbed.may_relaunch.wait()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(testbed, "relaunch", fail)
    testbed.may_relaunch.clear()
    relaunch = relaunch_of(testbed)
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    waiting = asyncio.create_task(relaunch.wait())
    await begun(waiting)
    if not waits:
        waiting.cancel()
        await asyncio.wait({waiting})
    testbed.may_relaunch.set()
    if waits:
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await waiting
        assert not heard
    else:
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0)
        assert "relaunch has failed" in heard[0]["message"]


async def test_a_launch_under_way_is_ended_when_the_bench_closes() -> None:
    testbed = FakeTestbed(lambda users, prompt_tokens: None)
    testbed.may_relaunch.clear()
    relaunch = relaunch_of(testbed)
    waiting = asyncio.create_task(relaunch.wait())
    await begun(waiting)
    await relaunch.close()
    assert not relaunch.under_way
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert testbed.launches == 1
