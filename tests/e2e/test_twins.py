"""Bursts through the real load engine against the twins: what comes over HTTP is what the model says.

Client, network and server need time for themselves, and a request that arrives while a step is under way waits for
the next one: 2 to 40 ms of real time on two cores (docs/simulator.md). The allowance is more, for busier machines.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import SimulatedServer, simulated
from tui.core.address import address_of
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.engines.base import Wish
from tui.engines.simulated import ENGINE as SIMULATED_VLLM
from tui.load.pool import LoadPool
from tui.load.prompts import pack_token_ids
from tui.load.wire import LoadTarget, PromptSource
from tui.metrics.record import RequestRecord
from tui.profile.catalogue import shipped_profiles_dir
from tui.profile.loader import load_profile
from tui.profile.schema import Endpoint, Profile
from tui.simulator.burst import burst

LARGEST_ERROR = 0.05
OVERHEAD_S = 0.15
TIME_SCALE = 10.0


def twin(name: str) -> tuple[Path, Profile]:
    path = shipped_profiles_dir() / f"sim-{name}.toml"
    return path, load_profile(path)


async def burst_over_http(server: SimulatedServer, profile: Profile, users: int, prompt: int) -> list[RequestRecord]:
    assert profile.server is not None
    records: list[RequestRecord] = []
    pool = LoadPool(
        LoadTarget(address_of(server.url)),
        on_records=records.extend,
        on_progress=lambda _: None,
        on_event=lambda _: None,
    )
    shape = SIMULATED_VLLM.request_shape(
        Wish(profile.server.model, Endpoint.COMPLETIONS, prompt, profile.load.output_tokens)
    )
    await pool.start()
    try:
        await pool.configure(shape, PromptSource("token-ids", pack_token_ids(range(300, 900))), 1)
        assert await pool.burst(users) == users
    finally:
        await pool.stop()
    assert len(records) == users
    return records


@pytest.mark.parametrize(
    ("name", "users", "prompt"),
    [
        ("mistral-7b", 128, 31),
        ("codestral-22b", 64, 2193),
        ("codestral-22b-gptq", 32, 480),
        ("mixtral-8x7b-awq", 16, 2193),
        ("llama-3-70b-awq", 128, 21),
    ],
)
async def test_a_burst_takes_as_long_as_the_model_says(world: World, name: str, users: int, prompt: int) -> None:
    path, profile = twin(name)
    assert profile.simulator is not None
    modelled_s = burst(profile.simulator, users, prompt, profile.load.output_tokens).seconds
    assert modelled_s is not None
    with simulated(world, "--time-scale", str(TIME_SCALE), profile=path) as server:
        records = await burst_over_http(server, profile, users, prompt)
    assert {record.outcome for record in records} == {Outcome.OK}
    assert {record.prompt_tokens_usage for record in records} == {prompt}
    assert all(record.last_token_ns is not None for record in records)
    took_ns = sum((record.last_token_ns or 0) - record.intended_start_ns for record in records) / users
    took_s = took_ns / NS_PER_S * TIME_SCALE
    assert abs(took_s - modelled_s) <= LARGEST_ERROR * modelled_s + OVERHEAD_S * TIME_SCALE


@pytest.mark.parametrize(
    ("name", "users", "prompt"),
    [("codestral-22b-gptq", 128, 63), ("mixtral-8x7b-awq", 64, 480), ("llama-3-70b-awq", 128, 51)],
)
async def test_a_cell_that_failed_fails(world: World, name: str, users: int, prompt: int) -> None:
    path, profile = twin(name)
    with simulated(world, "--time-scale", "50", profile=path) as server:
        records = await burst_over_http(server, profile, users, prompt)
        assert Outcome.OK not in {record.outcome for record in records}
        assert server.wait() == 0
    assert "torch.OutOfMemoryError: CUDA out of memory" in server.log


async def test_our_prompts_defeat_the_prefix_cache(world: World) -> None:
    path, profile = twin("mistral-7b")
    with simulated(world, "--time-scale", "50", profile=path) as server, server.client() as client:
        for _ in range(2):
            await burst_over_http(server, profile, 8, 480)
        figures = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
        hits = [float(value) for name, value in figures.items() if name.startswith("vllm:prefix_cache_hits_total")]
        queries = [
            float(value) for name, value in figures.items() if name.startswith("vllm:prefix_cache_queries_total")
        ]
        assert (hits, queries) == ([0.0], [2 * 8 * 480.0])
