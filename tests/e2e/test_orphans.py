"""Nothing outlives what it was started for: a launch that was called off, keepers killed together, a run left alone."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.e2e.conftest import World, choose
from tests.e2e.test_killing import only, start_sweep
from tests.fakes.terminal import Terminal

AT_ONCE_S = 15.0
"""The server's grace and the processes' own ways, on a busy machine."""


def wait_empty(world: World, word: str, within_s: float = AT_ONCE_S) -> None:
    until = time.monotonic() + within_s
    while found := world.running(word):
        assert time.monotonic() < until, f"left behind: {[process.cmdline() for process in found]}"
        time.sleep(0.05)


def launch(world: World, terminal: Terminal, after_s: float) -> None:
    """Press enter on the demo, and return so long after the launch screen came up."""
    choose(terminal, "demo")
    terminal.send("\r")
    terminal.wait_until(lambda text: "STARTING" in text or "LAUNCHING" in text, "the launch screen")
    terminal.read(after_s)


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5])
def test_back_in_mid_launch_stops_it_before_the_list_is_shown(world: World, after_s: float) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        launch(world, terminal, after_s)
        terminal.send("b")
        terminal.wait_for("profiles")
        terminal.wait_for("a simulated server")
        assert not world.running("tui simulate") and not world.sockets
        wait_empty(world, "tui.bench")  # it has hung up, and is in its last moment
        terminal.send("q")
        assert terminal.wait_exit() == 0
    assert not world.processes()


@pytest.mark.parametrize("after_s", [0.0, 0.4])
def test_leaving_in_mid_launch_stops_it(world: World, after_s: float) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        launch(world, terminal, after_s)
        terminal.send("q")
        terminal.wait_until(lambda text: "stop all and leave" in text or not terminal.process.isalive(), "the question")
        if terminal.process.isalive():
            terminal.send("s")
        assert terminal.wait_exit() == 0
    assert not world.processes()


def test_an_app_that_is_killed_before_it_has_seen_its_bench_takes_it_along(world: World) -> None:
    with Terminal(world.command("demo"), env=world.env, cwd=str(world.root)) as terminal:
        until = time.monotonic() + AT_ONCE_S
        while not world.running("tui.bench") and time.monotonic() < until:
            terminal.read(0.01)
        terminal.kill(signal.SIGKILL)
        terminal.wait_exit()
    wait_empty(world, "tui")


def test_a_bench_that_nobody_looks_at_and_in_which_nothing_runs_ends_in_its_time(world: World) -> None:
    settings = world.root / "config" / "vramp" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("unattended_s = 10.0\n")
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        terminal.kill(signal.SIGKILL)
        terminal.wait_exit()
    assert world.running("tui simulate")
    wait_empty(world, "tui", 10.0 + AT_ONCE_S)
    told = world.run("sessions", "list", "--json")
    assert "nobody looked at it" in told.stdout, told.stdout + told.stderr


KEEPERS = ("tui.bench", "tui.server.guardian", "tui.server.watcher")


@pytest.mark.parametrize("spared", [*KEEPERS, ""])
@pytest.mark.parametrize("front_end_too", [False, True])
def test_keepers_killed_in_one_moment_leave_no_server(world: World, spared: str, front_end_too: bool) -> None:
    running = start_sweep(world, cells=40)
    victims = [only(world.running(name)) for name in KEEPERS if name != spared]
    if front_end_too:
        victims.append(psutil.Process(running.pid))
    for victim in victims:
        victim.kill()
    if spared == "tui.bench" and not front_end_too:
        running.terminate()  # it would go on, with another server
    running.communicate(timeout=60)
    wait_empty(world, "tui", 30.0)
