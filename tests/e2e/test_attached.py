"""A server that runs already, and is a simulated one: its figures must say so although the profile cannot know."""

from __future__ import annotations

import json

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated


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
