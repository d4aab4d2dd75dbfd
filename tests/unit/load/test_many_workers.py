"""A pool of very many workers, which only say what the test says: what it does does not grow with their number."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.fakes.load_worker import IDS, shape
from tui.core.address import address_of
from tui.core.outcome import Outcome
from tui.load import pool as pool_module
from tui.load.pool import LoadPool, LoadProgress, LoadTarget
from tui.load.wire import ChangeUsers, Command, Report, StartedRequest
from tui.metrics.record import RequestRecord

WORKERS = 200
decode = msgspec.msgpack.Decoder(Command).decode


class Played:
    """A worker, and the way to it."""

    pid = None

    def __init__(self) -> None:
        self.heard: list[Command] = []
        self.users: set[int] = set()
        self._seq = 0
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, body: bytes) -> None:
        command = decode(body)
        self.heard.append(command)
        if isinstance(command, ChangeUsers):
            self.users = self.users.union(command.come).difference(command.go)
        if len(self.heard) == 1:
            self.say(tokens=[], events=0)

    def say(self, **told: Any) -> None:
        self._seq += 1
        usual = {
            "seq": self._seq,
            "heard": len(self.heard),
            "at_ns": time.monotonic_ns(),
            "tick": True,
            "users_active": len(self.users),
            "in_flight": len(self.users),
            "tokens": [(0, 2)],
            "events": 2,
            "cpu_share": 0.1,
            "lag_p99_s": None,
            "stamps": "kernel",
            "rss_bytes": 1,
            "started": [],
            "records": [],
            "left": [],
        }
        self._frames.put_nowait(msgspec.msgpack.encode(Report(**{**usual, **told})))

    async def frames(self) -> AsyncIterator[bytes]:
        while (body := await self._frames.get()) is not None:
            yield body

    async def close(self) -> None:
        self._frames.put_nowait(None)

    def why_gone(self) -> str:
        return "was ended"


class PlayedHost:
    name = "many"
    clock = None
    trouble = ""
    cores = WORKERS

    def __init__(self) -> None:
        self.workers: list[Played] = []

    async def open_worker(self, number: int) -> Played:
        self.workers.append(Played())
        return self.workers[-1]


class Bench:
    def __init__(self) -> None:
        self.host = PlayedHost()
        self.progress: list[LoadProgress] = []
        self.news = asyncio.Event()
        self.pool = LoadPool(
            LoadTarget(address_of("http://127.0.0.1:1")),
            on_records=lambda records: None,
            on_progress=self._take,
            on_event=lambda event: None,
            hosts=[self.host],
        )

    def _take(self, progress: LoadProgress) -> None:
        self.progress.append(progress)
        self.news.set()


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(pool_module, "USERS_PER_WORKER", 1)
    held = Bench()
    await held.pool.start()
    await held.pool.configure(shape(), IDS, 1)
    await held.pool.set_users(WORKERS)
    assert len(held.host.workers) == WORKERS
    yield held
    await held.pool.stop()


def request(number: int, user: int, prompt_tokens: int) -> StartedRequest:
    return StartedRequest(number, user, 1, 0, 0, prompt_tokens, 3)


def ended(number: int, user: int, prompt_tokens: int) -> RequestRecord:
    return RequestRecord(
        request_id=number,
        worker=1,
        user=user,
        tag=1,
        intended_start_ns=0,
        start_ns=0,
        first_token_ns=None,
        last_token_ns=None,
        end_ns=1,
        prompt_tokens=prompt_tokens,
        output_tokens_asked=3,
        prompt_tokens_usage=None,
        output_tokens=None,
        events=0,
        event_gaps_us=b"",
        outcome=Outcome.CANCELLED,
    )


async def test_a_hundred_thousand_users_are_spread_evenly_and_at_once(bench: Bench) -> None:
    before_s = time.process_time()
    await bench.pool.set_users(100_000)
    assert time.process_time() - before_s < 2.0
    assert {len(worker.users) for worker in bench.host.workers} == {100_000 // WORKERS}
    assert set().union(*(worker.users for worker in bench.host.workers)) == set(range(100_000))
    await bench.pool.set_users(WORKERS // 2)
    assert sum(len(worker.users) for worker in bench.host.workers) == WORKERS // 2


async def test_progress_of_many_is_told_less_often_than_they_report_and_lacks_nothing(bench: Bench) -> None:
    bench.progress.clear()
    for _ in range(5):
        for worker in bench.host.workers:
            worker.say()
    while sum(progress.events for progress in bench.progress) < 2 * 5 * WORKERS:
        bench.news.clear()
        async with asyncio.timeout(10):
            await bench.news.wait()
    assert sum(progress.events for progress in bench.progress) == 2 * 5 * WORKERS
    assert sum(tokens for progress in bench.progress for _, tokens in progress.tokens) == 2 * 5 * WORKERS
    assert len(bench.progress) < WORKERS
    assert bench.progress[-1].workers == WORKERS


async def test_what_is_under_way_has_settled_when_no_request_of_another_size_is_left(bench: Bench) -> None:
    first, *others = bench.host.workers
    first.say(started=[request(1, 0, 7), request(2, 0, 31)], in_flight=2)
    settling = asyncio.create_task(bench.pool.settled(WORKERS + 1, 31))
    first.say(records=[ended(2, 0, 31)], in_flight=1)
    for worker in others:
        worker.say()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not settling.done()
    first.say(records=[ended(1, 0, 7)], in_flight=0)
    async with asyncio.timeout(10):
        await settling
