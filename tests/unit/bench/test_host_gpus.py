"""GPUs of other hosts: real agents and real samplers against a library of our own in the place of NVML."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.agents import HostHere
from tests.fakes.nvml.build import build, compiler
from tests.fakes.raylet import Raylet, raylet
from tui.bench import gpus as gpus_module
from tui.bench import host_gpus
from tui.bench.gpus import Sampling, sampling_for
from tui.bench.host_gpus import HostGpus, Sought
from tui.engines.base import LogFact
from tui.metrics.gpu_hosts import added_up
from tui.metrics.reading import GpuReading
from tui.profile.schema import Profile
from tui.server.memory_told import MemoryTold

needs_cc = pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake libnvidia-ml")
PATIENCE_S = 60
GIB = 2**30
OWN_BYTES = 26 * GIB
LOST = "a process is gone"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def cards(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give agents that start from now on eight cards; return the file that says how they are."""
    situation = tmp_path / "situation"
    situation.write_text("eight")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("FAKE_NVML", str(situation))
    monkeypatch.setattr(host_gpus, "RETRY_S", 0.2)
    monkeypatch.setattr(host_gpus, "STALE_S", float(PATIENCE_S))  # a busy machine reads seldom
    yield situation


@asynccontextmanager
async def watched(*hosts: HostHere) -> AsyncIterator[tuple[HostGpus, list[str]]]:
    said: list[str] = []
    gpus = HostGpus(said.append, lambda: said.append(LOST))
    try:
        async with asyncio.timeout(PATIENCE_S):
            gpus.start(hosts)
            yield gpus, said
    finally:
        trees = [one for host in hosts if host.lines for one in samplers(host)]
        await gpus.stop()
        await asyncio.gather(*(host.close() for host in hosts))
        _, alive = await asyncio.to_thread(psutil.wait_procs, trees, timeout=10)
        assert alive == []


async def until(what: Callable[[], object]) -> None:
    while not what():
        await asyncio.sleep(0.05)


def readings(gpus: HostGpus) -> list[GpuReading]:
    return [reading for _, found in gpus.latest() for reading in found]


def samplers(host: HostHere) -> list[psutil.Process]:
    if not psutil.pid_exists(host.agent_pid):
        return []
    children = psutil.Process(host.agent_pid).children(recursive=True)
    return [one for one in children if "tui.gpu.node" in one.cmdline()]


@needs_cc
async def test_the_cards_of_each_host_are_read_there_and_told_with_its_name(cards: Path) -> None:
    async with watched(HostHere("node10"), HostHere("node2")) as (gpus, _):
        await until(lambda: len(readings(gpus)) == 16)
        places = [reading.place for reading in readings(gpus)]
        assert places == [f"{host}/{index}" for host in ("node2", "node10") for index in range(8)]
        assert gpus.note == "" and gpus.driver_version and gpus.cost_s > 0
        first = readings(gpus)[0]
        assert first.vram_total_bytes and first.vram_used_bytes is not None and first.power_w
        # Whose memory it is, is not known before it is told which processes are the server's.
        assert first.vram_server_bytes is None and first.vram_neighbours_bytes is None


@pytest.fixture
def far_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Raylet]:
    """Give processes of Ray's that are on what the bench takes for another machine."""
    monkeypatch.setattr(host_gpus, "own_addresses", frozenset)
    with raylet(tmp_path / "ray") as running:
        yield running


@needs_cc
async def test_memory_there_is_told_apart_by_the_processes_of_the_server(cards: Path, far_processes: Raylet) -> None:
    # A worker's child is the server's as well.
    cards.write_text(f"eight {far_processes.workers[0]} {far_processes.children[1]} 1")
    async with watched(HostHere("far"), HostHere("gone")) as (gpus, said):
        gpus.tell_workers({"127.0.0.1": far_processes.workers, "192.0.2.77": [1, 2]})
        await until(lambda: [one.vram_server_bytes is not None for one in readings(gpus)] == [True] * 16)
        first, second, third = readings(gpus)[:3]
        assert (first.vram_server_bytes, second.vram_server_bytes, third.vram_server_bytes) == (30 * GIB, 30 * GIB, 0)
        assert (first.vram_neighbours_bytes, first.vram_neighbours) == (GIB, "Xorg")
        assert (third.vram_neighbours_bytes, third.vram_neighbours) == (30 * GIB, "Xorg")
        assert [nodes for nodes, _ in gpus.latest()] == [["127.0.0.1"]] * 2
        # Of one node the cards are nowhere to be seen, so that none of the hosts is known to have nothing.
        assert gpus.note == "no host of load.hosts is the server's node 192.0.2.77, whose cards are not seen"
        gpus.tell_workers({})
        await until(lambda: all(reading.vram_server_bytes is None for reading in readings(gpus)))
        assert gpus.note == "" and said == []


