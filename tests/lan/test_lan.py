"""The hosts themselves: what a test that was killed has left is ended by the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fakes.lan import DAY_S, PREFIX, lan, missing

KILLED = """
import pathlib, subprocess, sys
from tests.fakes.lan import lan
with lan(pathlib.Path(sys.argv[1]), 2, slow=1) as hosts:
    sleeper = subprocess.Popen([*hosts[0].within, "sleep", "1000"])
    print(sleeper.pid, *(host.ssh.process.pid for host in hosts), flush=True)
    sleeper.wait()
"""


def test_what_a_killed_test_has_left_is_ended_by_the_next(tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    (tmp_path / "killed").mkdir()
    (tmp_path / "next").mkdir()
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "killed"], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        left = [psutil.Process(int(word)) for word in killed.stdout.readline().split()]
        assert len(left) == 3
        killed.kill()
    assert all(process.is_running() for process in left)
    with lan(tmp_path / "next", 1, clocks_ahead_s=[DAY_S]) as (host,):
        _, alive = psutil.wait_procs(left, timeout=0)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
        told = [*host.within, sys.executable, "-c", "import time; print(time.monotonic() // 1000)"]
        ahead_s = float(subprocess.run(told, check=True, capture_output=True, text=True).stdout) * 1000
        assert ahead_s > DAY_S - 1000
    there = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
    there += [path.name for path in Path("/sys/class/net").iterdir()]
    assert not [name for name in there if name.startswith(PREFIX)]
