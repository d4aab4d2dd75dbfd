"""`vramp run` as a process of its own: its cells, and the middle of one, where something may be killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomli_w

from tests.e2e.conftest import World
from tui.core.errors import BenchLost, ExitCode
from tui.core.outcome import Outcome
from tui.link.client import BenchLink
from tui.metrics.snapshot import Phase, ServerStatus
from tui.profile.schema import Profile
from tui.server.tree import descendants

# The server, its client and whatever else runs here share a few cores: that the client was late may well be true.
MEASURED = {Outcome.OK, Outcome.CLIENT_LIMIT}
MEASURED_EXIT_CODES = {ExitCode.OK, ExitCode.CLIENT_LIMIT}
MID_CELL = (0.1, 0.6)
"""How much of the cell is done, 0 to 1."""

Cells = dict[tuple[int, int], dict[str, Any]]
"""By users and prompt tokens."""


def write_profile(folder: Path, profile: Profile) -> Path:
    """Write a profile as its user would."""
    path = folder / f"{profile.name}.toml"
    path.write_text(tomli_w.dumps(profile.model_dump(mode="json", exclude_unset=True)))
    return path


def cells_of(output: str) -> Cells:
    """Return the cells of what `vramp run --json` prints."""
    return {(cell["users"], cell["prompt_tokens"]): cell for cell in json.loads(output)["cells"]}


def sweep(world: World, profile: Path, *options: str, timeout_s: float = 100.0) -> Cells:
    """Return what a whole sweep of the profile measures."""
    done = world.run("run", str(profile), *options, "--json", timeout_s=timeout_s)
    assert done.returncode in MEASURED_EXIT_CODES, done.stderr
    return cells_of(done.stdout)


@contextmanager
def running_sweep(world: World, profile: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start `vramp run`, which does not outlive a test that fails."""
    with world.start("run", str(profile), *options, "--json") as run:
        try:
            assert run.stderr is not None
            first = run.stderr.readline()
            assert "server" in first, first + run.stderr.read()  # said once the bench listens
            yield run
        finally:
            run.kill()


def wait_for_mid_cell(
    world: World,
    run: subprocess.Popen[str],
    users: int,
    *,
    gone: Sequence[frozenset[int]] = (),
    timeout_s: float = 100.0,
) -> ServerStatus:
    """Return the server that is in the middle of a cell of so many users, and that has not been killed yet.

    By the bench's own word: a busy server may answer a look at its /metrics only after the cell.
    """
    try:
        seen = asyncio.run(_mid_cell(world, users, gone, timeout_s))
    except (BenchLost, IndexError):  # its socket is gone, and so is the bench
        seen = None
    if seen is None:
        output, errors = run.communicate(timeout=timeout_s)
        pytest.fail(f"it ended with exit code {run.returncode} before mid cell: {errors}\n{output}")
    return seen


async def _mid_cell(world: World, users: int, gone: Sequence[frozenset[int]], timeout_s: float) -> ServerStatus | None:
    link = await BenchLink.connect(world.sockets[0], read_only=True, refresh_hz=10)
    try:
        async with asyncio.timeout(timeout_s):
            async for seen in link.snapshots():
                alive = seen.server.phase is Phase.READY and not any(seen.server.pid in pids for pids in gone)
                asked = seen.grid.current_users == users and seen.load.in_flight
                if alive and asked and MID_CELL[0] < (seen.sweep.cell_progress or 0.0) < MID_CELL[1]:
                    return seen.server
    finally:
        await link.close()
    return None


def process_of(server: ServerStatus) -> psutil.Process:
    """Return the process that the server is, of one that was launched."""
    assert server.pid is not None
    return psutil.Process(server.pid)


def tree_of(pid: int) -> frozenset[int]:
    """Return a process and all below it."""
    return frozenset({pid, *(process.pid for process in descendants(pid))})


def running(pids: frozenset[int]) -> list[psutil.Process]:
    """Return those of `pids` that run."""
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
