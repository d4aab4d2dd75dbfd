"""Keys as a terminal really sends them, and what is no key at all."""

from __future__ import annotations

import re

from tests.e2e.conftest import World
from tests.fakes.terminal import Terminal


def test_bytes_that_are_no_keys_are_ignored_and_the_next_key_works_at_once(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        for byte in range(0x80, 0x100):
            terminal.send(bytes([byte]))
        for byte in range(0x20, 0x100):
            terminal.send(b"\x1b[M" + bytes([byte]) * 3)
        terminal.send(b"\xff\xfe\x1b[M\xff\xff\xff\x1b[99999999999;1;99999999999u")
        terminal.send("?")
        terminal.wait_for("time to first token", timeout_s=4.0)
        assert "Traceback" not in terminal.raw.decode(errors="replace")
        terminal.send("q")
        terminal.wait_gone("time to first token")
        terminal.send("q")
        assert terminal.wait_exit() == 0
    assert b"Traceback" not in terminal.raw


def test_digits_never_set_users_and_a_number_that_may_not_be_meant_is_asked_about(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        for key in "426":
            terminal.send(key)
        terminal.send("\r999999\r")
        terminal.send("u999\r")
        terminal.wait_for("have 999 users")
        terminal.send("\x1b")
        terminal.wait_gone("have 999 users")
        assert re.search(r"users ▸ +0 of +0\b", terminal.text)
        terminal.send("u3\r")
        terminal.wait_until(lambda text: re.search(r"users ▸ +3 of +3\b", text) is not None, "three users")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0


def test_a_prompt_size_that_is_too_long_is_said_and_the_users_stay(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        terminal.send("++")
        terminal.wait_until(lambda text: re.search(r"users ▸ +2 of +2\b", text) is not None, "two users")
        for size in ("256", "1024", "2048"):
            terminal.send(">")
            terminal.wait_for(f"prompt ▸ {size:>4} tok")
        terminal.send(">")
        terminal.wait_for("too long")
        terminal.wait_for("prompt ▸ 2048 tok")
        assert re.search(r"users ▸ +2 of +2\b", terminal.text)
        terminal.send("4\x1b[C\r")  # the first arrow picks where the run stands, enter opens it
        terminal.wait_for("2 users × 2,048 prompt tokens")
        terminal.send("\x1b")
        terminal.wait_for("READY")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0
