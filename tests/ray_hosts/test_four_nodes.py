"""Users ask from the four nodes of a real Ray cluster, each in a network of its own: a node dies, a link is cut."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest

from tests.fakes.lan import BENCH_ADDRESS, DAY_S, LanHost, missing
from tests.fakes.load_worker import IDS, shape
from tests.fakes.paced_server import PacedServer, paced_server
from tests.ray_hosts.lan_cluster import LanCluster, lan_cluster
from tests.ray_hosts.test_ray_hosts import OURS, until
from tests.ray_serve.conftest import PYTHON
from tests.unit.load.test_pool import Bench
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.hosts.cluster import Cluster
from tui.load import crew
from tui.profile.load_hosts import RayPlace

NODES = 4
USERS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[LanCluster]:
    """Have four nodes, of which two have clocks that are days ahead."""
    if why := missing():
        pytest.skip(why)
    with lan_cluster(NODES, [0, 3 * DAY_S, 0, 9 * DAY_S]) as (made, env), pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LONGEST_RETRY_S", 2.0)


def ours_on(*hosts: LanHost) -> list[psutil.Process]:
    """Return the agents and workers that run on some hosts."""
    return [each for host in hosts for module in OURS for each in host.running(module)]


@asynccontextmanager
async def asking(
    cluster: LanCluster, server: PacedServer, way: str = "auto"
) -> AsyncIterator[tuple[Bench, dict[str, LanHost]]]:
    """Have users on all nodes, and the hosts by the names that the bench gives them."""
    if way == "auto":
        to = Cluster(RayPlace("auto"), python=str(cluster.python_on_head))
    else:
        to = Cluster(RayPlace(cluster.client_address), python=str(PYTHON))
    held = None
    try:
        await to.open()
        await asyncio.gather(*(host.connect() for host in to.hosts))
        held = Bench(server.base_url, hosts=to.hosts)
        await held.pool.start()
        await held.pool.configure(shape(5), IDS, 1)
        yield held, {host.address: host for host in cluster.hosts}
    finally:
        left = ours_on(*cluster.hosts)
        if held is not None:
            await held.pool.stop()
        await asyncio.gather(*(host.close() for host in to.hosts))
        await to.close()
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=20)
        assert alive == []


async def until_even(held: Bench) -> None:
    async with asyncio.timeout(120):
        while [host.users_active for host in held.progress[-1].hosts] != [USERS // NODES] * NODES:
            await held.news()


@pytest.mark.parametrize("way", ["auto", "client"])
async def test_users_ask_from_four_nodes(cluster: LanCluster, way: str) -> None:
    async with paced_server(gap_s=0.02, host=BENCH_ADDRESS) as server, asking(cluster, server, way) as (held, names):
        assert await held.pool.burst(40) == 40
        assert {record.outcome for record in held.records} == {Outcome.OK}
        assert sorted(Counter(record.worker for record in held.records).values()) == [10] * NODES
        while not held.progress:
            await held.news()
        assert sorted(host.name for host in held.progress[-1].hosts) == sorted(names)
        for host in held.pool._crew.hosts:
            # What its clock shows is known as well as it is told, whatever day it is there.
            assert host.clock is not None
            at_ns = held.progress[-1].at_ns
            out_by_ns = host.clock.offset_ns(at_ns) - names[host.name].clock_ahead_s * NS_PER_S
            assert abs(out_by_ns) <= host.clock.error_ns(at_ns)
        await held.pool.set_users(USERS)
        await until_even(held)
        assert all(len(host.running("tui.hosts.agent")) == 1 for host in cluster.hosts)
        await held.pool.cut()


async def test_a_node_whose_power_fails_and_that_is_started_again(cluster: LanCluster) -> None:
    async with paced_server(gap_s=0.03, host=BENCH_ADDRESS) as server, asking(cluster, server) as (held, _):
        await held.pool.set_users(USERS)
        await held.until_records(30)
        dead = cluster.hosts[3]
        await asyncio.to_thread(cluster.kill, dead)
        said = await until(held, "is lost")
        assert said.startswith(f"{dead.address} is lost") and said.endswith("2 users go on elsewhere")
        count = len(held.records)
        await held.until_records(count + 30)
        assert {record.user for record in held.records[count:]} == set(range(USERS))
        await asyncio.to_thread(cluster.start, dead)
        await until(held, "is back")
        await until_even(held)
        assert len(dead.running("tui.hosts.agent")) == 1
        await held.pool.cut()


async def test_a_link_that_is_cut_for_a_while(cluster: LanCluster) -> None:
    """Shorter than Ray takes to give a node up: that is the bench's affair alone."""
    async with paced_server(gap_s=0.03, host=BENCH_ADDRESS) as server, asking(cluster, server) as (held, _):
        await held.pool.set_users(USERS)
        await held.until_records(30)
        cut = cluster.hosts[1]
        there = ours_on(cut)
        assert len(there) >= 2
        with cut.swallowed():
            said = await until(held, "is lost")
            assert said.startswith(f"{cut.address} is lost: it said nothing for 5 s")
            _, left = await asyncio.to_thread(psutil.wait_procs, there, timeout=5)
            assert left == []
        await until(held, "is back")
        await until_even(held)
        assert len({record.request_id for record in held.records}) == len(held.records)
        await held.pool.cut()


@pytest.mark.parametrize("way", ["auto", "client"])
async def test_a_link_that_is_cut_until_ray_gives_the_node_up(cluster: LanCluster, way: str) -> None:
    """Ray ends a node that it has given up as soon as it hears of it: whoever has it starts it again."""
    async with paced_server(gap_s=0.03, host=BENCH_ADDRESS) as server, asking(cluster, server, way) as (held, _):
        await held.pool.set_users(USERS)
        await held.until_records(30)
        cut = cluster.hosts[2]
        with cut.swallowed():
            said = await until(held, "is lost")
            assert said.startswith(f"{cut.address} is lost: it said nothing for 5 s")
            await asyncio.to_thread(cluster.wait_until_given_up, cut)
            count = len(held.records)
            await held.until_records(count + 30)
            assert {record.user for record in held.records[count:]} == set(range(USERS))
        await asyncio.to_thread(cluster.wait_until_ended, cut)
        await asyncio.to_thread(cluster.start, cut)
        await until(held, "is back")
        await until_even(held)
        assert len({record.request_id for record in held.records}) == len(held.records)
        await held.pool.cut()
