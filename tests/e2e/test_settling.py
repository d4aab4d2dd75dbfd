"""A cell is only ever blamed for its own load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.e2e.test_killing import only
from tui.core.outcome import Outcome
from tui.link.client import BenchLink
from tui.link.launcher import StartingBench, spec_for
from tui.link.protocol import Command, RestoreUsers, SetPromptTokens, SetUsers, StopBench
from tui.metrics.snapshot import Phase, Snapshot
from tui.profile.loader import load_profile

PATIENCE_S = 20.0


def slow_server(folder: Path, **load: str) -> Path:
    """Write a profile whose requests take four seconds."""
    path = write_simulated(folder, **load)
    path.write_text(path.read_text().replace("step_base_s = 0.004", "step_base_s = 0.2"))
    return path


async def seen(link: BenchLink, condition: Callable[[Snapshot], bool]) -> Snapshot:
    told = ["the bench is gone"]
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for snapshot in link.snapshots():
                told = [str(snapshot.server.phase), snapshot.notice, *(event.text for event in snapshot.log[-30:])]
                if condition(snapshot):
                    return snapshot
    except TimeoutError:
        told.insert(0, "it did not come to that")
    raise AssertionError("\n".join(told))


async def open_bench(world: World, monkeypatch: pytest.MonkeyPatch, path: Path, start: str = "idle") -> BenchLink:
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    spec = spec_for(load_profile(path), profile_toml=path.read_text(), profile_path=path, start=start)
    return await BenchLink.connect(await StartingBench(spec).listening(), refresh_hz=10)


async def do(link: BenchLink, *commands: Command) -> None:
    for command in commands:
        reply = await link.request(command)
        assert reply.ok, reply.message


async def test_what_dies_of_two_cells_at_once_is_the_fault_of_neither(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each of the two fits by itself; both together do not.
    path = slow_server(world.root, users="[4]", prompt_tokens="[300]", more="memory_limit_tokens = 1330")
    link = await open_bench(world, monkeypatch, path, start="sweep")
    await seen(link, lambda snapshot: snapshot.load.in_flight == 4)
    await do(link, SetPromptTokens(30), SetUsers(4))
    settling = await seen(link, lambda snapshot: snapshot.load.settling or snapshot.server.launches > 1)
    assert settling.load.settling
    back = await seen(link, lambda snapshot: snapshot.server.launches == 2 and snapshot.server.phase is Phase.READY)
    assert not [cell for cell in back.grid.cells if cell.outcome.is_oom]
    assert "no cell is blamed" in back.notice and "memory" in back.notice
    assert any("no cell is blamed" in event.text for event in back.log)
    await do(link, SetUsers(4))
    await seen(link, lambda snapshot: any(cell.outcome is Outcome.OK for cell in snapshot.grid.cells))
    await do(link, StopBench())
    await link.close()


async def test_a_dead_server_leaves_a_mark_and_its_users_come_back_when_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_simulated(world.root, users="[2]", prompt_tokens="[30]", mode="steady", more="")
    link = await open_bench(world, monkeypatch, path)
    await seen(link, lambda snapshot: snapshot.server.phase is Phase.READY)
    await do(link, SetUsers(3))
    await seen(link, lambda snapshot: any(cell.outcome is Outcome.OK for cell in snapshot.grid.cells))
    for _ in range(2):  # the first death of a cell may be an accident: it is measured again at once
        await seen(link, lambda snapshot: snapshot.load.in_flight == 3)
        only(world.running("tui simulate")).kill()
        await seen(link, lambda snapshot: snapshot.server.phase is Phase.RELAUNCHING)
        await seen(link, lambda snapshot: snapshot.server.phase is Phase.READY)
    back = await seen(link, lambda snapshot: snapshot.load.users_before == 3)
    assert len(back.deaths) == 2 and back.load.users_wanted == 0
    await do(link, RestoreUsers())
    await seen(link, lambda snapshot: snapshot.load.in_flight == 3)
    await do(link, StopBench())
    await link.close()
