"""A serving system of somebody else's package: found by its entry point, in the command, the bench and the workers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated

MODULE = """
import os
import sys

import msgspec

from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests, openai_stream
from tui.engines.parts.dialect import Dialect, StreamEvent
from tui.engines.parts.questions import OpenAiQuestions

with open(os.environ["ENGINE_LOG"], "a") as log:
    print("worker" if "tui.load.worker" in " ".join(sys.orig_argv) else "other", file=log)


def decode(payload: bytes) -> StreamEvent:
    return openai_stream.decode(payload)


DIALECT = Dialect(decode)


class Mine(Engine):
    name = "mine"
    questions = OpenAiQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        shape = openai_requests.request_shape(wish, token_ids=False, extra={}, stream_options={"include_usage": True})
        return msgspec.structs.replace(shape, dialect="others_mine:DIALECT")


ENGINE = Mine()
"""
PROFILE = """
name = "theirs"
engine = "mine"
[attach]
base_url = "{url}"
[load]
users = [2]
prompt_tokens = [30]
output_tokens = 5
"""


def install(world: World) -> None:
    packages = world.root / "packages"
    metadata = packages / "others-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vramp.engines]\nmine = others_mine:ENGINE\n")
    (packages / "others_mine.py").write_text(MODULE)
    path = [str(packages), *filter(None, [world.env.get("PYTHONPATH")])]
    world.env |= {"PYTHONPATH": os.pathsep.join(path), "ENGINE_LOG": str(world.root / "engine.log")}


def test_it_is_checked_and_measured_with_like_one_of_ours(world: World) -> None:
    install(world)
    profile = world.root / "theirs.toml"
    log = Path(world.env["ENGINE_LOG"])
    with simulated(world) as server:
        profile.write_text(PROFILE.format(url=server.url))
        assert world.run("profiles", "check", str(profile)).returncode == 0
        log.unlink(missing_ok=True)
        done = world.run("run", str(profile), "--json")
    # Five tokens pass in a moment: on a busy machine the client limits the cell, and says so.
    assert done.returncode in (0, 5), done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["outcome"] in ("ok", "client-limit")
    assert (cell["requests_ok"], cell["counted_by"]) == (2, "usage")
    assert {"worker", "other"} <= set(log.read_text().split())
