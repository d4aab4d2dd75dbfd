"""Whose cards are shown: this machine's for a server that is on it, nobody's for one that is not."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from tui.bench import gpus
from tui.bench.gpus import is_here, sampling_for
from tui.core.address import address_of
from tui.profile.schema import Profile


class Sampler:
    """Stands in for NVML's thread."""

    started: bool = False
    unavailable = ""

    def __init__(self, *given: Any, **named: Any) -> None:
        pass

    def start(self) -> None:
        Sampler.started = True

    def stop(self) -> None:
        Sampler.started = False


class Supervisor:
    def pids(self) -> frozenset[int]:
        return frozenset()

    def look_for_workers(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    Sampler.started = False
    monkeypatch.setattr(gpus, "GpuSampler", Sampler)


def sampling_of(url: str) -> gpus.Sampling:
    profile = Profile.model_validate({"name": "p", "engine": "vllm", "attach": {"base_url": url}})
    supervisor: Any = Supervisor()
    return sampling_for(profile, supervisor, lambda _readings, _cost_s: None, lambda _text: None)


async def test_a_server_elsewhere_is_shown_without_cards() -> None:
    sampling = sampling_of("http://192.0.2.77:8000")
    await sampling.start()
    assert not Sampler.started
    assert "another machine (192.0.2.77): its GPUs are not seen from here" in sampling.unavailable
    await sampling.stop()


async def test_that_the_cards_of_other_nodes_are_not_seen_is_said() -> None:
    profile = Profile.model_validate({"name": "p", "engine": "vllm", "server": {"model": "m", "ray": {}}})
    supervisor: Any = Supervisor()
    sampling = sampling_for(profile, supervisor, lambda _readings, _cost_s: None, lambda _text: None)
    await sampling.start()
    assert Sampler.started
    assert sampling.unavailable == "the cards of its other nodes are seen where load.hosts names them"
    await sampling.stop()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
async def test_a_server_here_is_shown_with_this_machine_s(url: str) -> None:
    sampling = sampling_of(url)
    await sampling.start()
    assert Sampler.started
    assert sampling.unavailable == ""
    await sampling.stop()
    assert not Sampler.started


async def test_an_interface_of_this_machine_is_here() -> None:
    found = [one.address for each in psutil.net_if_addrs().values() for one in each if one.family.name == "AF_INET"]
    assert found
    for address in found:
        assert await is_here(address_of(f"http://{address}:8000"))


async def test_a_name_is_where_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_named: Any) -> list[tuple[Any, ...]]:
        if host == "nowhere.example":
            raise OSError("no such host")
        return [(2, 1, 6, "", ("127.0.1.1" if host == "myself.example" else "192.0.2.77", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lambda _loop, *given, **named: resolve(*given, **named))
    assert await is_here(address_of("http://myself.example:1"))
    assert not await is_here(address_of("http://other.example:1"))
    assert not await is_here(address_of("http://nowhere.example:1"))
