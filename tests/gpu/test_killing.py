"""SIGKILL of each of the processes, alone and two at once: nothing stays on the card, by NVML."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.conftest import World
from tests.gpu.card import GIB, Card
from tests.gpu.conftest import server_table, write_profile

OFF_CARD_TIMEOUT_S = 20.0
Find = Callable[[World, Card], list[psutil.Process]]


def named(*words: str) -> Find:
    return lambda world, card: [process for word in words for process in world.running(word)[:1]]


def on_the_card(world: World, card: Card) -> list[psutil.Process]:
    """By descent: vLLM writes its titles over the environment by which a world knows its own."""
    below = [child for ours in world.processes() for child in (ours, *ours.children(recursive=True))]
    pids = card.processes
    return [process for process in {each.pid: each for each in below}.values() if process.pid in pids]


def api_server(world: World, card: Card) -> list[psutil.Process]:
    return [parent for one in on_the_card(world, card) if (parent := one.parent()) is not None]


ENDS: dict[str, Find] = {
    "bench": named("tui.bench"),
    "front end": named("tui run"),
    "bench and guardian": named("tui.bench", "tui.server.guardian"),
    "bench and watcher": named("tui.bench", "tui.server.watcher"),
}
GOES_ON: dict[str, Find] = {
    "guardian": named("tui.server.guardian"),
    "engine core": on_the_card,
    "API server": api_server,
}


def start(world: World, card: Card) -> tuple[subprocess.Popen[str], set[int]]:
    """Start a run of the tiny model and return it with the numbers of its server's processes on the card."""
    server = server_table("tiny", {"kv-cache-memory-bytes": GIB, "gpu-memory-utilization": 0.3})
    load = {"users": [4], "prompt_tokens": [31], "mode": "steady", "warm_up_s": 1.0, "duration_s": 10.0}
    running = world.start("run", write_profile(world, "kill", server, **load), "--json")
    assert running.stderr is not None
    for line in running.stderr:
        if "server ready" in line:
            break
    else:
        raise AssertionError("the server did not get ready")
    time.sleep(2.0)  # users ask
    pids = {process.pid for process in on_the_card(world, card)}
    assert pids
    return running, pids


def wait_until_off(card: Card, pids: set[int]) -> None:
    end = time.monotonic() + OFF_CARD_TIMEOUT_S
    while left := pids & set(card.processes):
        assert time.monotonic() < end, f"still on the card: {left}"
        time.sleep(0.05)


@pytest.mark.parametrize("victims", ENDS)
def test_what_ends_the_run_leaves_nothing_on_the_card(victims: str, world: World, card: Card) -> None:
    before = card.used_bytes
    running, pids = start(world, card)
    found = ENDS[victims](world, card)
    assert found
    for process in found:
        process.kill()
    wait_until_off(card, pids)
    running.communicate(timeout=60)
    card.wait_until_back(before)
    world.wait_until_empty()


@pytest.mark.parametrize("victims", GOES_ON)
def test_what_ends_the_server_alone_is_followed_by_another(victims: str, world: World, card: Card) -> None:
    before = card.used_bytes
    running, pids = start(world, card)
    found = GOES_ON[victims](world, card)
    assert found
    for process in found:
        process.kill()
    wait_until_off(card, pids)
    end = time.monotonic() + 240
    while not (again := {process.pid for process in on_the_card(world, card)}):
        assert time.monotonic() < end, "no server came after it"
        time.sleep(0.5)
    assert not again & pids
    running.terminate()
    running.communicate(timeout=120)
    world.wait_until_empty()
    card.wait_until_back(before)
