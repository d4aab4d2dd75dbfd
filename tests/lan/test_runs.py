"""`vramp run` with users on hosts whose clocks are days out, and whose links are cut in the middle of a cell."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.fakes.lan import BENCH_ADDRESS, LanHost
from tui.core.errors import ExitCode
from tui.session.reader import SessionReader

CELL_S = 4.0
CELLS = 3


def write_profile(world: World, *, cells: int, on_host_loss: str = "move") -> Path:
    sizes = str([30 + cell for cell in range(cells)])
    path = write_simulated(world.root, users="[6]", prompt_tokens=sizes, mode="steady", more="")
    text = path.read_text().replace("[server]", f'[server]\nhost = "{BENCH_ADDRESS}"')
    text = text.replace("duration_s = 1.0", f'duration_s = {CELL_S}\non_host_loss = "{on_host_loss}"')
    path.write_text(text.replace("step_base_s = 0.004", "step_base_s = 0.02"))
    return path


def urls(hosts: list[LanHost]) -> str:
    return ",".join(host.url() for host in hosts)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def start_and_wait_for_second_cell(world: World, hosts: list[LanHost], on_host_loss: str) -> subprocess.Popen[str]:
    path = write_profile(world, cells=CELLS, on_host_loss=on_host_loss)
    running = world.start("run", str(path), "--json", "--hosts", urls(hosts), "--out", str(world.root / "out"))
    assert running.stderr is not None
    for line in running.stderr:
        if re.search(rf"1/{CELLS} cells", line):
            return running
    raise AssertionError(f"the sweep ended before its second cell: {running.communicate()}")


def agents(hosts: list[LanHost]) -> list[psutil.Process]:
    return [process for host in hosts for process in host.running("tui.hosts.agent")]


def test_one_host_and_three_measure_the_same(world: World, hosts: list[LanHost]) -> None:
    path = write_profile(world, cells=1)
    cells = []
    for some in (hosts[:1], hosts):
        out = world.root / f"out-{len(some)}"
        done = world.run("run", str(path), "--json", "--hosts", urls(some), "--out", str(out))
        assert done.returncode in {ExitCode.OK, ExitCode.CLIENT_LIMIT}, done.stderr
        (cell,) = table(out / "cells.csv")
        cells.append(cell)
        assert len(re.findall(r"10\.83\.41\.1\d:22 ±\d+\.\d+ ms", cell["conditions_hosts"])) == len(some)
        # All on the one axis of the session, by which the cell began: no clock's days are in it.
        requests = table(out / "requests.csv")
        began_s = float(cell["started_at_s"])
        assert {int(row["worker"]) for row in requests} == set(range(1, len(some) + 1))
        for row in requests:
            assert began_s - 5 < float(row["start_at_s"]) < float(row["end_at_s"]) < began_s + CELL_S + 5
    one, three = cells
    for figure in ("tokens_per_s_total", "tpot_p50_s", "e2e_p50_s"):
        assert float(three[figure]) == pytest.approx(float(one[figure]), rel=0.1), figure
    assert agents(hosts) == []


@pytest.mark.long
@pytest.mark.parametrize("way", ["move", "drop"])
def test_a_link_cut_in_mid_cell_makes_the_cell_void(world: World, hosts: list[LanHost], way: str) -> None:
    running = start_and_wait_for_second_cell(world, hosts, way)
    assert running.stderr is not None
    with hosts[1].swallowed():
        said = ""
        while f"{hosts[1].address}:22 is lost: it said nothing for 5 s" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        assert ("2 users go on elsewhere" if way == "move" else "2 users ask no more") in said
    stdout, stderr = running.communicate(timeout=200)
    assert running.returncode in {ExitCode.OK, ExitCode.CLIENT_LIMIT}, stderr
    cells = json.loads(stdout)["cells"]
    assert len(cells) == CELLS and {cell["outcome"] for cell in cells} <= {"ok", "client-limit"}
    with SessionReader(world.session_files[-1]) as reader:
        told = [event.text for event in reader.events()]
    assert sum("void, since a load worker was lost" in text for text in told) == 1, told
    assert any("is back" in text for text in told)
    for row in table(world.root / "out" / "cells.csv"):
        # None has what a host did while nobody could hear it: all users were there, and all were counted.
        assert float(row["delivered_concurrency_max"]) <= 6 and not row["caveats"], row
    assert agents(hosts) == []


@pytest.mark.long
def test_a_run_that_is_ended_while_a_link_is_cut_waits_for_nobody(world: World, hosts: list[LanHost]) -> None:
    running = start_and_wait_for_second_cell(world, hosts, "move")
    there = agents(hosts)
    assert len(there) == 3
    with hosts[1].unplugged():
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
        assert running.returncode == ExitCode.INTERRUPTED
        world.wait_until_empty()
        _, left = psutil.wait_procs(there, timeout=10)
        assert left == []
