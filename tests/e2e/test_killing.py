"""SIGKILL of any of our processes: nothing stays behind, and what was measured can be read."""

from __future__ import annotations

import json
import re
import subprocess

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated


def start_sweep(world: World, *, cells: int = 8, mode: str = "steady") -> subprocess.Popen[str]:
    """Start a sweep and return when it has measured two cells, the first of them more than a second ago."""
    sizes = str(list(range(30, 30 + cells)))
    profile = write_simulated(world.root, users="[4]", prompt_tokens=sizes, mode=mode, more="")
    running = world.start("run", str(profile), "--json")
    assert running.stderr is not None
    for line in running.stderr:
        # Snapshots come twice a second: short cells may be told of two at a time.
        found = re.search(rf"(\d+)/{cells} cells", line)
        if found and int(found[1]) >= 2:
            return running
    raise AssertionError("the sweep ended before its second cell")


def only(processes: list[psutil.Process]) -> psutil.Process:
    assert len(processes) == 1, processes
    return processes[0]


def measured(world: World) -> dict[int, str]:
    """Return the outcome by prompt size, read from the session file by the command that users have."""
    (session,) = world.session_files
    done = world.run("export", str(session), "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    import tomllib

    cells = tomllib.loads((world.root / "out" / "session.toml").read_text())["cells"]
    return {cell["prompt_tokens"]: cell["outcome"] for cell in cells}


def test_the_bench(world: World) -> None:
    running = start_sweep(world)
    only(world.running("tui.bench")).kill()
    running.communicate(timeout=60)
    assert running.returncode == 1
    world.wait_until_empty()
    assert measured(world)[30] == "ok"
    assert not world.sockets


def test_the_front_end(world: World) -> None:
    running = start_sweep(world)
    running.kill()
    running.communicate(timeout=60)
    world.wait_until_empty()
    assert measured(world)[30] == "ok"
    assert not world.sockets


def test_the_guardian(world: World) -> None:
    running = start_sweep(world)
    only(world.running("tui.server.guardian")).kill()
    stdout, _ = running.communicate(timeout=90)
    assert running.returncode == 0
    assert {cell["outcome"] for cell in json.loads(stdout)["cells"]} == {"ok"}


def test_the_server(world: World) -> None:
    running = start_sweep(world)
    only(world.running("tui simulate")).kill()
    stdout, _ = running.communicate(timeout=90)
    assert running.returncode == 0
    cells = json.loads(stdout)["cells"]
    # The engine died once, by accident: its cell was measured again, on a new server.
    assert [cell["outcome"] for cell in cells] == ["ok"] * 8


@pytest.mark.parametrize("mode", ["steady", "burst"])
def test_a_lone_load_worker(world: World, mode: str) -> None:
    running = start_sweep(world, cells=30 if mode == "burst" else 8, mode=mode)
    only(world.running("tui.load.worker")).kill()
    stdout, stderr = running.communicate(timeout=90)
    # The cell that lost requests is void, and measured again with another worker.
    assert {cell["outcome"] for cell in json.loads(stdout)["cells"]} == {"ok"}, stderr
    assert "was ended by signal 9" in stderr
    assert running.returncode == 0
