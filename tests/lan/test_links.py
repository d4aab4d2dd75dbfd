"""What a pool makes of links that are long, uneven and cut, to real agents by real ssh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.fakes.lan import BENCH_ADDRESS, SERVER_ADDRESS, LanHost
from tests.fakes.load_worker import IDS, shape
from tests.fakes.paced_server import PacedServer, paced_server
from tests.unit.load.test_pool import Bench
from tui.core.clock import NS_PER_MS, NS_PER_S, now_ns
from tui.hosts.remote_host import RemoteHost
from tui.hosts.ssh import ssh_host
from tui.load import crew
from tui.profile.load_hosts import OnHostLoss, SshPlace, places_of


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LONGEST_RETRY_S", 2.0)


def reached(host: LanHost) -> RemoteHost:
    (place,) = places_of(host.url())
    assert isinstance(place, SshPlace)
    return ssh_host(place)


@asynccontextmanager
async def asking(hosts: Sequence[LanHost], server: PacedServer, **settings: Any) -> AsyncIterator[Bench]:
    ways = [reached(host) for host in hosts]
    held = Bench(server.base_url, hosts=ways, **settings)
    try:
        await held.pool.start()
        await held.pool.configure(shape(5), IDS, 1)
        yield held
    finally:
        left = [process for host in hosts for process in host.running("tui.hosts.agent")]
        left += [process for host in hosts for process in host.running("tui.load.worker")]
        await held.pool.stop()
        await asyncio.gather(*(way.close() for way in ways))
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=20)
        assert alive == []


async def until(held: Bench, text: str) -> str:
    async with asyncio.timeout(60):
        while not (found := [event.text for event in held.events if text in event.text]):
            await held.news()
    return found[-1]


@pytest.mark.parametrize(("up_ms", "down_ms"), [(0.0, 0.0), (40.0, 2.0), (2.0, 40.0)])
async def test_a_clocks_bound_holds_however_uneven_the_ways_are(
    hosts: list[LanHost], up_ms: float, down_ms: float
) -> None:
    """Where the way back is 38 ms longer than the way there, the offset that is found is out by 19 ms."""
    host = hosts[2]
    with host.delayed(up_ms, down_ms):
        way = reached(host)
        await way.connect()
        errors_ns, out_by_ns = [], []
        until_s = time.monotonic() + 5.0
        while time.monotonic() < until_s:
            at_ns = now_ns()
            errors_ns.append(way.clock.error_ns(at_ns))
            out_by_ns.append(way.clock.offset_ns(at_ns) - host.clock_ahead_s * NS_PER_S)
            await asyncio.sleep(0.1)
        await way.close()
    assert all(abs(out_by) <= error for out_by, error in zip(out_by_ns, errors_ns, strict=True))
    assert abs(out_by_ns[-1] - (down_ms - up_ms) / 2 * NS_PER_MS) < 15 * NS_PER_MS
    assert min(errors_ns) >= (up_ms + down_ms) / 2 * NS_PER_MS
    assert way.clock.jumps == 0


async def test_a_burst_starts_on_all_hosts_in_one_moment_over_a_slow_link_too(hosts: list[LanHost]) -> None:
    with hosts[2].delayed(30.0, 5.0):
        async with paced_server(gap_s=0.02, host=BENCH_ADDRESS) as server, asking(hosts, server) as held:
            await held.pool.burst(9)
            asked_ns = now_ns()
            assert await held.pool.burst(9) == 9
            records = held.records[9:]
            assert all(record.ok for record in records)
            error_s = max(host.clock_error_s or 0 for host in held.progress[-1].hosts)
            assert error_s > 0.015
            planned = [record.intended_start_ns for record in records]
            assert asked_ns < min(planned) and max(planned) - min(planned) <= 2 * error_s * NS_PER_S
            # By the clock of this machine, on which the server wrote down when each of them came.
            came = sorted(seen.at_ns for seen in server.requests[9:])
            for start_ns, at_ns in zip(sorted(record.start_ns for record in records), came, strict=True):
                assert start_ns - error_s * NS_PER_S < at_ns


@pytest.mark.long
@pytest.mark.parametrize("how", ["unplugged", "swallowed"])
@pytest.mark.parametrize("way", [OnHostLoss.MOVE, OnHostLoss.DROP])
async def test_a_link_that_is_cut_and_mended(hosts: list[LanHost], how: str, way: OnHostLoss) -> None:
    host = hosts[1]
    async with (
        paced_server(gap_s=0.03, host=BENCH_ADDRESS) as server,
        asking(hosts, server, on_host_loss=way) as held,
    ):
        await held.pool.set_users(9)
        await held.until_records(30)
        (agent,) = host.running("tui.hosts.agent")
        with host.unplugged() if how == "unplugged" else host.swallowed():
            said = await until(held, "is lost")
            assert f"{host.address}:22 is lost: it said nothing for 5 s" in said
            assert said.endswith("3 users go on elsewhere" if way is OnHostLoss.MOVE else "3 users ask no more")
            count = len(held.records)
            await held.until_records(count + 40)
            assert len({record.user for record in held.records[count:]}) == (9 if way is OnHostLoss.MOVE else 6)
            await asyncio.to_thread(agent.wait, 10)
        await until(held, "is back")
        async with asyncio.timeout(60):
            while [each.users_active for each in held.progress[-1].hosts] != [3, 3, 3]:
                await held.news()
        assert len({record.request_id for record in held.records}) == len(held.records)
        await held.pool.cut()


BOTH_WAYS = ("INPUT", "OUTPUT")


@pytest.mark.parametrize("chains", [BOTH_WAYS, *(pytest.param((way,), marks=pytest.mark.long) for way in BOTH_WAYS)])
async def test_a_host_that_reaches_the_server_and_not_the_bench_asks_no_longer_than_it_counts(
    hosts: list[LanHost], chains: tuple[str, ...]
) -> None:
    """Else what is measured next has the load of users that nobody knows of."""
    host = hosts[1]
    async with (
        paced_server(gap_s=0.03, host=SERVER_ADDRESS) as server,
        asking(hosts, server, on_host_loss=OnHostLoss.DROP) as held,
    ):
        await held.pool.set_users(9)
        await held.until_records(30)
        with host.blocking(BENCH_ADDRESS, *chains):
            await until(held, "is lost")
            server.in_flight_max = 0
            count = len(held.records)
            await held.until_records(count + 200)
            assert server.in_flight_max <= 6
        await until(held, "is back")
        await held.pool.cut()


async def test_a_host_that_does_not_answer_holds_up_no_other(hosts: list[LanHost]) -> None:
    async with paced_server(gap_s=0.03, host=BENCH_ADDRESS) as server, asking(hosts[:2], server) as held:
        await held.pool.set_users(4)
        await held.until_records(10)
        with hosts[1].swallowed():
            await until(held, "is lost")
            while held.pool._crew.hosts[1].trouble:  # until it is tried again, for ten seconds
                await held.news()
            (worker,) = hosts[0].running("tui.load.worker")
            count = len(held.records)
            worker.kill()
            async with asyncio.timeout(6):
                await held.until_records(count + 20)
        await until(held, "is back")
        await held.pool.cut()
