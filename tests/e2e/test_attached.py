"""A server that runs already, and is a simulated one: its figures must say so although the profile cannot know."""

from __future__ import annotations

import json
import signal

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated
from tests.e2e.simulated import simulated
from tui.link.client import BenchLink
from tui.link.protocol import Export


def test_an_attached_simulator_is_marked_in_every_result(world: World) -> None:
    with simulated(world) as server:
        done = world.run(
            *("run", "demo", "--attach", server.url, "--users", "1", "--prompt-tokens", "30"),
            *("--output-tokens", "5", "--mode", "burst", "--json", "--out", "out"),
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["simulated"] is True
        assert [(cell["outcome"], cell["simulated"]) for cell in answer["cells"]] == [("ok", True)]
        assert "# SIMULATED" in (world.root / "out" / "session.toml").read_text()
        assert server.process.poll() is None  # attached to, so never stopped


async def test_a_path_for_an_export_that_cannot_be_hangs_nobody_up(world: World) -> None:
    profile = write_simulated(world.root, users="[1]", prompt_tokens="[30]", mode="steady", more="")
    running = world.start("run", str(profile), "--json", "--duration", "20")
    assert running.stderr is not None
    for line in running.stderr:
        if "server ready" in line:
            break
    (socket_path,) = world.sockets
    link = await BenchLink.connect(socket_path)
    refused = await link.request(Export("a\0b"))
    assert not refused.ok and "NUL" in refused.message
    assert (await link.request(Export(str(world.root / "out")))).ok  # and it goes on
    await link.close()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 4
