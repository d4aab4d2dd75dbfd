from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.fakes.testbed import FakeTestbed
from tests.unit.metrics.records import answered
from tui.bench.measure import measure_standing
from tui.core.outcome import Outcome
from tui.metrics.record import RequestRecord
from tui.profile.schema import Mode

USERS = 4_000


async def test_the_end_of_a_cell_of_many_users_leaves_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    testbed = FakeTestbed(lambda users, prompt_tokens: None)
    turns = peeked_at = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def peek() -> list[RequestRecord]:
        nonlocal peeked_at
        peeked_at = turns
        seen = answered(0, [1, 2], outcome=Outcome.RUNNING, tokens=None, tag=testbed.tag)
        return [msgspec.structs.replace(seen, user=user) for user in range(USERS)]

    async def ask() -> None:
        await testbed.pool.set_users(1)

    monkeypatch.setattr(testbed.pool, "peek", peek)
    beside = asyncio.create_task(turn())
    tag = await testbed.configure(31)
    result = await measure_standing(testbed, (USERS, 31), Mode.STEADY, tag, ask, "sweep", lambda share, precision: None)
    beside.cancel()
    await testbed.pool.set_users(0)
    assert result.requests_ok > 0
    assert turns - peeked_at > 2 * USERS // 256
