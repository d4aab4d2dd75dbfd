"""What the conductor decides: the walk over the grid, deaths, the operator's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.rig import FakeRig, crash, oom
from tui.bench.conductor import Conductor
from tui.core.errors import UsageError
from tui.metrics.outcome import Outcome
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import Mode

GRID: dict[str, Any] = {"users": [1, 2, 4], "prompt_tokens": [30, 300]}


def fine(users: int, prompt_tokens: int) -> None:
    return None


def from_cell(
    cell: tuple[int, int], how: Callable[[int, int], FailureReport], *, times: int = 99
) -> Callable[[int, int], FailureReport | None]:
    """Return a script by which the server dies in the cell, the first so many times."""
    left = [times]

    def script(users: int, prompt_tokens: int) -> FailureReport | None:
        if (users, prompt_tokens) != cell or not left[0]:
            return None
        left[0] -= 1
        return how(users, prompt_tokens)

    return script


async def swept(rig: FakeRig) -> Conductor:
    conductor = Conductor(rig.as_rig)
    await conductor.start_sweep()
    async with asyncio.timeout(60):
        while conductor.activity != "idle":
            await asyncio.sleep(0.005)
    return conductor


def outcomes(conductor: Conductor, mode: Mode = Mode.BURST) -> dict[tuple[int, int], Outcome]:
    return {(each.users, each.prompt_tokens): each.outcome for each in conductor.grids[mode].results}


async def test_a_sweep_fills_every_cell_once_and_in_order() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = await swept(rig)
    assert set(outcomes(conductor).values()) == {Outcome.OK}
    assert rig.pool.asked == [("burst", users, size) for size in (30, 300) for users in (1, 2, 4)]
    assert conductor.sweep_status.finished and conductor.sweep_status.cells_done == 6
    assert conductor.sweep_status.remaining_s == 0


async def test_repeats_are_bursts_of_their_own() -> None:
    rig = FakeRig(fine, users=[2], prompt_tokens=[30], repeats=3)
    conductor = await swept(rig)
    (cell,) = conductor.grid.results
    assert rig.pool.asked == [("burst", 2, 30)] * 3 and cell.requests_ok == 6


async def test_out_of_memory_is_final_at_once_and_implies_the_larger_cells() -> None:
    rig = FakeRig(from_cell((2, 30), oom), **GRID)
    conductor = await swept(rig)
    assert outcomes(conductor) == {
        (1, 30): Outcome.OK,
        (2, 30): Outcome.OOM_RUNTIME,
        (4, 30): Outcome.IMPLIED,
        (1, 300): Outcome.OK,
        (2, 300): Outcome.IMPLIED,
        (4, 300): Outcome.IMPLIED,
    }
    assert rig.launches == 2
    evidence = {c.outcome: c.evidence for c in rig.kept}[Outcome.OOM_RUNTIME]
    assert "CUDA out of memory" in evidence and "exit code 0" in evidence


async def test_a_crash_is_given_a_second_chance() -> None:
    rig = FakeRig(from_cell((2, 30), crash, times=1), **GRID)
    conductor = await swept(rig)
    assert set(outcomes(conductor).values()) == {Outcome.OK}
    assert rig.launches == 2 and any("once more" in text for text in rig.said)


async def test_a_cell_that_kills_the_server_twice_is_final() -> None:
    rig = FakeRig(from_cell((4, 30), crash), **GRID)
    conductor = await swept(rig)
    assert outcomes(conductor)[4, 30] is Outcome.ENGINE_DEAD
    assert outcomes(conductor)[4, 300] is Outcome.IMPLIED
    assert rig.launches == 3


async def test_a_server_that_comes_up_no_more_ends_the_sweep_with_what_was_measured() -> None:
    rig = FakeRig(from_cell((2, 30), oom), launches_fail_from=2, **GRID)
    conductor = await swept(rig)
    assert outcomes(conductor)[1, 30] is Outcome.OK
    assert not conductor.sweep_status.finished


async def test_a_sweep_that_cannot_go_on_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = FakeRig(fine, **GRID)

    async def refuse(prompt_tokens: int) -> int:
        raise UsageError("a prompt of 30 tokens cannot be made")

    monkeypatch.setattr(rig, "configure", refuse)
    conductor = await swept(rig)
    assert not conductor.sweep_status.finished
    assert conductor.sweep_status.failed == rig.picture.notice == "a prompt of 30 tokens cannot be made"
    assert not outcomes(conductor)


async def test_what_cannot_fit_is_not_asked_for() -> None:
    rig = FakeRig(fine, users=[1, 2], prompt_tokens=[30, 998])
    conductor = await swept(rig)
    assert outcomes(conductor)[1, 998] is outcomes(conductor)[2, 998] is Outcome.TOO_LONG
    assert all(size != 998 for _, _, size in rig.pool.asked)
    assert "1000" in conductor.grid.results[-1].evidence


async def test_steady_cells_of_one_prompt_size_follow_without_a_gap() -> None:
    rig = FakeRig(fine, mode="steady", **GRID)
    conductor = await swept(rig)
    assert set(outcomes(conductor, Mode.STEADY).values()) == {Outcome.OK}
    # Users are sent home at the beginning, between the two sizes, and at the end.
    assert rig.pool.cuts == 3
    assert all(cell.mode == "steady" for cell in rig.kept)


async def test_rate_cells_say_what_was_dropped() -> None:
    rig = FakeRig(fine, mode="rate", rate_per_s=2.0, users=[1, 3], prompt_tokens=[30])
    await swept(rig)
    assert [(cell.mode, cell.requests_dropped) for cell in rig.kept] == [("rate", 3), ("rate", 3)]
    assert rig.pool.asked == [("rate", 2, 30), ("rate", 6, 30)]


async def test_a_stopped_sweep_leaves_its_running_cell_open() -> None:
    rig = FakeRig(fine, mode="steady", **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.start_sweep()
    while not conductor.grid.results:
        await asyncio.sleep(0)
    await conductor.stop()
    assert all(cell.outcome is not Outcome.RUNNING for cell in conductor.grids[Mode.STEADY].results)
    assert conductor.sweep_status.running is False


async def test_the_operator_fills_the_cell_they_stand_in() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.set_users(2)
    async with asyncio.timeout(60):
        while not rig.kept:
            await asyncio.sleep(0.005)
    await conductor.close()
    cell = rig.kept[0]
    assert (cell.users, cell.prompt_tokens, cell.mode, cell.measured_by) == (2, 30, "steady", "operator")
    assert conductor.shown_mode is Mode.STEADY


async def test_a_cell_that_is_measured_again_is_kept_again_and_told_once() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.set_users(2)
    async with asyncio.timeout(60):
        while len(rig.kept) < 3:
            await asyncio.sleep(0.005)
    await conductor.close()
    assert [text for text in rig.said if text.startswith("2 users")] == [rig.said[0]]


async def test_nobody_stands_still_when_the_users_were_sent_home() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.set_users(2)
    async with asyncio.timeout(60):
        while not rig.kept:
            await asyncio.sleep(0.005)
        assert conductor.standing_for_s() is not None
        await conductor.set_users(0)
        while conductor.activity != "idle" or conductor.current is not None:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
    assert conductor.standing_for_s() is None


async def test_the_operator_who_kills_the_server_is_left_with_no_users_and_a_new_one() -> None:
    rig = FakeRig(from_cell((4, 30), oom), **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.set_users(4)
    async with asyncio.timeout(60):
        while conductor.activity != "idle":
            await asyncio.sleep(0.005)
    assert conductor.users == 0 and rig.launches == 2
    assert rig.kept[0].outcome is Outcome.OOM_RUNTIME


async def test_a_ramp_stands_still_at_each_step() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = Conductor(rig.as_rig)
    await conductor.start_ramp()
    async with asyncio.timeout(60):
        while len(rig.kept) < 3:
            await asyncio.sleep(0.005)
    await conductor.close()
    assert [cell.users for cell in rig.kept[:3]] == [1, 2, 4]


async def test_prompt_sizes_step_along_the_axis_and_stop_at_its_ends() -> None:
    conductor = Conductor(FakeRig(fine, **GRID).as_rig)
    assert conductor.next_prompt_tokens(-1) == 30
    await conductor.set_prompt_tokens(conductor.next_prompt_tokens(1))
    assert conductor.prompt_tokens == 300
    assert conductor.next_prompt_tokens(1) == 300


async def test_a_server_that_never_came_up_for_memory_fails_every_cell() -> None:
    rig = FakeRig(fine, **GRID)
    conductor = Conductor(rig.as_rig)
    conductor.fail_all(Outcome.OOM_KV, "too small")
    assert set(outcomes(conductor).values()) == {Outcome.OOM_KV} and len(rig.kept) == 6
