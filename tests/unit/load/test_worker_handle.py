"""A worker's reports reach the pool once each, whatever the way to it does to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from tui.load.transport import Host
from tui.load.wire import Report
from tui.load.worker_handle import WorkerHandle


def report(seq: int, tokens: int) -> bytes:
    return msgspec.msgpack.encode(
        Report(
            seq=seq,
            heard=0,
            at_ns=seq,
            tick=True,
            users_active=0,
            in_flight=0,
            tokens=[(0, tokens)],
            events=tokens,
            cpu_share=0.0,
            lag_p99_s=None,
            stamps="kernel",
            rss_bytes=0,
            started=[],
            records=[],
            left=[],
        )
    )


class Scripted:
    """A host whose only worker says what the test says."""

    name = "far"
    cores = 1
    clock = None
    trouble = ""
    pid = None

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = bodies
        self.closed = asyncio.Event()

    async def open_worker(self, number: int) -> Scripted:
        return self

    def send(self, body: bytes) -> None:
        raise AssertionError("nothing is to be sent")

    async def frames(self) -> AsyncIterator[bytes]:
        for body in self._bodies:
            yield body
        await self.closed.wait()

    async def close(self) -> None:
        self.closed.set()

    def why_gone(self) -> str:
        return "was lost"


async def take(host: Host) -> tuple[WorkerHandle, list[int], asyncio.Event]:
    taken: list[int] = []
    gone = asyncio.Event()
    handle = WorkerHandle(3, host, lambda _, report: taken.append(report.events), lambda _: gone.set())
    await handle.spawn()
    return handle, taken, gone


async def test_a_report_that_comes_twice_counts_once() -> None:
    handle, taken, gone = await take(Scripted(report(1, 5), report(2, 7), report(1, 5), report(2, 7), report(3, 9)))
    while handle.seq < 3:
        await asyncio.sleep(0)
    assert (taken, gone.is_set()) == ([5, 7, 9], False)
    await handle.stop()
    assert not gone.is_set()  # it was told to go


async def test_a_worker_of_which_a_report_is_missing_is_given_up() -> None:
    host = Scripted(report(1, 5), report(3, 9), report(4, 9))
    handle, taken, gone = await take(host)
    async with asyncio.timeout(10):
        await gone.wait()
    assert (taken, host.closed.is_set()) == ([5], True)
    assert handle.why_gone() == "load worker 3 on far is given up: its report 2 was lost on the way"
