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
from tui.bench import gpus as gpus_module
from tui.bench import host_gpus
from tui.bench.gpus import sampling_for
from tui.bench.host_gpus import HostGpus, on_which
from tui.metrics.reading import GpuReading
from tui.profile.schema import Profile

needs_cc = pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake libnvidia-ml")
PATIENCE_S = 30


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
    yield situation


@asynccontextmanager
async def watched(*hosts: HostHere) -> AsyncIterator[tuple[HostGpus, list[str]]]:
    said: list[str] = []
    gpus = HostGpus(said.append)
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


def samplers(host: HostHere) -> list[psutil.Process]:
    if not psutil.pid_exists(host.agent_pid):
        return []
    children = psutil.Process(host.agent_pid).children(recursive=True)
    return [one for one in children if "tui.gpu.node" in one.cmdline()]


@needs_cc
async def test_the_cards_of_each_host_are_read_there_and_told_with_its_name(cards: Path) -> None:
    async with watched(HostHere("node10"), HostHere("node2")) as (gpus, _):
        await until(lambda: len(gpus.readings) == 16)
        places = [reading.place for reading in gpus.readings]
        assert places == [f"{host}/{index}" for host in ("node2", "node10") for index in range(8)]
        assert gpus.note == "" and gpus.driver_version and gpus.cost_s > 0
        first = gpus.readings[0]
        assert first.vram_total_bytes and first.vram_used_bytes is not None and first.power_w
        # Whose memory it is, is not known on another host.
        assert first.vram_server_bytes is None and first.vram_neighbours_bytes is None


@needs_cc
async def test_a_sampler_that_dies_is_told_and_comes_back(cards: Path) -> None:
    host = HostHere("far")
    async with watched(host) as (gpus, _):
        await until(lambda: len(gpus.readings) == 8)
        (sampler,) = samplers(host)
        sampler.kill()
        await until(lambda: "far: its GPUs are read no more: was ended by signal 9" in gpus.note)
        assert gpus.readings == []
        await until(lambda: len(gpus.readings) == 8)
        assert gpus.note == ""


@needs_cc
async def test_a_host_that_is_lost_has_no_readings_until_it_is_back(cards: Path) -> None:
    host = HostHere("far")
    async with watched(host) as (gpus, _):
        await until(lambda: len(gpus.readings) == 8)
        host.is_down = True
        psutil.Process(host.agent_pid).kill()
        await until(lambda: "far: its GPUs cannot be read: far is down" in gpus.note)
        assert gpus.readings == []
        host.is_down = False
        await until(lambda: len(gpus.readings) == 8)


async def test_a_host_without_a_driver_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    async with watched(HostHere("far")) as (gpus, _):
        await until(lambda: "far: no NVIDIA driver here" in gpus.note)
        assert gpus.readings == []


def profile_of(**table: Any) -> Profile:
    return Profile.model_validate({"name": "p", "engine": "vllm", **table})


def test_only_hosts_on_which_the_server_is_are_read() -> None:
    hosts = [HostHere("gpu1"), HostHere("gpu2:2222"), HostHere("10.0.0.3")]
    assert on_which(profile_of(attach={"base_url": "http://gpu1:8000"}), hosts) == hosts[:1]
    assert on_which(profile_of(attach={"base_url": "http://gpu2:8000"}), hosts) == hosts[1:2]
    assert on_which(profile_of(attach={"base_url": "http://elsewhere:8000"}), hosts) == []
    assert on_which(profile_of(server={"model": "m"}), hosts) == []
    assert on_which(profile_of(server={"model": "m", "ray": {}}), hosts) == hosts


class _Here:
    """Stands in for this machine's NVML thread."""

    unavailable = "no NVIDIA driver here"
    driver_version = ""

    def __init__(
        self, _factory: object, deliver: Callable[[list[GpuReading], float], None], *_: Any, **__: Any
    ) -> None:
        self._deliver = deliver

    def start(self) -> None:
        self._deliver([GpuReading(at_ns=0, index=0, name="own")], 0.001)

    def stop(self) -> None:
        pass


class _Supervisor:
    def pids(self) -> frozenset[int]:
        return frozenset()


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
async def test_a_server_on_another_host_is_shown_with_that_host_s_cards(cards: Path) -> None:
    rounds: list[list[GpuReading]] = []
    anyone: Any = _Supervisor()
    profile = profile_of(attach={"base_url": "http://gpu1.invalid:8000"})
    hosts = [HostHere("gpu1.invalid")]
    sampling = sampling_for(profile, anyone, lambda told, _: rounds.append(told), lambda _: None, lambda: hosts)
    async with asyncio.timeout(PATIENCE_S):
        await sampling.start()
        await until(lambda: rounds)
    assert {reading.host for reading in rounds[-1]} == {"gpu1.invalid"}
    assert sampling.unavailable == "" and sampling.driver_version
    await sampling.stop()
    await hosts[0].close()
