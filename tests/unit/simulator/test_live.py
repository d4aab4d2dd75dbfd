"""The engine in real time, without HTTP. Only the order of things is tested, never how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.requests import GenerationRequest, Refused

TIMEOUT_S = 20.0
_T = TypeVar("_T")


def request(tokens: int = 10, prompt: int = 5) -> GenerationRequest:
    return GenerationRequest(
        chat=False,
        prompt=list(range(300, 300 + prompt)),
        output_limit=tokens,
        finish_reason="length",
        stream=True,
        include_usage=True,
        continuous_usage=False,
        return_token_ids=False,
    )


@asynccontextmanager
async def live(**changes: Any) -> AsyncIterator[tuple[LiveEngine, list[FailOnPurpose]]]:
    table = SimulatorTable(**{"step_base_s": 0.01, "max_model_len": 4096, **changes})
    deaths: list[FailOnPurpose] = []
    engine = LiveEngine(table, Gauges("m", table), 10.0, deaths.append)
    running = asyncio.create_task(engine.run())
    try:
        yield engine, deaths
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def within(waiting: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(waiting, TIMEOUT_S)


async def test_a_reader_gets_tokens_as_they_come_and_none_twice() -> None:
    async with live() as (engine, _):
        job = engine.submit(request())
        parts = []
        while not job.sequence.finished or job.taken < 10:
            await within(job.more(1))
            parts.append(job.take())
    assert len(parts) > 1
    assert len([token for part in parts for token in part]) == 10


async def test_a_reader_that_comes_late_gets_all_that_is_there_at_once() -> None:
    async with live() as (engine, _):
        job = engine.submit(request())
        await within(job.more(10))
        assert len(job.take()) == 10
        assert not engine.model.has_work


async def test_packed_readers_wait_for_their_number_or_the_end() -> None:
    async with live() as (engine, _):
        job = engine.submit(request(tokens=10))
        parts = []
        while job.taken < 10:
            await within(job.more(4))
            parts.append(len(job.take()))
    assert sum(parts) == 10
    assert all(tokens >= 4 for tokens in parts[:-1])


async def test_a_dropped_request_leaves_the_engine() -> None:
    async with live() as (engine, _):
        job = engine.submit(request(tokens=4000))
        await within(job.more(3))
        engine.drop(job)
        engine.drop(job)
        assert not engine.model.has_work
        other = engine.submit(request())
        await within(other.more(10))


async def test_one_dropped_before_its_overhead_passed_never_runs() -> None:
    async with live(request_overhead_s=0.01) as (engine, _):
        gone, stays = engine.submit(request()), engine.submit(request())
        engine.drop(gone)
        await within(stays.more(10))
        assert gone.sequence.generated == 0


async def test_death_wakes_every_reader_and_is_told_once() -> None:
    async with live(memory_limit_tokens=60) as (engine, deaths):
        jobs = [engine.submit(request(tokens=4000)) for _ in range(3)]
        for job in jobs:
            await within(job.more(4000))
        assert [job.died_of for job in jobs] == [FailOnPurpose.OOM_RUNTIME] * 3
        assert (engine.dead, deaths) == (True, [FailOnPurpose.OOM_RUNTIME])


async def test_a_full_queue_refuses() -> None:
    async with live(max_num_queued_reqs=2, max_num_seqs=1) as (engine, _):
        engine.submit(request())
        engine.submit(request())
        with pytest.raises(Refused) as refused:
            engine.submit(request())
        assert refused.value.status == 503


async def test_frozen_it_computes_no_more() -> None:
    async with live() as (engine, _):
        job = engine.submit(request(tokens=4000))
        await within(job.more(2))
        engine.freeze()
        before = job.sequence.generated
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.more(4000), 0.1)
        assert job.sequence.generated == before
