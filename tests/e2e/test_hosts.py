"""`vramp run` from here and from a host by ssh: a host dies and comes back, the bench dies, and nothing stays there."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.fakes.sshd import MISSING, SshServer, ssh_server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
CELLS = 10


def agents(sshd: SshServer) -> list[psutil.Process]:
    """Return the agents that sshd has, and their workers."""
    found = []
    for process in psutil.Process(sshd.process.pid).children(recursive=True):
        try:
            if any(word.startswith("tui.") for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def start_sweep(world: World, sshd: SshServer) -> subprocess.Popen[str]:
    """Start a sweep from here and from there; return when it has measured two cells."""
    world.env["PATH"] = f"{sshd.folder / 'bin'}:{os.environ['PATH']}"
    profile = write_simulated(world.root, users="[4]", prompt_tokens=str(list(range(30, 30 + CELLS))), mode="steady")
    running = world.start(
        "run", str(profile), "--json", "--hosts", f"local,{sshd.url()}", "--out", str(world.root / "o")
    )
    assert running.stderr is not None
    for line in running.stderr:
        found = re.search(rf"(\d+)/{CELLS} cells", line)
        if found and int(found[1]) >= 2:
            return running
    raise AssertionError(f"the sweep ended before its second cell: {running.stderr.read()}")


def test_a_run_survives_its_host_and_its_host_the_bench(world: World, tmp_path: Path) -> None:
    with ssh_server(tmp_path) as sshd:
        running = start_sweep(world, sshd)
        agent = next(each for each in agents(sshd) if "tui.hosts.agent" in each.cmdline())
        agent.kill()
        stdout, stderr = running.communicate(timeout=100)
        assert running.returncode == 0, stderr
        name = f"127.0.0.1:{sshd.port}"
        assert f"load worker 2 on {name} was lost" in stderr and f"{name} is back" in stderr
        assert {cell["outcome"] for cell in json.loads(stdout)["cells"]} == {"ok"}
        with (world.root / "o" / "cells.csv").open() as file:
            told = [row["conditions_hosts"] for row in csv.DictReader(file)]
        assert all(re.fullmatch(rf"local; {name}( ±\d+\.\d+ ms)?( \(lost\))?", row) for row in told), told
        assert f"local; {name} ±" in told[0]

        running = start_sweep(world, sshd)
        there = agents(sshd)
        assert len(there) == 2
        (bench,) = world.running("tui.bench")
        bench.kill()
        running.communicate(timeout=60)
        _, left = psutil.wait_procs(there, timeout=20)
        assert left == [] and agents(sshd) == []
