"""Users ask from the nodes of a real Ray cluster; actors, nodes and the bridge to it die."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from tests.fakes.load_worker import IDS, shape
from tests.fakes.paced_server import PacedServer, paced_server
from tests.ray_hosts.conftest import LocalCluster
from tests.ray_serve.conftest import PYTHON
from tests.unit.load.test_pool import Bench
from tui.core.outcome import Outcome
from tui.hosts.cluster import Cluster
from tui.load import crew
from tui.profile.load_hosts import RayPlace

OURS = ("tui.hosts.agent", "tui.load.worker")


@asynccontextmanager
async def asking(
    cluster: LocalCluster, server: PacedServer, address: str = "auto"
) -> AsyncIterator[tuple[Bench, Cluster]]:
    way = Cluster(RayPlace(address), python=str(PYTHON))
    held = None
    try:
        await way.open()
        held = Bench(server.base_url, hosts=way.hosts)
        await held.pool.start()
        await held.pool.configure(shape(5), IDS, 1)
        yield held, way
    finally:
        left = [*cluster.running(*OURS), *cluster.actors()]
        if held is not None:
            await held.pool.stop()
        await asyncio.gather(*(host.close() for host in way.hosts))
        await way.close()
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=20)
        assert alive == []


async def until(held: Bench, text: str) -> str:
    async with asyncio.timeout(120):
        while not (found := [event.text for event in held.events if text in event.text]):
            await held.news()
    return found[-1]


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LONGEST_RETRY_S", 2.0)


@pytest.mark.parametrize("way", ["auto", "client"])
async def test_users_ask_from_both_nodes(cluster: LocalCluster, way: str) -> None:
    address = "auto" if way == "auto" else f"ray://{cluster.client_address}"
    async with paced_server(gap_s=0.02) as server, asking(cluster, server, address) as (held, ray):
        assert len(ray.hosts) == 2
        assert await held.pool.burst(20) == 20
        assert await held.pool.burst(20) == 20
        assert {record.outcome for record in held.records} == {Outcome.OK}
        assert sorted(Counter(record.worker for record in held.records).values()) == [20, 20]
        assert len(cluster.running("tui.hosts.agent")) == 2
        errors = [host.clock_error_s for host in held.progress[-1].hosts]
        assert all(error is not None and error < 0.1 for error in errors)
        await held.pool.set_users(6)
        await held.until_records(100)
        assert server.in_flight_max == 20
        await held.pool.cut()


async def test_an_actor_that_is_killed_comes_back(cluster: LocalCluster) -> None:
    async with paced_server(gap_s=0.02) as server, asking(cluster, server) as (held, _):
        await held.pool.set_users(6)
        await held.until_records(20)
        workers = cluster.running(*OURS)
        actor = cluster.actors()[0]
        mine = [each for each in workers if actor in each.parents()]
        actor.kill()
        await until(held, "is lost")
        _, alive = await asyncio.to_thread(psutil.wait_procs, mine, timeout=10)
        assert alive == []
        await until(held, "is back")
        while [host.users_active for host in held.progress[-1].hosts] != [3, 3]:
            await held.news()
        assert len({record.request_id for record in held.records}) == len(held.records)
        await held.pool.cut()


async def test_a_node_that_is_lost_and_another_in_its_place(cluster: LocalCluster) -> None:
    async with paced_server(gap_s=0.02) as server, asking(cluster, server) as (held, _):
        await held.pool.set_users(6)
        await held.until_records(20)
        await asyncio.to_thread(cluster.program.do, "remove")
        said = await until(held, "is lost")
        assert "3 users go on elsewhere" in said
        count = len(held.records)
        await held.until_records(count + 20)
        assert {record.user for record in held.records[count:]} == set(range(6))
        await asyncio.to_thread(cluster.program.do, "add")
        await until(held, "is back")
        while [host.users_active for host in held.progress[-1].hosts] != [3, 3]:
            await held.news()
        await held.pool.cut()


async def test_the_bridge_is_killed(cluster: LocalCluster) -> None:
    async with paced_server(gap_s=0.02) as server, asking(cluster, server) as (held, ray):
        await held.pool.set_users(4)
        await held.until_records(10)
        there = [*cluster.running(*OURS), *cluster.actors()]
        assert ray._line is not None
        psutil.Process(ray._line.pid).kill()
        await until(held, "is lost")
        _, alive = await asyncio.to_thread(psutil.wait_procs, there, timeout=20)
        assert alive == []
        await until(held, "is back")
        count = len(held.records)
        await held.until_records(count + 20)
        await held.pool.cut()


async def test_what_cannot_be_reached_is_told() -> None:
    way = Cluster(RayPlace("ray://127.0.0.1:1"), python=str(PYTHON))
    with pytest.raises(OSError, match="has no cluster to connect to"):
        await way.open()
    await way.close()


def test_a_bridge_whose_bench_is_gone_ends_whatever_holds_it_up(cluster: LocalCluster) -> None:
    """Connecting to what is not there takes half a minute, in which it hears nothing."""
    argv = [str(PYTHON), "-P", "-m", "tui.hosts.ray_bridge", "ray://127.0.0.1:1"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bridge:
        assert bridge.stdin is not None
        bridge.stdin.close()
        began_s = time.monotonic()
        assert bridge.wait(60) == 1
        assert time.monotonic() - began_s < 25
