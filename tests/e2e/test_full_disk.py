"""A session file that cannot be written, by real processes: what is measured is never lost in silence."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.e2e.small_disks import small_disk
from tests.fakes.terminal import Terminal

CELLS = {(users, 30): "ok" for users in range(1, 9)}


def outcomes(stdout: str) -> dict[tuple[int, int], str]:
    return {(cell["users"], cell["prompt_tokens"]): cell["outcome"] for cell in json.loads(stdout)["cells"]}


def profile_of(world: World) -> str:
    users = str([users for users, _ in CELLS])
    return str(write_simulated(world.root, users=users, prompt_tokens="[30]", mode="steady", more=""))


@pytest.mark.parametrize("kilobytes", [60, 300])
def test_a_run_whose_session_cannot_be_kept_is_ended(world: World, kilobytes: int) -> None:
    with small_disk(world.root / "data", kilobytes):
        done = world.run("run", profile_of(world), "--json", "--quiet")
        assert done.returncode == 1
        assert "not being kept" in done.stderr and "vramp: the run was ended" in done.stderr
        assert "--unkept go-on" in done.stderr
        assert "Traceback" not in done.stderr
        # What had been measured by then is told all the same.
        measured = outcomes(done.stdout)
        assert measured.items() <= CELLS.items() and len(measured) < len(CELLS)
        world.wait_until_empty()


@pytest.mark.parametrize("kilobytes", [60, 300])
def test_a_run_goes_on_in_memory_and_is_exported_elsewhere(world: World, kilobytes: int) -> None:
    out = world.root / "out"
    with small_disk(world.root / "data", kilobytes):
        done = world.run("run", profile_of(world), "--json", "--unkept", "go-on", "--out", str(out))
        assert done.returncode == 0, done.stderr
        assert "not being kept" in done.stderr
        assert outcomes(done.stdout) == CELLS
        exported = tomllib.loads((out / "session.toml").read_text())
        assert {(c["users"], c["prompt_tokens"]): c["outcome"] for c in exported["cells"]} == CELLS
        ok = sum(cell["requests_ok"] for cell in exported["cells"])
        assert (out / "requests.csv").read_text().count(",ok,") >= ok > 0
        world.wait_until_empty()


def test_the_room_that_a_sweep_needs_is_said_before_it(world: World) -> None:
    with small_disk(world.root / "data", 150):
        done = world.run("run", profile_of(world), "--unkept", "go-on")
        assert "this sweep will need about" in done.stderr and "kB are free" in done.stderr
        assert done.stderr.index("this sweep will need") < done.stderr.index("1/8 cells")


def test_a_session_file_that_is_removed_in_mid_run_is_made_anew(world: World) -> None:
    running = world.start("run", profile_of(world), "--json")
    assert running.stderr is not None
    for line in running.stderr:
        if "2/8 cells" in line:
            break
    (session,) = world.session_files
    session.unlink()
    stdout, stderr = running.communicate(timeout=100)
    assert running.returncode == 0, stderr
    assert "was taken away" in stderr
    assert outcomes(stdout) == CELLS
    done = world.run("export", str(session), "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    exported = tomllib.loads((world.root / "out" / "session.toml").read_text())
    assert {(c["users"], c["prompt_tokens"]): c["outcome"] for c in exported["cells"]} == CELLS


def test_why_a_server_died_is_told_though_its_log_has_no_room(world: World) -> None:
    profile = write_simulated(world.root, users="[1, 4]", prompt_tokens="[300]")
    with small_disk(world.root / "data", 60):
        done = world.run("run", str(profile), "--json", "--unkept", "go-on")
        assert done.returncode == 0, done.stderr
        assert outcomes(done.stdout) == {(1, 300): "ok", (4, 300): "oom-runtime"}
        assert "CUDA out of memory" in done.stdout
        world.wait_until_empty()


def test_the_app_exports_elsewhere_what_cannot_be_kept_and_says_so_on_leaving(world: World) -> None:
    with small_disk(world.root / "data", 60):
        with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as app:
            app.wait_for("READY", 60)
            app.wait_for("not being kept", 60)
            app.wait_for("go on in memory", 60)
            app.send("g")
            app.wait_until(lambda text: "go on in memory" not in text, "the question to go")
            app.send("x")
            app.wait_until(lambda _: any(world.root.glob("*-demo-*/gpus.csv")), "an export in the working folder", 60)
            app.send("q")
            app.wait_for("NOT kept")
            app.send("s")
            assert app.wait_exit(60) == 0
            assert "not being kept" in app.text
        world.wait_until_empty()