@needs_cc
async def test_a_process_that_is_gone_is_told_and_memory_is_told_apart_no_more(
    cards: Path, far_processes: Raylet
) -> None:
    cards.write_text(f"eight {far_processes.workers[0]}")
    host = HostHere("far")
    async with watched(host) as (gpus, said):
        gpus.tell_workers({"127.0.0.1": far_processes.workers})
        await until(lambda: readings(gpus) and readings(gpus)[0].vram_server_bytes)
        assert said == []
        psutil.Process(far_processes.workers[1]).kill()
        await until(lambda: LOST in said)
        assert readings(gpus)[0].vram_server_bytes is None
        assert "far: whose memory it is, is not known: 1 of the 2 processes" in gpus.note
        gpus.tell_workers({"127.0.0.1": far_processes.workers[:1]})
        await until(lambda: readings(gpus)[0].vram_server_bytes)
        assert gpus.note == ""
        # A sampler that comes back is told as well.
        samplers(host)[0].kill()
        await until(lambda: not readings(gpus))
        await until(lambda: readings(gpus) and readings(gpus)[0].vram_server_bytes)


@needs_cc
async def test_hosts_without_the_server_are_left_out_once_all_its_nodes_are_found(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(HostHere("load")) as (gpus, _):
        await until(lambda: len(readings(gpus)) == 8)
        monkeypatch.setattr(host_gpus, "own_addresses", lambda: frozenset({"10.0.0.1"}))
        gpus.tell_workers({"10.0.0.1": [77]})  # all of it is on this machine
        assert readings(gpus) == [] and gpus.note == ""
        gpus.tell_workers({})  # the server has ended
        assert readings(gpus) == []
        gpus.tell_workers({"10.0.0.1": [77], "192.0.2.77": [78]})
        await until(lambda: "no host of load.hosts is the server's node 192.0.2.77" in gpus.note)
        assert len(readings(gpus)) == 8


@needs_cc
async def test_what_the_readings_lack_takes_none_of_them_away(cards: Path) -> None:
    cards.write_text("lost")
    async with watched(HostHere("far")) as (gpus, _):
        await until(lambda: "far: GPU 3 lost" in gpus.note and readings(gpus))
        for _ in range(50):  # some rounds
            await asyncio.sleep(0.05)
            assert len(readings(gpus)) == 8 and "far: GPU 3 lost" in gpus.note


@needs_cc
async def test_a_sampler_that_dies_is_told_and_comes_back(cards: Path) -> None:
    host = HostHere("far")
    async with watched(host) as (gpus, _):
        await until(lambda: len(readings(gpus)) == 8)
        (sampler,) = samplers(host)
        sampler.kill()
        await until(lambda: "far: its GPUs are read no more: was ended by signal 9" in gpus.note)
        assert readings(gpus) == []
        await until(lambda: len(readings(gpus)) == 8)
        assert gpus.note == ""


@needs_cc
async def test_a_host_that_is_lost_has_no_readings_until_it_is_back(cards: Path) -> None:
    host = HostHere("far")
    async with watched(host) as (gpus, _):
        await until(lambda: len(readings(gpus)) == 8)
        host.is_down = True
        psutil.Process(host.agent_pid).kill()
        await until(lambda: "far: its GPUs cannot be read: far is down" in gpus.note)
        assert readings(gpus) == []
        host.is_down = False
        await until(lambda: len(readings(gpus)) == 8)


async def test_a_host_without_a_driver_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    async with watched(HostHere("far")) as (gpus, _):
        await until(lambda: "far: no NVIDIA driver here" in gpus.note)
        assert readings(gpus) == []


def profile_of(**table: Any) -> Profile:
    return Profile.model_validate({"name": "p", "engine": "vllm", **table})


def test_a_host_is_called_as_the_server_s_address_says_be_it_with_a_port() -> None:
    sought = Sought("gpu1", frozenset())
    assert [sought.is_called(name) for name in ("gpu1", "gpu1:2222", "gpu10", "10.0.0.3")] == [True, True, False, False]


def attached(url: str, *hosts: HostHere) -> tuple[Sampling, list[list[GpuReading]]]:
    rounds: list[list[GpuReading]] = []
    anyone: Any = _Supervisor()
    profile = profile_of(attach={"base_url": url})
    return sampling_for(profile, anyone, lambda told, _: rounds.append(told), lambda _: None, lambda: hosts), rounds


@needs_cc
async def test_an_attached_server_is_shown_with_the_host_that_has_its_address_whatever_it_is_called(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(_: object) -> bool:
        return False

    monkeypatch.setattr(gpus_module, "is_here", elsewhere)
    host = HostHere("an-alias")
    sampling, rounds = attached("http://127.0.0.1:8000", host)
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: rounds)
    assert {reading.place for reading in rounds[-1]} == {f"an-alias/{index}" for index in range(8)}
    # Which processes are its own, nobody tells.
    assert {reading.vram_server_bytes for reading in rounds[-1]} == {None} and sampling.unavailable == ""
    await sampling.stop()
    await host.close()


@needs_cc
@pytest.mark.parametrize("driver", ["eight", "no-driver"])
async def test_a_host_that_is_not_the_attached_server_s_is_left(cards: Path, driver: str) -> None:
    cards.write_text(driver)
    host = HostHere("load")
    sampling, rounds = attached("http://192.0.2.77:8000", host)
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: host.lines and samplers(host))
        await until(lambda: not samplers(host))
    assert rounds == [] and "another machine (192.0.2.77): its GPUs are not seen from here" in sampling.unavailable
    await sampling.stop()
    await host.close()


