"""Limits that are planted in simulated servers, found by `vramp run` over HTTP from what a bench can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated
from tests.e2e.sweeps import sweep
from tests.fakes.gateway import gateway
from tui.core.outcome import Outcome

SIMULATOR: dict[str, Any] = {
    "gpu": "H100 80GB",
    "max_model_len": 4096,
    "step_base_s": 0.04,
    "step_per_sequence_s": 0.0,
    "step_per_cached_token_s": 0.0,
    "prefill_per_token_s": 0.00001,
    "kv_cache_tokens": 400_000,
}
NONE, KV, SEQS, PREFILL = "not limited", "kv-cache", "scheduler-limit", "prefill"
DECODE, MEMORY, TOO_LONG = "decode", "memory", "too-long"
Limits = dict[tuple[int, int], str]
# name: the server, answers of so many tokens, mode, and what limits each cell of the grid
PLANTS: dict[str, tuple[dict[str, Any], int, str, Limits]] = {
    "kv": (
        {"kv_cache_tokens": 8000},
        60,
        "steady",
        {(1, 200): NONE, (16, 200): NONE, (64, 200): KV, (1, 2000): NONE, (16, 2000): KV, (64, 2000): KV},
    ),
    "seqs": (
        {"max_num_seqs": 8},
        60,
        "steady",
        {(1, 100): NONE, (8, 100): NONE, (24, 100): SEQS, (64, 100): SEQS},
    ),
    "seqs-burst": ({"max_num_seqs": 8}, 60, "burst", {(1, 100): NONE, (24, 100): SEQS, (64, 100): SEQS}),
    "prefill": (
        {"prefill_per_token_s": 0.0006, "max_num_batched_tokens": 2048},
        20,
        "steady",
        {(1, 2000): NONE, (24, 2000): PREFILL, (64, 2000): PREFILL},
    ),
    "decode": ({"step_per_sequence_s": 0.004}, 40, "steady", {(1, 100): NONE, (16, 100): DECODE, (48, 100): DECODE}),
    "memory": (
        {"memory_limit_tokens": 6000},
        40,
        "burst",
        {
            **{(1, 200): NONE, (4, 200): NONE, (48, 200): MEMORY},
            **{(1, 4090): TOO_LONG, (4, 4090): TOO_LONG, (48, 4090): TOO_LONG},
        },
    ),
}


def write(world: World, name: str, simulator: dict[str, Any], **load: Any) -> Path:
    path = world.root / f"{name}.toml"
    profile = {
        "name": name,
        "engine": "simulated",
        "server": {"model": "vramp/simulated", "gpus": [0]},
        "simulator": SIMULATOR | simulator,
        "load": load,
    }
    path.write_text(tomli_w.dumps(profile))
    return path


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found(world: World, name: str) -> None:
    simulator, output_tokens, mode, planted = PLANTS[name]
    profile = write(
        world,
        name,
        simulator,
        users=sorted({users for users, _ in planted}),
        prompt_tokens=sorted({size for _, size in planted}),
        output_tokens=output_tokens,
        mode=mode,
        duration_s=16.0,
        warm_up_s=2.0,
    )
    cells = sweep(world, profile, "--time-scale", "8")  # faster, and the machine's own delays count as the network's
    found = {place: cell["verdict"]["limit"] for place, cell in cells.items() if cell["verdict"] is not None}
    # On a busy machine the client may really have been late; then it is said.
    late = {place for place, cell in cells.items() if cell["outcome"] == Outcome.CLIENT_LIMIT}
    assert {found[place] for place in late} <= {"client"}
    told = [(place, cell["verdict"], cell["occupancy"]) for place, cell in cells.items()]
    wrong = {place: limit for place, limit in planted.items() if place not in late and found.get(place) != limit}
    assert {place: found.get(place) for place in wrong} == wrong, told
    for place, cell in cells.items():
        if cell["outcome"] == "ok":
            assert cell["conditions"]["launch"] >= 1 and cell["conditions"]["kv_pool_blocks"] > 0, (place, cell)


@pytest.mark.parametrize(
    ("way", "limit"), [({"lets_through": 4}, "gateway-queue"), ({"buffers": True}, "network")], ids=["queue", "buffer"]
)
def test_a_gateway_before_the_server_is_found(world: World, way: dict[str, Any], limit: str) -> None:
    load = {"users": [1, 24], "prompt_tokens": [60], "output_tokens": 25, "duration_s": 3.0, "warm_up_s": 1.0}
    profile = write(world, "behind", {"step_base_s": 0.02}, mode="steady", **load)
    with simulated(world, profile=profile) as server, gateway(server.url, **way) as url:
        cells = sweep(world, profile, "--attach", url)
    cell = cells[24, 60]
    assert cell["verdict"]["limit"] == limit, (cell["verdict"], cell["occupancy"], cells[1, 60]["verdict"])
    if limit == "gateway-queue":
        assert cell["delivered_concurrency"] == pytest.approx(24, abs=1.5)
        assert cell["occupancy"]["running_max"] <= 4
