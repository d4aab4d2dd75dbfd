"""A server that hangs: it is said with its seconds, ends its cell, and the run goes on."""

from __future__ import annotations

import json
import signal

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.e2e.test_killing import only, start_sweep
from tests.fakes.terminal import Terminal


def test_a_server_that_hangs_ends_its_cell_and_the_run_goes_on(world: World) -> None:
    # Each launch answers two cells, one of them after a relaunch the control, and hangs in the one after these.
    hangs = 'fail = "hang"\nfail_after_tokens = 200'
    profile = write_simulated(world.root, users="[4]", prompt_tokens="[30, 31, 32, 33]", more=hangs)
    done = world.run("run", str(profile), "--json", timeout_s=110)
    cells = json.loads(done.stdout)["cells"]
    assert [cell["outcome"] for cell in cells] == ["ok", "ok", "timeout", "ok"], done.stderr
    assert "no token for" in cells[2]["evidence"] and "health check answers" in cells[2]["evidence"]
    assert "no token for" in done.stderr
    assert done.returncode == 0


def test_a_server_that_is_stopped_is_replaced(world: World) -> None:
    running = start_sweep(world)
    only(world.running("tui simulate")).send_signal(signal.SIGSTOP)
    stdout, stderr = running.communicate(timeout=110)
    assert running.returncode == 0
    assert [cell["outcome"] for cell in json.loads(stdout)["cells"]] == ["ok"] * 8
    assert "its health check does not answer" in stderr


def test_the_screen_says_for_how_long_nothing_has_come(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        terminal.send("++")
        terminal.wait_until(lambda text: " 2 users" in text, "two users")
        terminal.read(3.0)
        server = only(world.running("tui simulate"))
        server.send_signal(signal.SIGSTOP)
        terminal.wait_for("NO TOKEN FOR", timeout_s=20)
        assert "READY" not in terminal.text.splitlines()[0]
        terminal.wait_for("RELAUNCHING", timeout_s=40)
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0
