"""Memory that runs out, for real: each class, each advice, and the memory back on the card, by NVML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.gpu.card import GIB, TOLERANCE_BYTES, Card, Record
from tests.gpu.conftest import MISTRAL_BYTES, TIMEOUT_S, run, server_table, write_profile
from tests.real.conftest import Watched
from tui.core.errors import ExitCode, LaunchError

Make = Callable[[dict[str, Any]], Watched]
BACK_TIMEOUT_S = 15.0
# What is left beside weights and KV cache: enough to start, too little for a prefill of 32 x 480 tokens.
MARGIN_BYTES = int(1.6 * GIB)


async def fail(one: Watched, failure: str, line: str, advice: str) -> None:
    with pytest.raises(LaunchError):
        await one.supervisor.launch()
    report = one.supervisor.status.failure
    assert report is not None
    assert report.failure == failure, report
    assert line in report.line
    assert advice in report.advice, report.advice


async def test_kv_cache_given_in_bytes_that_holds_no_longest_request(watched: Make, card: Card) -> None:
    before = card.used_bytes
    one = watched(server_table(args={"max-model-len": 32768, "kv-cache-memory-bytes": GIB}))
    await fail(one, "oom-kv", "max seq len (32768)", "from 32768 to 8192, or raise --kv-cache-memory-bytes")
    card.wait_until_back(before, BACK_TIMEOUT_S)


async def test_share_that_the_weights_alone_take(watched: Make, card: Card) -> None:
    before = card.used_bytes
    share = round(0.8 * MISTRAL_BYTES / card.total_bytes, 2)
    one = watched(server_table(args={"gpu-memory-utilization": share}))
    await fail(one, "oom-kv", "No available memory for the cache blocks", "GiB more than vLLM may use")
    card.wait_until_back(before, BACK_TIMEOUT_S)


async def test_weights_larger_than_the_card(watched: Make, card: Card) -> None:
    before = card.used_bytes
    await fail(watched(server_table("mixtral-8x22b")), "oom-weights", "", "--tensor-parallel-size")
    card.wait_until_back(before, BACK_TIMEOUT_S)


async def test_memory_that_others_hold(watched: Make, card: Card) -> None:
    with card.held(card.total_bytes // 4):
        before = card.used_bytes
        one = watched(server_table(args={"gpu-memory-utilization": 0.95}))
        await fail(one, "oom-weights", "less than desired GPU memory utilization", "would be granted now")
        card.wait_until_back(before, BACK_TIMEOUT_S)


def test_memory_that_gives_out_under_load_and_the_server_after_it(world: World, card: Card) -> None:
    before = card.used_bytes
    kv_bytes = int(card.memory.free - MISTRAL_BYTES - MARGIN_BYTES) // (2 * 2**20) * (2 * 2**20)
    server = server_table(args={"max-num-batched-tokens": 32768, "kv-cache-memory-bytes": kv_bytes})
    # The size after the one that breaks it shows that the second server serves.
    profile = write_profile(world, "runtime", server, users=[1, 32, 128], prompt_tokens=[31, 480, 822], mode="burst")
    with Record(card) as record:
        cells = {(cell["users"], cell["prompt_tokens"]): cell for cell in run(world, profile)}
    broke = [cell for cell in cells.values() if cell["outcome"] == "oom-runtime"]
    assert broke, {place: cell["outcome"] for place, cell in cells.items()}
    assert all(cell["evidence"].startswith("torch.OutOfMemoryError: CUDA out of memory") for cell in broke)
    first = broke[0]
    assert cells[1, 822]["outcome"] == "ok", "the server came back"
    for (users, prompt_tokens), cell in cells.items():
        if users >= first["users"] and prompt_tokens >= first["prompt_tokens"] and cell is not first:
            assert cell["outcome"] == "implied"
    died_ns = first["started_at_ns"] + int(first["duration_s"] * 1e9)
    after = [look for look in record.looks if look.at_ns > died_ns]
    free_again = next(look for look in after if look.used_bytes < before + TOLERANCE_BYTES)
    assert (free_again.at_ns - died_ns) / 1e9 < BACK_TIMEOUT_S
    assert any(look.at_ns > free_again.at_ns and look.used_bytes > MISTRAL_BYTES for look in after)
    card.wait_until_back(before)


def test_another_program_that_takes_the_rest_is_named(world: World, card: Card) -> None:
    server = server_table(args={"gpu-memory-utilization": 0.8, "max-num-batched-tokens": 32768})
    load = {"users": [1, 8, 128], "prompt_tokens": [31, 2193], "mode": "burst"}
    before = card.used_bytes
    running = world.start("run", write_profile(world, "others", server, **load), "--json")
    assert running.stderr is not None
    ready = next((line for line in running.stderr if "server ready" in line), "")
    with card.held_but(GIB // 2) if ready else nullcontext():
        stdout, stderr = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode in (ExitCode.OK, ExitCode.SERVER_UNAVAILABLE), stderr
    (broke, *_) = (cell for cell in json.loads(stdout)["cells"] if cell["outcome"] == "oom-runtime")
    assert re.search(r"Process \d+ has [\d.]+ GiB memory in use", broke["evidence"])
    card.wait_until_back(before)
