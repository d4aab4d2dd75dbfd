"""The pool with workers on several hosts, each an agent of its own on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.fakes.agents import HostHere
from tests.fakes.load_worker import IDS, shape
from tests.fakes.paced_server import PacedServer, paced_server
from tests.unit.load.test_pool import Bench
from tui.core.clock import NS_PER_MS, NS_PER_S, now_ns
from tui.core.outcome import Outcome
from tui.engines.parts.auth import Auth, SecretHeader
from tui.hosts import remote_host
from tui.load import crew
from tui.load import pool as pool_module
from tui.load.arrivals import planned_offsets_ns
from tui.profile.load_hosts import OnHostLoss


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_RETRY_S", 0.1)


def tree_of(hosts: Sequence[HostHere]) -> list[psutil.Process]:
    agents = [psutil.Process(host.agent_pid) for host in hosts if psutil.pid_exists(host.agent_pid)]
    return [process for agent in agents for process in (agent, *agent.children(recursive=True))]


@asynccontextmanager
async def bench(
    server: PacedServer, hosts: Sequence[HostHere], output_tokens: int = 5, **settings: Any
) -> AsyncIterator[Bench]:
    held = Bench(server.base_url, hosts=hosts, **settings)
    try:
        await held.pool.start()
        await held.pool.configure(shape(output_tokens), IDS, 1)
        yield held
    finally:
        left = tree_of(hosts)
        await held.pool.stop()
        await asyncio.gather(*(host.close() for host in hosts))
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=10)
        assert alive == []


async def until(held: Bench, text: str) -> str:
    while not (found := [event.text for event in held.events if text in event.text]):
        await held.news()
    return found[0]


async def test_a_burst_starts_at_one_moment_on_all_hosts() -> None:
    hosts = [HostHere("a"), HostHere("b"), HostHere("c")]
    async with paced_server(gap_s=0.05) as server, bench(server, hosts) as held:
        await held.pool.burst(30)  # all that is done once is done
        asked_ns = now_ns()
        assert await held.pool.burst(30) == 30
        records = held.records[30:]
        assert {record.outcome for record in records} == {Outcome.OK}
        assert Counter(record.worker for record in records) == {1: 10, 2: 10, 3: 10}
        # Planned ahead, and by each host's clock: what is left is the error of the clocks.
        planned = [record.intended_start_ns for record in records]
        assert min(planned) >= asked_ns + pool_module.LEAD_NS
        error_s = max(host.clock_error_s or 0 for host in held.progress[-1].hosts)
        assert 0 < error_s < 0.05
        assert max(planned) - min(planned) <= 2 * error_s * NS_PER_S
        by_worker = {worker: [r.start_ns for r in records if r.worker == worker] for worker in (1, 2, 3)}
        firsts = [min(starts) for starts in by_worker.values()]
        assert max(firsts) - min(firsts) < 30 * NS_PER_MS


async def test_users_ask_from_all_hosts_and_figures_say_so() -> None:
    hosts = [HostHere("a"), HostHere("b")]
    async with paced_server(gap_s=0.01) as server, bench(server, hosts) as held:
        await held.pool.set_users(8)
        await held.until_records(100)
        assert server.in_flight_max == 8
        told = held.progress[-1].hosts
        assert [(host.name, host.workers, host.users_active, host.lost) for host in told] == [
            ("a", 1, 4, ""),
            ("b", 1, 4, ""),
        ]
        assert all(host.round_trip_s and host.clock_error_s for host in told)
        await held.pool.set_users(0)
        await held.pool.drain()
        await held.news()
        tokens = sum(count for progress in held.progress for _, count in progress.tokens)
        assert tokens == sum(record.output_tokens or 0 for record in held.records)
        assert len({record.request_id for record in held.records}) == len(held.records)


@pytest.mark.parametrize("way", [OnHostLoss.MOVE, OnHostLoss.DROP])
@pytest.mark.parametrize("death", ["killed", "hangs"])
async def test_a_host_that_is_lost(way: OnHostLoss, death: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if death == "hangs":
        monkeypatch.setattr(remote_host, "PING_S", 0.3)
    hosts = [HostHere("a"), HostHere("b")]
    async with paced_server(gap_s=0.03) as server, bench(server, hosts, on_host_loss=way) as held:
        await held.pool.set_users(6)
        await held.until_records(20)
        gone = tree_of(hosts[1:])
        hosts[1].is_down = True
        if death == "killed":
            os.kill(hosts[1].agent_pid, signal.SIGKILL)
        else:
            for process in gone:
                process.suspend()
        said = await until(held, "b is lost")
        assert ("said nothing for" in said) == (death == "hangs")
        assert said.endswith("3 users go on elsewhere" if way is OnHostLoss.MOVE else "3 users ask no more")
        lost = [record for record in held.records if record.outcome is Outcome.CLIENT_LIMIT]
        assert len(lost) <= 3 and all("lost: load worker" in record.error for record in lost)
        # The run goes on.
        count = len(held.records)
        await held.until_records(count + 30)
        users = {record.user for record in held.records[count:]}
        assert len(users) == (6 if way is OnHostLoss.MOVE else 3)
        (b,) = [host for host in held.progress[-1].hosts if host.name == "b"]
        assert (b.workers, b.users_active) == (0, 0) and b.lost
        # It comes back, and users with it.
        for process in gone:
            if process.is_running():
                process.kill()
        hosts[1].is_down = False
        await until(held, "b is back")
        while held.progress[-1].hosts[1].users_active != 3 or held.progress[-1].hosts[0].users_active != 3:
            await held.news()
        count = len(held.records)
        await held.until_records(count + 30)
        assert {record.user for record in held.records[count:]} == set(range(6))
        assert server.in_flight_max <= 6 + len(lost)
        await held.pool.set_users(0)
        await held.pool.drain()
        # None counted twice, and none was lost but what the host's three users did in the last fifth of a second.
        assert len({(record.worker, record.user, record.start_ns) for record in held.records}) == len(held.records)
        ok = sum(record.ok for record in held.records)
        complete = sum(seen.complete for seen in server.requests)
        assert ok <= complete <= ok + 3 * 3


async def test_a_burst_goes_on_without_the_host_that_is_lost() -> None:
    hosts = [HostHere("a"), HostHere("b")]
    async with paced_server(gap_s=0.2) as server, bench(server, hosts) as held:
        burst = asyncio.create_task(held.pool.burst(10))
        await server.until(10)
        while sum(progress.in_flight for progress in held.progress[-1:]) < 10:
            await held.news()
        hosts[1].is_down = True
        os.kill(hosts[1].agent_pid, signal.SIGKILL)
        assert await burst == 10
        ended = Counter(record.outcome for record in held.records)
        assert ended == {Outcome.OK: 5, Outcome.CLIENT_LIMIT: 5}


async def test_when_all_hosts_are_lost_the_next_wish_waits_for_one() -> None:
    hosts = [HostHere("a")]
    async with paced_server(gap_s=0.01) as server, bench(server, hosts) as held:
        await held.pool.set_users(2)
        await held.until_records(5)
        hosts[0].is_down = True
        os.kill(hosts[0].agent_pid, signal.SIGKILL)
        await until(held, "a is lost")
        wish = asyncio.create_task(held.pool.set_users(3))
        await asyncio.wait({wish}, timeout=0.3)
        assert not wish.done()
        hosts[0].is_down = False
        await wish
        count = len(held.records)
        await held.until_records(count + 20)
        assert {record.user for record in held.records[-15:]} == {0, 1, 2}


async def test_a_worker_that_dies_is_replaced_on_its_host() -> None:
    hosts = [HostHere("a"), HostHere("b")]
    async with paced_server(gap_s=0.02) as server, bench(server, hosts) as held:
        await held.pool.set_users(4)
        await held.until_records(8)
        (worker,) = [each for each in tree_of(hosts[1:]) if each.pid != hosts[1].agent_pid]
        worker.kill()
        await until(held, "load worker 2 on b was ended by signal 9")
        count = len(held.records)
        await held.until_records(count + 20)
        assert {record.worker for record in held.records[-10:]} == {1, 3}
        assert not any("lost:" in event.text for event in held.events)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_key_goes_to_workers_as_a_word_and_stands_in_no_environment(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-of-nobody-else")
    hosts = [HostHere("a")] if where == "elsewhere" else []
    auth = Auth([SecretHeader("Authorization", "MY_API_KEY", "Bearer ")])
    async with paced_server() as server, bench(server, hosts, auth=auth) as held:
        assert await held.pool.burst(3) == 3
        assert [seen.headers["authorization"] for seen in server.requests] == ["Bearer sk-of-nobody-else"] * 3
        started = [each for each in psutil.Process().children(recursive=True) if "-m" in each.cmdline()]
        assert len(started) == (2 if hosts else 1)
        assert not any("sk-of-nobody-else" in f"{each.environ()} {each.cmdline()}" for each in started)


async def test_planned_requests_start_as_planned_from_all_hosts() -> None:
    hosts = [HostHere("a"), HostHere("b")]
    async with paced_server(gap_s=0.05) as server, bench(server, hosts) as held:
        assert await held.pool.open_loop(40.0, "poisson", 7, 1.0) == 0
        assert {record.outcome for record in held.records} == {Outcome.OK}
        planned = sorted(record.intended_start_ns for record in held.records)
        offsets = planned_offsets_ns(40.0, "poisson", 7, 1.0)
        assert len({record.worker for record in held.records}) == 2
        # Each host starts by its own clock: on ours, that is as exact as these are known.
        error_ns = max(host.clock_error_s or 0 for host in held.progress[-1].hosts) * NS_PER_S
        out_ns = [at - planned[0] - (offset - offsets[0]) for at, offset in zip(planned, offsets, strict=True)]
        assert max(out_ns) - min(out_ns) <= 4 * error_ns + NS_PER_MS
