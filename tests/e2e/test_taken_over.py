"""A run that another view steers ends with what was measured, says who, and leaves the session to that view."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.test_killing import start_sweep
from tui.link.client import BenchLink
from tui.link.protocol import Command, SetUsers, StartSweep, StopBench, StopSweep


def steer(socket_path: Path, *commands: Command, until_ended: subprocess.Popen[str] | None = None) -> tuple[str, str]:
    """Give commands as another front end, and stay until the run has ended; then end the bench."""

    async def work() -> tuple[str, str]:
        link = await BenchLink.connect(socket_path)
        for command in commands:
            assert (await link.request(command)).ok
        assert until_ended is not None
        try:
            said = await asyncio.to_thread(until_ended.communicate, timeout=60)
            # The bench lives on, as long as the other front end looks at it.
            assert (await link.request(SetUsers(0))).ok
        finally:
            await link.request(StopBench())
            await link.close()
        return said

    return asyncio.run(work())


def test_a_run_that_another_view_steers_ends_with_what_was_measured(world: World) -> None:
    running = start_sweep(world, cells=40)
    (socket_path,) = world.sockets
    stdout, stderr = steer(socket_path, SetUsers(3), until_ended=running)
    assert running.returncode == 4
    assert f"process {os.getpid()} took over (set-users 3)" in stderr
    cells = json.loads(stdout)["cells"]
    assert 2 <= len(cells) < 40 and {cell["outcome"] for cell in cells} == {"ok"}


@pytest.mark.parametrize("by", ["another view", "a signal"])
def test_a_run_that_somebody_else_ends_says_who_and_what_was_measured(by: str, world: World) -> None:
    running = start_sweep(world, cells=40)
    (socket_path,) = world.sockets

    async def stop() -> None:
        link = await BenchLink.connect(socket_path)
        await link.request(StopBench())
        await link.close()

    if by == "a signal":
        world.running("tui.bench")[0].terminate()
    else:
        asyncio.run(stop())
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 4, stderr
    who = "(signal SIGTERM)" if by == "a signal" else f"process {os.getpid()} stopped the session"
    assert f"{who}; the table is what was measured until then" in stderr
    cells = json.loads(stdout)["cells"]
    assert 2 <= len(cells) < 40 and {cell["outcome"] for cell in cells} == {"ok"}


def test_a_run_goes_on_when_its_sweep_does(world: World) -> None:
    running = start_sweep(world)
    (socket_path,) = world.sockets

    async def interrupt() -> None:
        link = await BenchLink.connect(socket_path)
        assert (await link.request(StopSweep())).ok
        assert (await link.request(StartSweep())).ok
        await link.close()

    asyncio.run(interrupt())
    stdout, stderr = running.communicate(timeout=80)
    assert running.returncode == 0, stderr
    assert len(json.loads(stdout)["cells"]) == 8
