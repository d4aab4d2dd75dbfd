"""The pool with real worker processes against a small server."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.fakes.load_worker import IDS, NO_AUTH, shape
from tests.fakes.paced_server import PacedServer, paced_server
from tui.core.address import address_of
from tui.core.errors import UsageError, VrampError
from tui.core.outcome import Outcome
from tui.engines.parts.auth import Auth
from tui.load import pool as pool_module
from tui.load.arrivals import planned_offsets_ns
from tui.load.local_host import LocalHost
from tui.load.pool import LoadPool, LoadProgress, LoadTarget, PromptSource
from tui.load.wire import ChangeUsers, Command, Retag
from tui.load.worker_handle import WorkerHandle
from tui.metrics.histogram import packed
from tui.metrics.reading import Event
from tui.metrics.record import RequestRecord


class Bench:
    """What a bench would take from its pool."""

    def __init__(self, base_url: str, request_timeout_s: float = 60.0, auth: Auth = NO_AUTH, **settings: Any) -> None:
        self.records: list[RequestRecord] = []
        self.progress: list[LoadProgress] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()
        target = LoadTarget(address_of(base_url), auth, request_timeout_s=request_timeout_s)
        self.pool = LoadPool(
            target, on_records=self._take, on_progress=self._take_progress, on_event=self.events.append, **settings
        )

    def _take(self, records: list[RequestRecord]) -> None:
        self.records += records
        self._news.set()

    def _take_progress(self, progress: LoadProgress) -> None:
        self.progress.append(progress)
        self._news.set()

    async def until_records(self, count: int) -> None:
        while len(self.records) < count:
            await self.news()

    async def news(self) -> None:
        self._news.clear()
        await self._news.wait()


@asynccontextmanager
async def bench(server: PacedServer, output_tokens: int = 5, **settings: Any) -> AsyncIterator[Bench]:
    held = Bench(server.base_url, **settings)
    try:
        await held.pool.start()
        await held.pool.configure(shape(output_tokens), IDS, 1)
        yield held
    finally:
        pids = held.pool.pids
        await held.pool.stop()
        assert not any(psutil.pid_exists(pid) for pid in pids)


def most_at_once(records: list[RequestRecord]) -> int:
    edges = sorted([(r.start_ns, 1) for r in records] + [(r.end_ns, -1) for r in records])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_burst_is_all_at_once_and_every_record_is_there(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "USERS_PER_WORKER", 10)
    async with paced_server(gap_s=0.1) as server, bench(server, hosts=[LocalHost(workers)]) as held:
        assert await held.pool.burst(30) == 30
        assert len(held.records) == 30
        assert {record.outcome for record in held.records} == {Outcome.OK}
        assert len({record.intended_start_ns for record in held.records}) == 1
        assert server.in_flight_max == 30
        assert most_at_once(held.records) == 30
        assert server.connections == 30
        assert len({record.worker for record in held.records}) == workers
        assert sorted(record.user for record in held.records) == list(range(30))
        for record in held.records:
            assert record.intended_start_ns <= record.start_ns < (record.first_token_ns or 0)
            assert (record.first_token_ns or 0) < (record.last_token_ns or 0) <= record.end_ns
            assert (record.output_tokens, record.events, len(record.gaps_us())) == (5, 5, 4)
            assert record.gaps_histogram == packed(record.gaps_us())
            assert record.gap_max_us == max(record.gaps_us())
            assert record.connect_ns is not None
        assert await held.pool.burst(2) == 2
        assert sorted(record.request_id for record in held.records) == list(range(1, 33))
        assert held.pool.next_request_id == 33


async def test_no_two_prompts_are_alike_and_all_have_the_asked_size() -> None:
    async with paced_server() as server, bench(server, output_tokens=1) as held:
        await held.pool.configure(shape(1, prompt_tokens=200), IDS, 2)
        await held.pool.burst(20)
        prompts = [tuple(seen.body["prompt"]) for seen in server.requests]
        assert {len(prompt) for prompt in prompts} == {200}
        assert len({prompt[:16] for prompt in prompts}) == 20
        assert all(200 <= token < 1000 for prompt in prompts for token in prompt)
        assert {(record.tag, record.prompt_tokens_usage) for record in held.records} == {(2, 200)}


async def test_nobody_can_be_sent_home_before_anybody_has_asked() -> None:
    async with paced_server() as server, bench(server, output_tokens=1) as held:
        held.pool._configured = None
        await held.pool.set_users(0)
        with pytest.raises(VrampError, match="not told what to ask"):
            await held.pool.set_users(1)


async def test_users_come_at_once_and_never_more_than_asked() -> None:
    async with paced_server(gap_s=0.01) as server, bench(server) as held:
        await held.pool.set_users(8)
        await held.until_records(60)
        assert server.in_flight_max == 8
        await held.pool.set_users(20)
        await held.until_records(200)
        assert server.in_flight_max == 20
        await held.pool.set_users(3)
        count = len(held.records)
        await held.until_records(count + 60)
        last = sorted(held.records, key=lambda record: record.start_ns)[-20:]
        assert {record.user for record in last} == {0, 1, 2}
        await held.pool.set_users(0)
        await held.pool.drain()
        assert server.in_flight == 0
        assert {record.outcome for record in held.records} == {Outcome.OK}
        assert most_at_once(held.records) <= 20
        # The clock of the next request starts when the user was free.
        mine = sorted((r for r in held.records if r.user == 0), key=lambda r: r.start_ns)
        assert all(b.intended_start_ns == a.end_ns for a, b in itertools.pairwise(mine))
        tokens = sum(count for progress in held.progress for _, count in progress.tokens)
        assert tokens <= sum(record.output_tokens or 0 for record in held.records)


async def test_one_user_more_touches_nothing_but_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async with paced_server(gap_s=0.01) as server, bench(server, output_tokens=100) as held:
        await held.pool.set_users(40)
        await server.until(40)
        said: list[Command] = []
        send = WorkerHandle.send

        def say(handle: WorkerHandle, command: Command) -> None:
            said.append(command)
            send(handle, command)

        monkeypatch.setattr(WorkerHandle, "send", say)
        monkeypatch.setattr(pool_module, "PromptMaker", None)  # to make one would fail
        await held.pool.configure(shape(100), PromptSource(IDS.kind, bytes(bytearray(IDS.token_ids))), 2)
        await held.pool.set_users(41)
        await server.until(41)
        assert said == [Retag(2), ChangeUsers([40], [])]
        await held.until_records(60)
        assert {record.outcome for record in held.records} == {Outcome.OK}
        # What was under way went on as what it had begun as; what began afterwards bears the new tag.
        by_start = sorted(held.records, key=lambda record: record.start_ns)
        assert [record.tag for record in by_start[:40]] == [1] * 40
        assert {record.tag for record in by_start[40:]} == {2}
        await held.pool.cut()


async def test_users_that_leave_and_come_back_are_not_doubled() -> None:
    async with paced_server(gap_s=0.02) as server, bench(server) as held:
        for users in (10, 2, 10, 0, 10, 5, 10):
            await held.pool.set_users(users)
            await held.until_records(len(held.records) + 3)
        await held.until_records(len(held.records) + 50)
        assert server.in_flight_max == 10
        assert most_at_once(held.records) <= 10


async def test_leaving_users_can_be_cut() -> None:
    async with paced_server(gap_s=30) as server, bench(server) as held:
        await held.pool.set_users(6)
        await server.until(6)
        await held.pool.set_users(2, cut=True)
        await held.until_records(4)
        assert Counter(record.outcome for record in held.records) == {Outcome.CANCELLED: 4}
        assert {record.user for record in held.records} == {2, 3, 4, 5}
        await held.pool.cut()
        assert Counter(record.outcome for record in held.records) == {Outcome.CANCELLED: 6}


async def test_a_burst_can_be_cut() -> None:
    async with paced_server(gap_s=30) as server, bench(server) as held:
        burst = asyncio.create_task(held.pool.burst(7))
        await server.until(7)
        with pytest.raises(VrampError, match="under way already"):
            await held.pool.burst(1)
        await held.pool.cut()
        assert await burst == 7
        assert Counter(record.outcome for record in held.records) == {Outcome.CANCELLED: 7}


async def test_peek_tells_what_has_come_of_requests_under_way() -> None:
    async with paced_server(gap_s=0.02, continuous_usage=True, pack=2) as server, bench(server, 100_000) as held:
        await held.pool.set_users(3)
        await server.until(3)
        while sum(progress.events for progress in held.progress) < 9:
            await held.news()
        peeked = await held.pool.peek()
        assert {record.outcome for record in peeked} == {Outcome.RUNNING}
        assert len(peeked) == 3
        assert all(record.output_tokens == 2 * record.events > 0 for record in peeked)
        await held.pool.cut()
        assert await held.pool.peek() == []


async def test_what_progress_tells() -> None:
    async with paced_server(gap_s=0.005) as server, bench(server, 40) as held:
        await held.pool.set_users(4)
        await held.until_records(8)
        await held.pool.set_users(0)
        await held.pool.drain()
        await held.news()
        latest = held.progress[-1]
        assert (latest.in_flight, latest.workers, latest.users_active) == (0, 1, 0)
        assert max(progress.in_flight for progress in held.progress) == 4
        tokens = sum(count for progress in held.progress for _, count in progress.tokens)
        assert tokens == sum(record.output_tokens or 0 for record in held.records)
        assert sum(progress.events for progress in held.progress) == sum(record.events for record in held.records)
        assert latest.rss_bytes > 5_000_000
        buckets = [start for progress in held.progress for start, _ in progress.tokens]
        assert all(start % 100_000_000 == 0 for start in buckets)


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux stamps what it receives")
async def test_times_are_the_kernels_even_when_the_worker_sleeps() -> None:
    async with paced_server(gap_s=0.3) as server, bench(server, 2) as held:
        burst = asyncio.create_task(held.pool.burst(1))
        await server.until(1)
        (pid,) = held.pool.pids
        os.kill(pid, signal.SIGSTOP)
        # The answer is complete before the worker wakes up again.
        while server.in_flight or not server.requests[0].complete:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        ended_ns = server.requests[0].ended_ns or 0
        os.kill(pid, signal.SIGCONT)
        await burst
        assert held.records[0].outcome is Outcome.OK
        # All came in one read, stamped when its last segment came: long before the worker saw it.
        assert abs((held.records[0].last_token_ns or 0) - ended_ns) < 500_000_000


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
async def test_an_open_loop_starts_as_planned_whatever_becomes_of_the_others(arrivals: str) -> None:
    async with paced_server(gap_s=0.1) as server, bench(server, 10) as held:
        assert await held.pool.open_loop(50.0, arrivals, 7, 1.0) == 0
        assert {record.outcome for record in held.records} == {Outcome.OK}
        planned = sorted(record.intended_start_ns for record in held.records)
        offsets = planned_offsets_ns(50.0, arrivals, 7, 1.0)
        assert [at - planned[0] for at in planned] == [offset - offsets[0] for offset in offsets]
        assert all(record.start_ns >= record.intended_start_ns for record in held.records)
        assert server.in_flight_max > 20


async def test_file_descriptors_exhausted_is_our_own_limit() -> None:
    async with paced_server() as server, bench(server) as held:
        (pid,) = held.pool.pids
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (20, 20))
        assert await held.pool.burst(50) == 50
        ended = Counter(record.outcome for record in held.records)
        assert set(ended) == {Outcome.OK, Outcome.CLIENT_LIMIT}
        assert any("open files" in record.error for record in held.records)


async def test_a_killed_worker_loses_only_what_it_had_under_way() -> None:
    # Not in step with the reports, which might come between an answer and the next request each time.
    async with paced_server(gap_s=0.07) as server, bench(server) as held:
        await held.pool.set_users(6)
        await held.until_records(12)
        (pid,) = held.pool.pids
        os.kill(pid, signal.SIGKILL)
        while not held.events:
            await held.news()
        assert "ended by signal 9" in held.events[0].text
        assert held.events[0].level == "error"
        lost = [record for record in held.records if record.outcome is Outcome.CLIENT_LIMIT]
        assert 0 < len(lost) <= 6
        assert all("lost" in record.error for record in lost)
        count = len(held.records)
        await held.until_records(count + 20)
        assert {record.worker for record in held.records[count:]} == {2}
        assert {record.user for record in held.records[count:]} == set(range(6))
        assert len({record.request_id for record in held.records}) == len(held.records)
        assert pid not in held.pool.pids


async def test_a_worker_killed_in_a_burst_ends_it() -> None:
    async with paced_server(gap_s=30) as server, bench(server) as held:
        burst = asyncio.create_task(held.pool.burst(5))
        await server.until(5)
        # It tells what it sent as soon as it was sent.
        while not any(progress.in_flight == 5 for progress in held.progress):
            await held.news()
        os.kill(held.pool.pids[0], signal.SIGKILL)
        assert await burst == 5
        assert Counter(record.outcome for record in held.records) == {Outcome.CLIENT_LIMIT: 5}


async def test_a_busy_worker_is_relieved_without_more_users_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "BUSY_CPU_SHARE", -1.0)
    async with paced_server(gap_s=0.01) as server, bench(server, hosts=[LocalHost(2)]) as held:
        await held.pool.set_users(8)
        while len({record.worker for record in held.records}) < 2:
            await held.news()
        await held.until_records(len(held.records) + 80)
        assert server.in_flight_max == 8
        workers = Counter((record.worker, record.user) for record in held.records[-60:])
        assert len({user for _, user in workers}) == 8
        assert len({worker for worker, _ in workers}) == 2
        assert {record.outcome for record in held.records} == {Outcome.OK}


async def test_all_users_that_are_to_move_do_though_each_leaves_at_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with paced_server(gap_s=0.2) as server, bench(server, hosts=[LocalHost(2)]) as held:
        for users in range(1, 7):
            await held.pool.set_users(users)
            await server.until(users)
            await asyncio.sleep(0.15)  # so that no two leave with one report
        monkeypatch.setattr(pool_module, "BUSY_CPU_SHARE", -1.0)
        while not held.events:
            await held.news()
        monkeypatch.setattr(pool_module, "BUSY_CPU_SHARE", 2.0)
        while len(held.pool._handles) < 2 or held.pool._users._moving or not held.pool._handles[1].listed:
            await held.news()
        assert [len(handle.listed) for handle in held.pool._handles] == [3, 3]
        count = len(held.records)
        await held.until_records(count + 12)
        where = {record.user: record.worker for record in held.records}
        assert sorted(Counter(where.values()).values()) == [3, 3]
        assert server.in_flight_max == 6


async def test_a_pool_that_is_gone_leaves_no_worker() -> None:
    """Workers end when their socket does, as it does when the bench is killed."""
    code = (
        "import asyncio, os, sys\n"
        "from tui.core.address import address_of\n"
        "from tui.load.pool import LoadPool, LoadTarget\n"
        "async def main():\n"
        "    nothing = lambda what: None\n"
        "    target = LoadTarget(address_of('http://[::1]:1'))\n"
        "    pool = LoadPool(target, on_records=nothing, on_progress=nothing, on_event=nothing)\n"
        "    await pool.start()\n"
        "    print(pool.pids[0], flush=True)\n"
        "    await asyncio.sleep(100)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    worker = psutil.Process(int(await process.stdout.readline()))
    process.kill()
    await process.wait()
    while psutil.pid_exists(worker.pid) and worker.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.05)


async def test_what_cannot_be_asked_is_a_usage_error() -> None:
    async with paced_server() as server, bench(server) as held:
        with pytest.raises(UsageError, match="nothing to make prompts of"):
            await held.pool.configure(shape(), PromptSource("token-ids"), 1)
        with pytest.raises(UsageError, match="above 0"):
            await held.pool.open_loop(0.0, "constant", 0, 1.0)
        assert await held.pool.burst(0) == 0
