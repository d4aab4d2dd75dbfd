"""An hour of a sweep, modelled: broken five times by SIGKILL of the bench, it ends as one that was never broken."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import MEASURED, MEASURED_EXIT_CODES, Cells, cells_of

KILLS = 5
TIME_SCALE = 100
USERS = [2, 4]
SIZES = [30, 60, 90, 120, 150, 180]
TOO_LONG = 600
CELL_S = 300.0
# Steps are so long that a busy machine's lateness, a hundred times as long in the model, is little beside them.
PROFILE = f"""
name = "hour"
engine = "simulated"
[server]
model = "vramp/simulated"
[load]
mode = "steady"
users = {USERS}
prompt_tokens = {[*SIZES, TOO_LONG]}
output_tokens = 8
warm_up_s = 20.0
duration_s = {CELL_S - 20.0}
[simulator]
max_model_len = 512
step_base_s = 4.0
step_per_sequence_s = 0.2
prefill_per_token_s = 0.02
"""
NOISE = 0.2


def bench_of(run: subprocess.Popen[str]) -> psutil.Process:
    return next(child for child in psutil.Process(run.pid).children() if "tui.bench" in child.cmdline())


def wait_for_cells(run: subprocess.Popen[str], least: int) -> int:
    """Return how many cells have an outcome, once there are so many."""
    assert run.stderr is not None
    for line in run.stderr:
        if (found := re.search(r"(\d+)/14 cells", line)) and int(found[1]) >= least:
            return int(found[1])
    raise AssertionError("the sweep ended before it was broken")


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_sweep_that_was_broken_five_times_is_equal_to_a_whole_one(world: World) -> None:
    profile = world.root / "hour.toml"
    profile.write_text(PROFILE)
    options = ("--time-scale", str(TIME_SCALE), "--json")
    with world.start("run", str(profile), *options, "--quiet") as whole:
        broken = world.start("run", str(profile), *options)
        done = wait_for_cells(broken, 3)  # the cells that are too long, and one that was measured
        session = _session_of(broken, world)
        for _ in range(KILLS):
            bench_of(broken).kill()
            broken.communicate(timeout=60)
            assert broken.returncode == 1
            broken = world.start("run", "--resume", session.stem, "--json")
            done = wait_for_cells(broken, done + 1)
        output, errors = broken.communicate(timeout=100)
        assert broken.returncode in MEASURED_EXIT_CODES, errors
        expected, _ = whole.communicate(timeout=100)
        assert whole.returncode in MEASURED_EXIT_CODES
    compare(cells_of(output), cells_of(expected))
    kept = tomllib.loads(_exported(world, session).read_text())
    # None twice, but for the one that each new launch is held against the one before with.
    controls = [cell for cell in kept["cells"] if cell.get("conditions", {}).get("control_of")]
    measured = [cell for cell in kept["cells"] if cell["measured"] and cell not in controls]
    assert len(controls) <= KILLS
    assert len({(cell["users"], cell["prompt_tokens"]) for cell in measured}) == len(measured)
    assert sum(cell["duration_s"] + cell["warm_up_s"] for cell in measured) >= 0.99 * 3600


def compare(broken: Cells, whole: Cells) -> None:
    assert broken.keys() == whole.keys() == {(n, p) for n in USERS for p in [*SIZES, TOO_LONG]}
    for place, cell in broken.items():
        other = whole[place]
        if place[1] == TOO_LONG:
            assert cell["outcome"] == other["outcome"] == "too-long"
            continue
        assert {cell["outcome"], other["outcome"]} <= {str(one) for one in MEASURED}
        for figure in ("tokens_per_s_total", "time_to_resolve_s", "e2e_p50_s"):
            assert cell[figure] == pytest.approx(other[figure], rel=NOISE), (place, figure)


def _session_of(run: subprocess.Popen[str], world: World) -> Path:
    """Return the session file that a run's bench has open."""
    opened = {Path(file.path) for file in bench_of(run).open_files()}
    return next(file for file in world.session_files if file in opened)


def _exported(world: World, session: Path) -> Path:
    done = world.run("export", str(session), "--format", "toml", "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    return world.root / "out" / "session.toml"
