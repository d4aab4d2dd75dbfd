"""The agent: it starts workers, passes on, and leaves nothing, whatever becomes of those above it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.fakes.agents import AGENT, HostHere
from tui.core.address import address_of
from tui.hosts.wire import Hello, Ping, StartWorker, Welcome, decode_from_agent, pack_message, unpack
from tui.load.wire import Begin, Cut, LoadTarget, Secrets, decode_report
from tui.load.worker_handle import _encode

BEGIN = _encode(Begin(LoadTarget(address_of("http://[::1]:1")), 1, Secrets({"KEY": "sk-it-is-secret"})))


async def gone(processes: list[psutil.Process]) -> bool:
    _, left = await asyncio.to_thread(psutil.wait_procs, processes, timeout=10)
    return not left


async def started(host: HostHere, number: int = 1) -> list[psutil.Process]:
    """Start a worker, wait for its first report; return the agent and the worker."""
    worker = await host.open_worker(number)
    worker.send(BEGIN)
    async for body in worker.frames():
        assert decode_report(body).seq == 1
        break
    agent = psutil.Process(host.agent_pid)
    return [agent, *agent.children(recursive=True)]


async def test_a_worker_is_told_what_came_while_it_started_and_its_keys_are_nowhere_to_be_read() -> None:
    host = HostHere("a")
    try:
        agent, worker = await started(host)
        for process in (agent, worker):
            assert "sk-it-is-secret" not in str(process.environ()) + " ".join(process.cmdline())
    finally:
        await host.close()
    assert await gone([agent, worker])
    assert "sk-" not in repr(Begin(LoadTarget(address_of("http://[::1]:1")), 1, Secrets({"KEY": "sk-it-is-secret"})))


@pytest.mark.parametrize("end", ["kill -9", "terminate", "deaf"])
async def test_nothing_is_left(end: str) -> None:
    host = HostHere("a")
    if end == "deaf":
        host.argv = (sys.executable, "-c", "import tui.hosts.agent as agent; agent.DEAF_S = 1.0; agent.main()")
    agent, worker = await started(host)
    if end == "kill -9":
        agent.kill()
    elif end == "terminate":
        agent.terminate()
    else:
        assert host._pings is not None
        host._pings.cancel()  # no word any more, and the line stays open
    assert await gone([agent, worker])
    await host.close()


async def test_the_end_of_one_worker_is_told_and_leaves_the_others() -> None:
    host = HostHere("a")
    one, two = await host.open_worker(1), await host.open_worker(2)
    for worker in (one, two):
        worker.send(BEGIN)
    frames = one.frames()
    assert decode_report(await anext(frames)).seq == 1
    await one.close()
    assert [body async for body in frames if decode_report(body).in_flight] == []
    assert one.why_gone() == "was told to end"
    two.send(_encode(Cut()))
    async for body in two.frames():
        if decode_report(body).heard == 2:
            break
    agent = psutil.Process(host.agent_pid)
    (worker_two,) = agent.children()
    worker_two.send_signal(signal.SIGKILL)
    assert [body async for body in two.frames() if not body] == []
    assert two.why_gone() == "was ended by signal 9"
    await host.close()


def test_it_answers_what_it_is_asked_and_goes_when_its_input_ends() -> None:
    agent = subprocess.Popen(AGENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin is not None and agent.stdout is not None
    with agent.stdin as stdin, agent.stdout as stdout:
        stdin.write(pack_message(0, Hello()) + pack_message(0, Ping(7)) + pack_message(0, StartWorker(0)))
        stdin.flush()
        said = []
        for _ in range(3):
            length = int.from_bytes(stdout.read(4), "big")
            said.append(decode_from_agent(unpack(stdout.read(length))[2]))
        assert isinstance(said[0], Welcome) and said[0].cores == (os.cpu_count() or 1)
        assert said[1].sent_ns == 7
        assert "was not started" in said[2].why
        stdin.close()
        assert agent.wait(10) == 0


def test_the_bench_never_imports_ray() -> None:
    code = "import sys, tui.bench.bench, tui.hosts.cluster; print('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