def test_a_server_here_has_no_cards_elsewhere() -> None:
    host = HostHere("far")
    anyone: Any = _Supervisor()

    async def lines() -> int:
        for table in ({"server": {"model": "m"}}, {"attach": {"base_url": "http://127.0.0.1:8000"}}):
            sampling = sampling_for(profile_of(**table), anyone, _nothing, _nothing, lambda: [host])
            await sampling.start()
            await sampling.stop()
        return len(host.lines)

    assert asyncio.run(lines()) == 0


def _nothing(*_: object) -> None:
    pass


class _Here:
    """Stands in for this machine's NVML thread."""

    unavailable = "no NVIDIA driver here"
    driver_version = ""

    def __init__(
        self, _factory: object, deliver: Callable[[list[GpuReading], float], None], *_: Any, **__: Any
    ) -> None:
        self._deliver = deliver

    def start(self) -> None:
        self._deliver([GpuReading(at_ns=0, index=0, name="own", vram_server_bytes=OWN_BYTES)], 0.001)

    def stop(self) -> None:
        pass


class _Supervisor:
    def __init__(self) -> None:
        self.workers: dict[str, list[int]] = {}
        self.memory_told = MemoryTold()

    def pids(self) -> frozenset[int]:
        return frozenset()

    def look_for_workers(self) -> None:
        pass


@needs_cc
async def test_a_server_over_several_machines_is_shown_with_the_cards_of_all(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus_module, "GpuSampler", _Here)
    rounds: list[list[GpuReading]] = []
    host, supervisor = HostHere("far"), _Supervisor()
    profile = profile_of(server={"model": "m", "ray": {}})
    anyone: Any = supervisor
    sampling = sampling_for(profile, anyone, lambda told, _: rounds.append(told), lambda _: None, lambda: [host])
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: rounds and len(rounds[-1]) == 9)
    assert [reading.place for reading in rounds[-1]] == ["0", *(f"far/{index}" for index in range(8))]
    assert sampling.unavailable == "no NVIDIA driver here"
    await sampling.stop()
    await host.close()


@needs_cc
async def test_the_memory_of_each_node_is_divided_as_its_own_workers_say(
    cards: Path, far_processes: Raylet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus_module, "GpuSampler", _Here)
    monkeypatch.setattr(gpus_module, "STALE_S", float(PATIENCE_S))
    cards.write_text(f"eight {far_processes.workers[0]}")
    rounds: list[list[GpuReading]] = []
    host, supervisor = HostHere("far"), _Supervisor()
    supervisor.workers = {"127.0.0.1": far_processes.workers}
    # Of a pipeline the stages hold different layers.
    supervisor.memory_told.note(LogFact(weights_bytes=10 * GIB, kv_cache_bytes=15 * GIB))
    supervisor.memory_told.note(LogFact(weights_bytes=12 * GIB, kv_cache_bytes=16 * GIB, address="127.0.0.1"))
    anyone: Any = supervisor
    profile = profile_of(server={"model": "m", "ray": {}})
    sampling = sampling_for(profile, anyone, lambda told, _: rounds.append(told), lambda _: None, lambda: [host])
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: rounds and len(rounds[-1]) == 9 and rounds[-1][1].vram_weights_bytes)
    own, first, second = rounds[-1][:3]
    parts = [(one.vram_weights_bytes, one.vram_kv_cache_bytes, one.vram_other_bytes) for one in (own, first, second)]
    assert parts == [(10 * GIB, 15 * GIB, GIB), (12 * GIB, 16 * GIB, 2 * GIB), (0, 0, 0)]
    both = added_up(rounds[-1][1:], "far")
    assert (both.vram_server_bytes, both.vram_weights_bytes, both.vram_neighbours_bytes) == (30 * GIB, 12 * GIB, GIB)
    await sampling.stop()
    await host.close()


@needs_cc
async def test_a_server_on_another_host_is_shown_with_that_host_s_cards(cards: Path) -> None:
    host = HostHere("gpu1.invalid")
    sampling, rounds = attached("http://gpu1.invalid:8000", host)
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: rounds)
    assert {reading.host for reading in rounds[-1]} == {"gpu1.invalid"}
    assert sampling.unavailable == "" and sampling.driver_version
    await sampling.stop()
    await host.close()
