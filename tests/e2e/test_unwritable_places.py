"""Homes, XDG folders and temporary folders that cannot be used: one sentence, an exit code, and the demo still runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.e2e.small_disks import small_disk
from tests.fakes.terminal import Terminal

# /proc takes no new folders, not even from root; what lies under a file is no folder.
PLACES = {
    "no home": {"HOME": "/proc/nohome", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""},
    "data": {"XDG_DATA_HOME": "/dev/null"},
    "config": {"XDG_CONFIG_HOME": "/dev/null"},
    "cache": {"XDG_CACHE_HOME": "/proc/x"},
    "runtime": {"XDG_RUNTIME_DIR": "/proc", "VRAMP_RUNTIME_DIR": ""},
    "temporary": {"TMPDIR": "/proc", "XDG_RUNTIME_DIR": "/nowhere", "VRAMP_RUNTIME_DIR": ""},
}
COMMANDS = (
    ["profiles", "list"],
    ["profiles", "new", "mine"],
    ["sessions"],
    ["sessions", "show", "latest"],
    ["attach"],
    ["doctor"],
)


def use(world: World, places: dict[str, str]) -> None:
    world.env.update(places)
    for name in [name for name, value in places.items() if not value]:
        del world.env[name]


@pytest.mark.parametrize("place", PLACES)
def test_no_command_ends_with_a_traceback(world: World, place: str) -> None:
    use(world, PLACES[place])
    for command in COMMANDS:
        done = world.run(*command)
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        assert done.returncode in (0, 1, 2)
        if done.returncode:
            assert done.stderr.startswith("vramp: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_run_measures_all_the_same(world: World, place: str) -> None:
    use(world, PLACES[place])
    profile = write_simulated(world.root, users="[1, 2]", prompt_tokens="[30]", more="")
    done = world.run("run", str(profile), "--json", "--unkept", "go-on", "--out", str(world.root / "out"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert [cell["outcome"] for cell in json.loads(done.stdout)["cells"]] == ["ok", "ok"]
    assert (world.root / "out" / "session.toml").exists()
    assert ("not being kept" in done.stderr) == (place in ("no home", "data"))


def test_a_run_that_is_not_kept_ends_before_it_launches(world: World) -> None:
    use(world, PLACES["data"])
    done = world.run("run", "demo", "--json")
    assert done.returncode == 1
    assert "not being kept" in done.stderr and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["cells"] == []


def test_an_over_long_runtime_folder_is_passed_over(world: World) -> None:
    deep = world.root / ("x" * 120)
    deep.mkdir(mode=0o700)
    use(world, {"XDG_RUNTIME_DIR": str(deep), "VRAMP_RUNTIME_DIR": ""})
    profile = write_simulated(world.root, users="[1]", prompt_tokens="[30]", more="")
    done = world.run("run", str(profile), "--json")
    assert done.returncode == 0, done.stderr


def test_a_full_temporary_folder_is_no_hindrance(world: World) -> None:
    with small_disk(world.root / "tmp", 4, "nr_inodes=3") as full:
        (full / "a").touch()
        (full / "b").touch()  # no file more
        use(world, {"TMPDIR": str(full), "XDG_RUNTIME_DIR": "/nowhere", "VRAMP_RUNTIME_DIR": ""})
        profile = write_simulated(world.root, users="[1]", prompt_tokens="[30]", more="")
        done = world.run("run", str(profile), "--json")
        assert done.returncode == 0, done.stderr
        world.wait_until_empty()


def test_a_full_disk_under_stdout_is_told(world: World) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    import subprocess

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            world.command("profiles", "list"), env=world.env, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "vramp: No space left on device\n"


def test_the_demo_runs_and_says_that_it_is_not_kept(world: World) -> None:
    use(world, PLACES["no home"])
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY", 60)
        terminal.wait_for("not being kept")
        terminal.wait_for("go on in memory")
        terminal.send("g")
        terminal.wait_until(lambda text: "go on in memory" not in text, "the question to go")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0
