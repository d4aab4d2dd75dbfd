"""The real app in a real pty: what a person at a terminal does, and what a terminal does to a person."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import World, choose
from tests.fakes.terminal import Terminal
from tui.core.errors import ExitCode

ALTERNATE_SCREEN_OFF = b"\x1b[?1049l"
MOUSE_OFF = b"\x1b[?1003l"


@pytest.fixture
def terminal(world: World) -> Iterator[Terminal]:
    """The app on its list."""
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("profiles")
        terminal.wait_for("simulated")
        yield terminal


def test_the_list_tells_of_the_demo_and_q_leaves_a_clean_terminal(terminal: Terminal) -> None:
    choose(terminal, "demo")
    terminal.wait_for("a simulated server")
    terminal.send("q")
    assert terminal.wait_exit() == 0
    assert ALTERNATE_SCREEN_OFF in terminal.raw
    assert MOUSE_OFF in terminal.raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_terminal_back(terminal: Terminal, number: signal.Signals) -> None:
    terminal.kill(number)
    assert terminal.wait_exit() == 4
    assert ALTERNATE_SCREEN_OFF in terminal.raw
    assert MOUSE_OFF in terminal.raw


def test_a_shrunk_terminal_gets_a_sentence_and_a_widened_one_its_list_back(terminal: Terminal) -> None:
    terminal.resize(50, 12)
    terminal.wait_for("vramp needs 60 x 16 cells")
    terminal.resize(100, 30)
    terminal.wait_for("simulated")
    terminal.send("q")
    assert terminal.wait_exit() == 0


def test_edit_gives_the_terminal_to_the_editor_and_reads_the_profile_again(world: World) -> None:
    editor = world.root / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/^title = .*/title = "Edited by hand"/\' "$1"\n')
    editor.chmod(0o755)
    env = world.env | {"EDITOR": str(editor)}
    with Terminal(world.command(), env=env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.send("e")
        terminal.wait_for("Edited by hand")
        terminal.send("q")
        assert terminal.wait_exit() == 0
    assert [path.name for path in Path(world.root, "config", "vramp", "profiles").iterdir()] == ["demo.toml"]


def test_an_editor_that_is_not_there_is_told_and_the_list_comes_back(world: World) -> None:
    env = world.env | {"VISUAL": "/nowhere/an-editor"}
    with Terminal(world.command(), env=env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.send("e")
        terminal.wait_for("cannot be started")
        terminal.send("q")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize("arguments", [[], ["demo"]])
def test_a_wrong_setting_is_told_before_the_screen_is_taken(world: World, arguments: list[str]) -> None:
    settings = world.root / "config" / "vramp" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[keys]\nleav = "z"\n')
    with Terminal(world.command(*arguments), env=world.env, cwd=str(world.root)) as terminal:
        assert terminal.wait_exit() == 2
        assert "did you mean 'leave'?" in terminal.text
        assert ALTERNATE_SCREEN_OFF not in terminal.raw
    # A bench that was started meanwhile leaves neither a process nor a session.
    world.wait_until_empty()
    assert [path for path in (world.root / "data").rglob("*") if path.is_file()] == []


def test_from_the_list_over_the_demo_to_an_export(world: World, terminal: Terminal) -> None:
    choose(terminal, "demo")
    terminal.send("\r")
    terminal.wait_for("READY")
    terminal.wait_for("SIMULATED")
    terminal.send("+++")
    terminal.wait_until(lambda text: re.search(r" {7}3 users +prompt", text) is not None, "three users")
    terminal.wait_until(lambda text: re.search(r"[1-9]\d* ok", text) is not None, "a finished request")
    terminal.send("]")
    terminal.wait_until(lambda text: re.search(r" {7}13 users +prompt", text) is not None, "thirteen users")
    terminal.send("x")
    terminal.wait_for("exported", timeout_s=60)
    terminal.send("q")
    terminal.wait_for("stop all and leave")
    terminal.send("s")
    assert terminal.wait_exit(60) == 0
    assert "is kept in" in terminal.text
    assert len(world.session_files) == 1
    assert list(world.root.rglob("session.toml"))
    assert list(world.root.rglob("cells.csv"))


def test_a_killed_view_ends_nothing_and_attach_comes_back(world: World, terminal: Terminal) -> None:
    choose(terminal, "demo")
    terminal.send("\r")
    terminal.wait_for("READY")
    terminal.kill(signal.SIGKILL)
    assert terminal.wait_exit() == 128 + signal.SIGKILL
    assert world.running("tui.bench")
    (session,) = (path.stem for path in world.sockets)  # named: other benches may run on this machine
    with Terminal(world.command("attach", session), env=world.env, cwd=str(world.root)) as again:
        again.wait_for("READY")
        again.send("d")
        assert again.wait_exit() == 0
        assert "come back by: vramp attach" in again.text
    assert world.running("tui.bench")
    with Terminal(world.command("attach", session), env=world.env, cwd=str(world.root)) as again:
        again.wait_for("READY")
        again.send("q")
        again.wait_for("stop all and leave")
        again.send("s")
        assert again.wait_exit(60) == 0


def test_a_killed_bench_is_told_with_what_is_kept(world: World, terminal: Terminal) -> None:
    choose(terminal, "demo")
    terminal.send("\r")
    terminal.wait_for("READY")
    for bench in world.running("tui.bench"):
        bench.kill()
    terminal.wait_for("The bench is gone")
    terminal.wait_for("vramp open")
    terminal.send("q")
    assert terminal.wait_exit() == ExitCode.UNEXPECTED


def test_of_several_benches_attach_asks_which_and_without_a_terminal_names_them(world: World) -> None:
    for _ in range(2):
        with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as started:
            started.wait_for("READY")
            started.send("d")
            assert started.wait_exit() == 0
    names = sorted((path.stem for path in world.sockets), reverse=True)
    refused = world.run("attach")
    assert refused.returncode == 2
    assert all(name in refused.stderr for name in names)
    for chosen in names:
        left = len(world.sockets)
        arguments = ["attach"] if left > 1 else ["attach", chosen]
        with Terminal(world.command(*arguments), env=world.env, cwd=str(world.root)) as terminal:
            if left > 1:
                text = terminal.wait_for("which")
                assert text.index(names[0]) < text.index(names[1])
                number = next(line.split()[0] for line in text.splitlines() if chosen in line)
                terminal.send(f"{number}\r")  # not always 1: other benches may run on this machine
            terminal.wait_for("READY")
            terminal.send("q")
            terminal.wait_for("stop all and leave")
            terminal.send("s")
            assert terminal.wait_exit(60) == 0
            assert f"session {chosen} is kept" in " ".join(terminal.text.split())
