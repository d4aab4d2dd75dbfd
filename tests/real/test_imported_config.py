"""A config file of vLLM, imported, launched from the PATH, and given more than its KV cache can hold."""

from __future__ import annotations

import json
import os

from tests.e2e.conftest import World
from tests.real.conftest import EXECUTABLE, MODEL, OFFLINE, START_TIMEOUT_S
from tui.core.errors import ExitCode
from tui.core.outcome import Outcome
from tui.session import replay
from tui.session.reader import SessionReader

# The cache is handed out in blocks of 128 tokens of 1 KiB each on the CPU: room for one request of full length, and
# for no second one beside it.
CONFIG = f"""\
model: {MODEL}
served-model-name: [tiny, tiny-too]
dtype: bfloat16
max-model-len: 1024
kv-cache-memory-bytes: 1280K
enforce-eager: true
enable-prefix-caching: false
headless: false
port: 0
"""
KV_CACHE_TOKENS = 1280
KEY = "sk-a-key-that-nobody-may-see"


def test_a_config_file_is_launched_and_its_queue_foretold(world: World) -> None:
    path = f"{EXECUTABLE.parent}{os.pathsep}{world.env['PATH']}"
    world.env |= {**OFFLINE, "PATH": path, "VLLM_API_KEY": KEY}
    config = world.root / "tiny-config.yaml"
    config.write_text(CONFIG)
    imported = world.run("profiles", "import", str(config))
    assert imported.returncode == ExitCode.OK, imported.stderr
    shown = world.run("profiles", "show", "tiny-config")
    assert "no-enable-prefix-caching = true" in shown.stdout, shown.stderr

    # fmt: off
    done = world.run(
        "run", "tiny-config", "--users", "1,8", "--prompt-tokens", "64,512", "--output-tokens", "256", "--json",
        timeout_s=2 * START_TIMEOUT_S,
    )
    # fmt: on
    assert done.returncode in (ExitCode.OK, ExitCode.CLIENT_LIMIT), done.stderr
    cells = {(cell["users"], cell["prompt_tokens"]): cell for cell in json.loads(done.stdout)["cells"]}
    assert len(cells) == 4
    assert {cell["outcome"] for cell in cells.values()} <= {Outcome.OK, Outcome.CLIENT_LIMIT}
    # The server asked for its key with each of these requests, and nothing that is kept or said has it.
    assert KEY not in done.stdout + done.stderr
    assert not [file for file in world.root.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    with SessionReader(world.session_files[0]) as reader:
        end = replay.snapshot(reader)
    assert (end.server.model, end.server.kv_cache_tokens) == ("tiny", KV_CACHE_TOKENS)
    assert sorted(end.grid.queueing) == [(8, 64), (8, 512)]
    for prompt_tokens in (64, 512):
        alone, crowd = cells[1, prompt_tokens], cells[8, prompt_tokens]
        assert (alone["preemptions"], alone["server_waiting_max"] or 0) == (0, 0)
        waited = crowd["server_queue_mean_s"] > 10 * alone["server_queue_mean_s"]
        assert waited or crowd["preemptions"] > 0, crowd
