"""The terminal stops, stalls or goes away: the app comes back or ends, and never stays behind."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.conftest import World
from tests.fakes.terminal import Terminal

PATIENCE_S = 30.0
LOOK_EVERY_S = 1.0
TAKEN, GIVEN_BACK = b"\x1b[?1049h", b"\x1b[?1049l"

STOPPED_WHILE_IT_DRAWS = """
import os, signal
from textual.app import App
from tui.view.terminal import TerminalDriver

class Drawing(App):
    BINDINGS = [("q", "quit", "quit")]

    def on_ready(self):
        with self._driver._writer_thread._queue.mutex:
            os.kill(os.getpid(), signal.SIGTSTP)

Drawing(driver_class=TerminalDriver).run()
"""


def view_of(terminal: Terminal) -> psutil.Process:
    """The app in a terminal, whether it was started directly or by something that waits for it."""
    first = psutil.Process(terminal.process.pid)
    return next((child for child in first.children() if "tui" in child.cmdline()), first)


def stopped(view: psutil.Process) -> Callable[[str], bool]:
    """Whether the app stands still; to be asked while its terminal is read, for it draws to the last moment."""
    return lambda _: bool(view.status() == psutil.STATUS_STOPPED)


def sent(sequence: bytes, terminal: Terminal, times: int) -> Callable[[str], bool]:
    return lambda _: terminal.raw.count(sequence) == times


@pytest.mark.parametrize("again", range(3))
def test_a_dropped_line_ends_the_view(world: World, again: int) -> None:
    """The kernel's SIGCONT comes with its SIGHUP, in any order, so it is sent more than once."""
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.hang_up()
        world.wait_until_empty()


def test_a_line_that_goes_in_silence_ends_the_view(world: World) -> None:
    """Only a session of the terminal's own is told by the kernel."""
    setsid = shutil.which("setsid")
    assert setsid is not None
    with Terminal([setsid, "--wait", *world.command()], env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        view = view_of(terminal)
        assert view.pid != terminal.process.pid
        terminal.hang_up()
        assert not psutil.wait_procs([view], PATIENCE_S)[1]


def test_a_line_that_stalls_and_then_drops_ends_the_view(world: World) -> None:
    with Terminal(world.command("demo"), columns=200, rows=60, env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        view = view_of(terminal)
        # Nobody reads any more: the line fills up, then what waits to be drawn, and the app stands still.
        used_s = [-1.0, view.cpu_times().user]
        while used_s[-1] > used_s[-2]:
            time.sleep(LOOK_EVERY_S)
            used_s.append(view.cpu_times().user)
        terminal.hang_up()
        assert not psutil.wait_procs([view], PATIENCE_S)[1]
        for bench in world.running("tui.bench"):
            bench.terminate()
        world.wait_until_empty()


def test_a_stop_from_outside_is_come_back_from_with_the_same_threads(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        view = view_of(terminal)
        before = view.num_threads()
        for taken in (1, 2, 3):
            terminal.kill(signal.SIGSTOP)
            terminal.wait_until(stopped(view), "the stop")
            terminal.kill(signal.SIGCONT)
            terminal.wait_until(sent(TAKEN, terminal, taken + 1), "the screen again")
        terminal.wait_until(lambda _: view.num_threads() == before, f"{before} threads, found {view.num_threads()}")
        terminal.send("q")
        assert terminal.wait_exit() == 0


def test_a_stop_that_was_asked_for_gives_the_terminal_back_meanwhile(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        view = view_of(terminal)
        for taken in (1, 2, 3):
            terminal.kill(signal.SIGTSTP)
            terminal.wait_until(stopped(view), "the stop")
            terminal.wait_until(sent(GIVEN_BACK, terminal, taken), "the terminal back")
            terminal.kill(signal.SIGCONT)
            terminal.wait_until(sent(TAKEN, terminal, taken + 1), "the screen again")
            terminal.wait_for("simulated")
        terminal.send("q")
        assert terminal.wait_exit() == 0


def test_a_stop_in_the_middle_of_drawing_does_not_wait_for_itself() -> None:
    with Terminal([sys.executable, "-c", STOPPED_WHILE_IT_DRAWS]) as terminal:
        terminal.wait_until(stopped(view_of(terminal)), "the stop")
        terminal.kill(signal.SIGCONT)
        terminal.wait_until(sent(TAKEN, terminal, 2), "the screen again")
        terminal.send("q")
        assert terminal.wait_exit() == 0
