"""Keys as a terminal really sends them, and what is no key at all."""

from __future__ import annotations

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
