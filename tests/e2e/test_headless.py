"""`vramp run` as its users run it: real bench, guardian, server, load workers."""

from __future__ import annotations

import csv
import json
import signal
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated

FIGURES = ("time_to_resolve_s", "tokens_per_s_total", "tokens_per_s_per_user", "ttft_p50_s", "e2e_p50_s")


def cells_of(output: str) -> dict[tuple[int, int], dict[str, Any]]:
    return {(cell["users"], cell["prompt_tokens"]): cell for cell in json.loads(output)["cells"]}


@pytest.mark.parametrize("mode", ["burst", "steady"])
def test_a_grid_with_all_kinds_of_ends(world: World, mode: str) -> None:
    profile = write_simulated(world.root, mode=mode)
    done = world.run("run", str(profile), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["simulated"] is True and answer["profile"] == "small"
    cells = cells_of(done.stdout)
    # 4 x (300 + 20) tokens are over the memory limit of 1,000; 500 + 20 are over the model's 512.
    assert {cell: found["outcome"] for cell, found in cells.items()} == {
        (1, 30): "ok",
        (2, 30): "ok",
        (4, 30): "ok",
        (1, 300): "ok",
        (2, 300): "ok",
        (4, 300): "oom-runtime",
        (1, 500): "too-long",
        (2, 500): "too-long",
        (4, 500): "too-long",
    }
    for cell in cells.values():
        assert cell["mode"] == mode and cell["simulated"] is True
        if cell["outcome"] == "ok":
            assert all(cell[name] > 0 for name in FIGURES), cell
            assert cell["requests_ok"] >= cell["users"] and cell["requests_failed"] == 0
            assert cell["prompt_tokens_exact"] is True
            assert cell["delivered_concurrency_max"] <= cell["users"]
        else:
            assert cell["evidence"] and all(cell[name] is None for name in FIGURES if cell["outcome"] == "too-long")
    assert "CUDA out of memory" in cells[4, 300]["evidence"]
    assert "SIMULATED" in done.stderr
    assert not world.sockets


def test_larger_cells_than_one_out_of_memory_are_implied(world: World) -> None:
    profile = write_simulated(world.root, users="[2, 4, 8]", prompt_tokens="[300, 400]")
    done = world.run("run", str(profile), "--json", "--quiet")
    assert done.returncode == 0 and done.stderr == ""
    outcomes = {cell: found["outcome"] for cell, found in cells_of(done.stdout).items()}
    assert outcomes == {
        (2, 300): "ok",
        (4, 300): "oom-runtime",
        (8, 300): "implied",
        (2, 400): "ok",
        (4, 400): "implied",
        (8, 400): "implied",
    }


def test_the_table_is_data_and_goes_to_stdout(world: World) -> None:
    profile = write_simulated(world.root, users="[1, 2]", prompt_tokens="[30]")
    done = world.run("run", str(profile), "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout and "users" in done.stdout
    assert {path.name for path in (world.root / "out").iterdir()} >= {
        "session.toml",
        "cells.csv",
        "requests.csv",
        "series.csv",
        "gpus.csv",
        "edges.csv",
    }


def test_options_win_over_the_profile(world: World) -> None:
    profile = write_simulated(world.root)
    done = world.run("run", str(profile), "--json", "--users", "3", "--prompt-tokens", "40", "--output-tokens", "7")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["users"], cell["prompt_tokens"], cell["output_tokens"]) == (3, 40, 7)
    assert cell["requests_ok"] == 3


def test_modelled_seconds_are_called_so(world: World) -> None:
    profile = write_simulated(world.root, users="[1]", prompt_tokens="[30]", more="step_base_s = 0.1")
    profile.write_text(profile.read_text().replace("step_base_s = 0.004\n", ""))
    done = world.run("run", str(profile), "--time-scale", "10", "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    assert "in modelled seconds (10 to a real one)" in done.stdout
    with (world.root / "out" / "cells.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["time_scale"] == "10.0"
    # 20 steps of 0.1 modelled seconds take a fifth of a real second, and are told as two.
    assert float(row["time_to_resolve_s"]) > 1.9


def test_ctrl_c_keeps_what_was_measured(world: World) -> None:
    profile = write_simulated(world.root, users="[1, 2]", prompt_tokens="[30, 31, 32, 33, 34, 35]", mode="steady")
    running = world.start("run", str(profile), "--json")
    assert running.stderr is not None
    for line in running.stderr:
        if "2/12 cells" in line:
            break
    running.send_signal(signal.SIGINT)
    stdout, _ = running.communicate(timeout=60)
    assert running.returncode == 4
    cells = cells_of(stdout)
    assert cells[1, 30]["outcome"] == "ok" and cells[2, 30]["outcome"] == "ok"
    assert len(cells) < 12


def test_a_server_that_cannot_start_is_told_with_its_reason(world: World) -> None:
    path = write_simulated(world.root)
    text = path.read_text().replace('engine = "simulated"', 'engine = "vllm"')
    text = text[: text.index("[simulator]")].replace("[load]", 'executable = ["/nowhere/vllm", "serve"]\n[load]')
    path.write_text(text)
    done = world.run("run", str(path), "--json")
    assert done.returncode == 3
    assert "/nowhere/vllm" in done.stderr
    assert "Traceback" not in done.stderr


MISTAKES = {
    "unknown key": ("output_tokens = 20", "output_token = 20", "output_tokens"),
    "wrong type": ("duration_s = 1.0", 'duration_s = "long"', "load.duration_s"),
    "users with 0": ("users = [1, 2, 4]", "users = [0, 1]", "load.users[0]"),
    "unknown engine": ('engine = "simulated"', 'engine = "vlm"', "vllm"),
    "two servers": ("[load]", '[attach]\nbase_url = "http://127.0.0.1:1"\n[load]', "attach"),
    "not TOML": ("[load]", "[load", "line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_malformed_profile_is_one_clear_error(world: World, mistake: str) -> None:
    old, new, hint = MISTAKES[mistake]
    path = write_simulated(world.root)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    for command in (("run", str(path)), ("profiles", "check", str(path))):
        done = world.run(*command)
        said = done.stdout + done.stderr
        assert done.returncode == 2
        assert "small.toml" in said and hint in said and "expected" in said
        assert "Traceback" not in said


def test_the_help_comes_without_the_heavy_libraries(world: World) -> None:
    for option in ("--help", "--version"):
        code = (
            "import sys; sys.argv=['vramp', sys.argv[1]]; from tui.cli import main; main();"
            "print(sorted({'textual','pynvml','rich','httpx','uvloop'} & set(sys.modules)))"
        )
        import subprocess
        import sys

        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, env=world.env)
        assert done.returncode == 0 and done.stdout.endswith("[]\n"), done.stdout + done.stderr


def test_a_launch_that_failed_is_a_failed_session_in_the_lists(world: World) -> None:
    profile = write_simulated(world.root, users="[1]", prompt_tokens="[30]", more='fail = "kv-too-small"')
    done = world.run("run", str(profile), "--quiet")
    assert done.returncode == 3
    assert "failed: oom-kv" in world.run("sessions", "list").stdout
    (listed,) = json.loads(world.run("sessions", "list", "--json").stdout)
    assert listed["failure"] == "oom-kv"
