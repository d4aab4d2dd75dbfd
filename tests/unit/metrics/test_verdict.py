"""What limited a cell: limits that are planted in the simulator's model are found, and none is taken for another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.metrics.planted import Way, measured
from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit
from tui.metrics.verdict import verdict_of, where_they_part
from tui.profile.schema import Mode
from tui.profile.simulator_table import SimulatorTable

FAST = {"step_base_s": 0.01, "step_per_sequence_s": 0.00002, "step_per_cached_token_s": 1e-9}
SLOW_PROMPTS = {**FAST, "prefill_per_token_s": 0.0004, "max_num_batched_tokens": 2048}


@dataclass
class Plant:
    """A limit, and the cell that runs into it."""

    limit: Limit
    table: dict[str, Any]
    users: int
    prompt_tokens: int
    output_tokens: int = 100
    mode: Mode = Mode.STEADY
    way: Way = field(default_factory=Way)
    tells_limit: bool = True
    lone: bool = True
    """Whether the cell of one user was measured before."""
    tells_metrics: bool = True

    def cell(self, users: int) -> CellResult:
        return measured(
            SimulatorTable(**{"prefill_per_token_s": 0.00001, "kv_cache_tokens": 400_000, **self.table}),
            users,
            self.prompt_tokens,
            self.output_tokens,
            mode=self.mode,
            way=self.way,
            tells_limit=self.tells_limit,
            tells_metrics=self.tells_metrics,
        )


KV, SEQS, PREFILL, DECODE = Limit.KV_CACHE, Limit.SCHEDULER, Limit.PREFILL, Limit.DECODE
SMALL_KV = {**FAST, "kv_cache_tokens": 9_600, "max_model_len": 4096}
FEW_SEQS = {**FAST, "max_num_seqs": 8}
HEAVY_BATCH = {"step_base_s": 0.01, "step_per_sequence_s": 0.002}
MEMORY = {**FAST, "memory_limit_tokens": 6_000}
PLANTS = {
    "kv, many short": Plant(KV, SMALL_KV, 64, 200),
    "kv, few long": Plant(KV, SMALL_KV, 16, 2000),
    "kv, a quarter each": Plant(KV, {**SMALL_KV, "kv_cache_tokens": 8_000}, 16, 2000, 40),
    "kv, long answers": Plant(KV, SMALL_KV, 48, 50, 400),
    "kv, burst": Plant(KV, SMALL_KV, 64, 500, mode=Mode.BURST),
    "kv, not told how many run": Plant(KV, SMALL_KV, 64, 200, tells_limit=False),
    "kv, no smaller cell": Plant(KV, SMALL_KV, 32, 1000, lone=False),
    "seqs, steady": Plant(SEQS, FEW_SEQS, 32, 100),
    "seqs, one more wave": Plant(SEQS, FEW_SEQS, 16, 100),
    "seqs, burst": Plant(SEQS, FEW_SEQS, 64, 100, mode=Mode.BURST),
    "seqs, one at a time": Plant(SEQS, {**FAST, "max_num_seqs": 1}, 4, 100),
    "seqs, not told": Plant(SEQS, FEW_SEQS, 32, 100, tells_limit=False),
    "seqs, no smaller cell": Plant(SEQS, FEW_SEQS, 32, 100, lone=False),
    "prefill, queue": Plant(PREFILL, SLOW_PROMPTS, 64, 2000, 20),
    "prefill, longer answers": Plant(PREFILL, SLOW_PROMPTS, 32, 3000, 50),
    "prefill, burst": Plant(PREFILL, SLOW_PROMPTS, 48, 3000, 20, mode=Mode.BURST),
    "prefill, no smaller cell": Plant(PREFILL, SLOW_PROMPTS, 64, 2000, 20, lone=False),
    "prefill, without a queue": Plant(PREFILL, {**SLOW_PROMPTS, "max_num_batched_tokens": 100_000}, 8, 1500, 60),
    "decode": Plant(DECODE, HEAVY_BATCH, 32, 50),
    "decode, burst": Plant(DECODE, HEAVY_BATCH, 64, 50, mode=Mode.BURST),
    "decode, long context": Plant(DECODE, {**FAST, "step_per_cached_token_s": 1e-6}, 32, 2000, 200),
    "memory": Plant(Limit.MEMORY, MEMORY, 64, 200),
    "memory, burst": Plant(Limit.MEMORY, MEMORY, 64, 200, mode=Mode.BURST),
    "gateway, a queue": Plant(Limit.GATEWAY, FAST, 32, 100, way=Way(lets_through=8)),
    "gateway, burst": Plant(Limit.GATEWAY, FAST, 64, 100, mode=Mode.BURST, way=Way(lets_through=8)),
    "gateway, before few": Plant(Limit.GATEWAY, {**FAST, "max_num_seqs": 16}, 64, 100, way=Way(lets_through=16)),
    "network, far away": Plant(Limit.NETWORK, FAST, 16, 100, way=Way(delay_s=1.0)),
    "network, buffered": Plant(Limit.NETWORK, FAST, 16, 100, way=Way(buffers=True)),
    "nothing, one user": Plant(Limit.NONE, FAST, 1, 100, lone=False),
    "nothing, some users": Plant(Limit.NONE, FAST, 8, 100),
    "nothing, burst": Plant(Limit.NONE, FAST, 16, 100, mode=Mode.BURST),
    "not told anything": Plant(Limit.NOT_KNOWN, SMALL_KV, 64, 200, tells_metrics=False, lone=False),
    "gateway, no smaller cell": Plant(Limit.NOT_KNOWN, FAST, 32, 100, way=Way(lets_through=8), lone=False),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_limit_is_found(name: str) -> None:
    plant = PLANTS[name]
    cell = plant.cell(plant.users)
    others = [plant.cell(1)] if plant.lone else []
    found = verdict_of(cell, others)
    assert found is not None
    assert found.limit is plant.limit, (found, cell.occupancy, cell.conditions, where_they_part(cell))
    assert found.sentence
