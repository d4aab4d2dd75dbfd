"""One server, asked by vramp and by `vllm bench serve`, one after the other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.gpu.conftest import EXECUTABLE, MODELS, run, server_table, write_profile
from tests.real.conftest import Watched

PROMPT_TOKENS, OUTPUT_TOKENS = 128, 64
REQUESTS_PER_USER = 16


def bench(url: str, users: int, folder: Path) -> dict[str, Any]:
    """Ask as many requests as vramp's users do in its window, and return what the other tool says of them."""
    model, file = str(MODELS / "mistral-7b"), "bench.json"
    command = [
        *(str(EXECUTABLE), "bench", "serve", "--backend", "vllm", "--base-url", url, "--endpoint", "/v1/completions"),
        *("--model", model, "--tokenizer", model, "--dataset-name", "random", "--ignore-eos", "--temperature", "0"),
        *("--random-input-len", str(PROMPT_TOKENS), "--random-output-len", str(OUTPUT_TOKENS)),
        *("--num-prompts", str(REQUESTS_PER_USER * users), "--max-concurrency", str(users)),
        *("--save-result", "--result-dir", str(folder), "--result-filename", file),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    told: dict[str, Any] = json.loads((folder / file).read_text())
    return told


@pytest.mark.parametrize("users", [64, 16])
async def test_throughput_and_gaps_agree(
    users: int, watched: Callable[[dict[str, Any]], Watched], world: World
) -> None:
    one = watched(server_table())
    await one.supervisor.launch()
    url = one.supervisor.base_url
    load = {"users": [users], "prompt_tokens": [PROMPT_TOKENS], "output_tokens": OUTPUT_TOKENS, "mode": "steady"}
    profile = write_profile(world, "agree", server_table(), **load, warm_up_s=2.0, duration_s=8.0)
    (mine,) = run(world, profile, "--attach", url)
    theirs = bench(url, users, world.root)
    assert mine["outcome"] == "ok" and theirs["failed"] == 0
    assert mine["tokens_per_s_total"] == pytest.approx(theirs["output_throughput"], rel=0.05)
    assert mine["itl_p50_s"] * 1000 == pytest.approx(theirs["median_itl_ms"], rel=0.05)
    # Which requests share a step depends on how they come: see docs/vllm-agreement-h200.md.
    assert mine["ttft_p50_s"] * 1000 == pytest.approx(theirs["median_ttft_ms"], rel=0.35)
    counted = mine["tokens_per_s_total"] * mine["duration_s"]
    assert counted == pytest.approx(mine["server_output_tokens"], rel=0.02)
