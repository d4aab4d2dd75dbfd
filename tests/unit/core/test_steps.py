from __future__ import annotations

import asyncio

from tui.core.steps import Steps, at_once, in_turns


def counted(said: list[str], steps: int) -> Steps[int]:
    for step in range(steps):
        said.append(f"step {step}")
        yield
    return steps


def test_all_steps_are_done_at_once() -> None:
    said: list[str] = []
    assert at_once(counted(said, 2)) == 2
    assert said == ["step 0", "step 1"]


async def test_what_else_is_due_has_its_turn_between_two_steps() -> None:
    said: list[str] = []

    async def beside() -> None:
        for turn in range(2):
            said.append(f"turn {turn}")
            await asyncio.sleep(0)

    other = asyncio.create_task(beside())
    assert await in_turns(counted(said, 3)) == 3
    assert said == ["step 0", "turn 0", "step 1", "turn 1", "step 2"]
    await other
