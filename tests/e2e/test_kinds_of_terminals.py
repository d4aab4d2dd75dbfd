"""Terminals that can less: no placing of text, no UTF-8, few colours, few columns."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import World
from tests.fakes.terminal import Terminal

A_CELL = ("run", "demo", "--users", "1,2", "--prompt-tokens", "64", "--mode", "burst", "--time-scale", "8")


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_place_text_is_told_what_to_use_instead(world: World, term: str) -> None:
    with Terminal(world.command("demo"), env=world.env | {"TERM": term}, cwd=str(world.root)) as terminal:
        assert terminal.wait_exit() == 2
        assert "vramp run PROFILE" in " ".join(terminal.text.split())
        assert b"\x1b" not in terminal.raw
    world.wait_until_empty()


def test_without_utf8_the_app_draws_in_ascii_by_itself(world: World) -> None:
    with Terminal(world.command(), env=world.env | {"LC_ALL": "C"}, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        assert terminal.text.isascii()
        terminal.send("q")
        assert terminal.wait_exit() == 0
    env = world.env | {"LC_ALL": "C"}
    with Terminal(world.command("--no-ascii"), env=env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        assert not terminal.text.isascii()
        terminal.send("q")
        assert terminal.wait_exit() == 0


def test_a_console_of_sixteen_colours_gets_its_own(world: World) -> None:
    env = world.env | {"TERM": "linux", "COLORTERM": ""}
    with Terminal(world.command("demo", "--time-scale", "20"), env=env, cwd=str(world.root)) as terminal:
        terminal.wait_for("too long", timeout_s=60)
        cells = [char for row in terminal.screen.buffer.values() for char in row.values()]
        inks = {char.fg for char in cells} | {char.bg for char in cells}
        assert len(inks) > 8
        assert all(ink.isalpha() for ink in inks), "a console knows its colours by name only"
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0


@pytest.mark.parametrize("columns", [40, 20, 120])
def test_the_progress_line_fits_its_terminal(world: World, columns: int) -> None:
    with Terminal(world.command(*A_CELL), columns=columns, env=world.env, cwd=str(world.root)) as terminal:
        assert terminal.wait_exit(100) == 0
    drawn = [line for line in terminal.raw.decode().split("\r") if line.startswith("[")]
    assert drawn and all(len(line) < columns for line in drawn)
    assert columns < 40 or all("SIMULATED" in line for line in drawn)


def test_piped_progress_is_plain_lines(world: World) -> None:
    told = world.run(*A_CELL).stderr.splitlines()
    assert "2/2 cells  SIMULATED" in "\n".join(told)
    assert not any("\r" in line or "[#" in line for line in told)
