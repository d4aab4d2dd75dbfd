"""What limited a cell: limits that are planted in the simulator's model are found, and none is taken for another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.unit.metrics.planted import Way, measured
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit
from tui.metrics.occupancy import Occupancy
from tui.metrics.verdict import asked_delivered_running, verdict_of, where_they_part
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


def test_a_reading_of_users_who_all_wait_for_one_step_is_no_queue() -> None:
    cell = PLANTS["nothing, some users"].cell(8)
    seen = msgspec.structs.replace(Occupancy(), readings=2, running_mean=8.0, waiting_mean=4.0, waiting_readings=1)
    found = verdict_of(msgspec.structs.replace(cell, occupancy=seen), [PLANTS["nothing, some users"].cell(1)])
    assert found is not None and found.limit is Limit.NONE


def test_a_long_way_to_the_batch_is_no_prefill() -> None:
    """What a lone request waits for HTTP, tokenizing and the rest holds up nobody else."""
    slow = PLANTS["nothing, some users"]
    lone, cell = slow.cell(1), slow.cell(8)
    far = msgspec.structs.replace(lone, ttft_p50_s=0.5, ttft_mean_s=0.5, server_ttft_mean_s=0.5)
    found = verdict_of(cell, [far])
    assert found is not None and found.limit is Limit.NONE


def test_prompts_may_take_half_the_time_without_a_queue() -> None:
    """A prompt alone takes 40 ms more than a step; 15 a second take 0.6 of the time."""
    lone = made(Outcome.OK, occupancy=Occupancy(prefill_mean_s=0.05, decode_mean_s=0.03))
    lone = msgspec.structs.replace(lone, users=1)
    seen = Occupancy(readings=9, prefill_mean_s=0.1, decode_mean_s=0.2, running_mean=8.0, waiting_mean=0.0)
    cell = made(Outcome.OK, occupancy=seen, requests_ok=150, duration_s=10.0, itl_p50_s=0.03, tpot_p50_s=0.066)
    found = verdict_of(cell, [lone])
    assert found is not None and found.limit is Limit.PREFILL
    assert found.sentence == "Prompts take 60% of the server's time"
    # Where none of its requests was held up for so long, prompts were computed together, in less time than alone.
    short = msgspec.structs.replace(cell, itl_p50_s=0.066)
    found = verdict_of(short, [msgspec.structs.replace(lone, tpot_p50_s=0.06)])
    assert found is not None and found.limit is Limit.NONE


@pytest.mark.parametrize(
    ("outcome", "refused", "limit"),
    [
        (Outcome.OVERLOADED, 7.0, Limit.SCHEDULER),
        (Outcome.OVERLOADED, 0.0, Limit.GATEWAY),
        (Outcome.OVERLOADED, None, Limit.NOT_KNOWN),
        (Outcome.CLIENT_LIMIT, None, Limit.CLIENT),
        (Outcome.TOO_LONG, None, Limit.TOO_LONG),
        (Outcome.OOM_LAUNCH, None, Limit.MEMORY),
        (Outcome.ENGINE_DEAD, None, Limit.NOT_KNOWN),
        (Outcome.HTTP_ERROR, None, Limit.NOT_KNOWN),
    ],
)
def test_an_end_that_says_it_all(outcome: Outcome, refused: float | None, limit: Limit) -> None:
    found = verdict_of(made(outcome, occupancy=Occupancy(refused=refused), evidence="line 7"))
    assert found is not None and found.limit is limit


@pytest.mark.parametrize("outcome", [Outcome.IMPLIED, Outcome.RUNNING, Outcome.PENDING])
def test_what_was_not_measured_has_no_verdict(outcome: Outcome) -> None:
    assert verdict_of(made(outcome)) is None


def test_a_client_that_sends_late_is_found_before_the_server_is_blamed() -> None:
    late = made(Outcome.OK, client_delay_p99_s=0.4, e2e_p50_s=2.0, server_queue_mean_s=1.0, time_to_resolve_s=2.0)
    unsent = made(Outcome.OK, requests_ok=80, requests_dropped=20)
    for cell in (late, unsent):
        found = verdict_of(cell)
        assert found is not None and found.limit is Limit.CLIENT


def made(outcome: Outcome, **changes: Any) -> CellResult:
    return CellResult(users=8, prompt_tokens=60, output_tokens=4, mode="steady", outcome=outcome, **changes)


def test_where_asked_delivered_and_running_part_is_told() -> None:
    seen = Occupancy(readings=9, running_mean=3.0, running_max=4.0, waiting_mean=2.0)
    cell = made(Outcome.OK, delivered_concurrency=6.0, delivered_concurrency_max=8, occupancy=seen)
    assert asked_delivered_running(cell) == ("8 asked, 6.0 delivered (8 at most), 3.0 running (4 at most), 2.0 waiting")
    assert where_they_part(cell) == (
        "6 of 8 users had a request under way; the server ran 3.0 of the 6.0 requests under way"
    )
    # Of a burst the most counts, as its requests end one after another.
    whole = msgspec.structs.replace(cell, mode="burst", occupancy=msgspec.structs.replace(seen, running_mean=5.6))
    assert where_they_part(whole) == ""
    # Of a few readings one more or less makes the difference, and the server's times say more than gauges do.
    few = msgspec.structs.replace(cell, occupancy=msgspec.structs.replace(seen, readings=2))
    assert where_they_part(few) == "6 of 8 users had a request under way"
    timed = msgspec.structs.replace(seen, prefill_mean_s=0.1, decode_mean_s=0.8)
    known = msgspec.structs.replace(cell, occupancy=timed, time_to_resolve_s=1.0, server_queue_mean_s=0.0)
    assert where_they_part(known) == "6 of 8 users had a request under way"
    assert asked_delivered_running(made(Outcome.OK)) == ""


@pytest.mark.parametrize(("over_loopback", "limit"), [(False, Limit.NETWORK), (True, Limit.NOT_KNOWN)])
@pytest.mark.parametrize("users", [1, 16])
def test_what_is_asked_over_loopback_is_not_held_up_by_a_network(users: int, over_loopback: bool, limit: Limit) -> None:
    plant = PLANTS["network, far away"]
    cell = plant.cell(users)
    assert cell.conditions is not None
    conditions = msgspec.structs.replace(cell.conditions, over_loopback=over_loopback)
    found = verdict_of(msgspec.structs.replace(cell, conditions=conditions), [plant.cell(1)])
    assert found is not None and found.limit is limit


@pytest.mark.parametrize("readings", [0, 2, 3, 9])
def test_gauges_are_evidence_only_with_enough_readings_and_first_tokens_that_come_late(readings: int) -> None:
    """Of a server that tells no times: 8 under way and 6 at it."""
    seen = Occupancy(readings=readings, running_mean=6.0, running_max=8.0, waiting_mean=0.0)
    cell = made(Outcome.OK, occupancy=seen, delivered_concurrency=8.0, time_to_resolve_s=2.6)
    late = msgspec.structs.replace(cell, ttft_mean_s=1.0, server_ttft_mean_s=0.5)
    in_time = msgspec.structs.replace(cell, ttft_mean_s=1.0, server_ttft_mean_s=0.99)
    held_up = "Requests were held up between client and server, where is not known"
    for each, told in ((cell, readings == 9), (late, readings == 9), (in_time, False)):
        found = verdict_of(each)
        assert found is not None and (found.sentence == held_up) is told


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_limit_is_found(name: str) -> None:
    plant = PLANTS[name]
    cell = plant.cell(plant.users)
    others = [plant.cell(1)] if plant.lone else []
    found = verdict_of(cell, others)
    assert found is not None
    assert found.limit is plant.limit, (found, cell.occupancy, cell.conditions, where_they_part(cell))
    assert found.sentence
