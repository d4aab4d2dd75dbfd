"""The workers of a pool: started, more where they are busy, replaced when they die, brought back with their host.

A host whose workers cannot be replaced is lost: it is tried again with growing pauses until it is back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Protocol

from tui.core.clock import NS_PER_S, now_ns
from tui.core.safe_text import safe_line
from tui.core.tasks import background, end_task
from tui.load.transport import Host
from tui.load.wire import Command, Report
from tui.load.worker_handle import WorkerHandle

START_TIMEOUT_S = 30.0
# A worker that dies again and again has a cause that one more will not remove.
DEATHS_BEFORE_GIVING_UP = 5
DEATHS_WITHIN_S = 10.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
WAIT_FOR_HOSTS_S = 300.0


class Employer(Protocol):
    """Whose workers they are. All is called in the event loop and must be quick."""

    def first_words(self, handle: WorkerHandle) -> list[Command]:
        """Return what a worker is told that was just started."""

    def on_report(self, handle: WorkerHandle, report: Report) -> None:
        """Take what a worker says."""

    def on_gone(self, handle: WorkerHandle) -> None:
        """Take it that a worker is gone, and is none of the crew any more."""

    def on_replaced(self) -> None:
        """Take it that there is a worker in the place of one that was gone."""

    def on_host_lost(self, host: Host, why: str) -> None:
        """Take it that a host is out of reach, and has no workers any more."""

    def on_host_back(self, host: Host) -> None:
        """Take it that a lost host has a worker again."""

    def tell(self, text: str, level: str) -> None:
        """Tell the operator."""


class Crew:
    """All workers, on all hosts."""

    def __init__(self, hosts: Sequence[Host], employer: Employer) -> None:
        self.hosts = list(hosts)
        self.handles: list[WorkerHandle] = []
        self.lost: dict[Host, str] = {}
        """The hosts that are out of reach, and why."""
        self._employer = employer
        self._numbers = count(1)
        self._starting = asyncio.Lock()
        self._growing: set[asyncio.Task[None]] = set()
        self._retrying: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._deaths_ns: dict[Host, list[int]] = {host: [] for host in hosts}
        self._stopping = False

    @property
    def most(self) -> int:
        """Return how many workers there can be."""
        return sum(host.cores for host in self.hosts if host not in self.lost)

    async def grow(self, workers: int) -> None:
        """Have so many workers, or as many as there can be."""
        async with self._starting:
            while len(self.handles) < workers and (host := self._host_of_next()) is not None:
                why = await self._start_on(host)
                if why is not None and not self._miss(host, why):
                    return

    def grow_beside(self, workers: int, then: Callable[[], object]) -> None:
        """Have so many workers, then do `then`; returns at once."""

        async def grow() -> None:
            await self.grow(workers)
            then()

        self._beside(grow(), self._growing)

    @property
    def is_growing(self) -> bool:
        """Say whether workers are being started beside the rest."""
        return bool(self._growing)

    async def wait_for_one(self) -> None:
        """Return when there is a worker, or none is to be expected: dead ones are replaced, lost hosts retried."""
        try:
            async with asyncio.timeout(WAIT_FOR_HOSTS_S):
                while not self.handles and (self._growing or self._retrying):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    async def stop(self) -> None:
        """End all workers at once and wait until they are gone."""
        self._stopping = True
        for task in [*self._growing, *self._retrying]:
            await end_task(task)
        await asyncio.gather(*(handle.stop() for handle in self.handles))
        self.handles.clear()

    def _host_of_next(self) -> Host | None:
        """Return the host with the fewest workers that can have one more."""
        workers = Counter(handle.host for handle in self.handles)
        free = [host for host in self.hosts if host not in self.lost and workers[host] < host.cores]
        return None if self._stopping else min(free, key=lambda host: workers[host], default=None)

    async def _start_on(self, host: Host) -> str | None:
        """Start one worker; return why that failed, or None."""
        handle = WorkerHandle(next(self._numbers), host, self._employer.on_report, self._on_gone)
        try:
            await handle.spawn()
        except OSError as error:
            return safe_line(str(error), limit=500)
        self.handles.append(handle)
        for command in self._employer.first_words(handle):
            handle.send(command)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await handle.alive.wait()
        except TimeoutError:
            self.handles.remove(handle)
            await handle.stop()
            return f"{handle.name} did not answer within {START_TIMEOUT_S:g} s"
        self._news.set()
        return handle.why_gone() if handle.gone else None

    def _on_gone(self, handle: WorkerHandle) -> None:
        if handle not in self.handles:
            return
        self.handles.remove(handle)
        self._employer.on_gone(handle)
        host = handle.host
        if self._stopping or host in self.lost:
            return
        if host.trouble:
            if not any(other.host is host for other in self.handles):  # else the last of them will tell
                self._lose(host, host.trouble)
        elif self._dies_again_and_again(host):
            self._employer.tell(f"load workers die again and again{_on(host)}: no more are started", "error")
        else:
            self._beside(self._replace(host), self._growing)

    def _dies_again_and_again(self, host: Host) -> bool:
        now = now_ns()
        deaths_ns = [at for at in self._deaths_ns[host] if now - at < DEATHS_WITHIN_S * NS_PER_S]
        self._deaths_ns[host] = [*deaths_ns, now]
        return len(deaths_ns) >= DEATHS_BEFORE_GIVING_UP

    async def _replace(self, host: Host) -> None:
        async with self._starting:
            if host in self.lost:
                return
            why = await self._start_on(host)
        if why is not None and self._miss(host, why):
            return
        self._employer.on_replaced()

    def _miss(self, host: Host, why: str) -> bool:
        """Take it that a worker could not be started; return whether its host is lost by that."""
        if any(handle.host is host for handle in self.handles):
            self._employer.tell(f"no load worker could be started: {why}", "error")
            return False
        if host not in self.lost:
            self._lose(host, why)
        return True

    def _lose(self, host: Host, why: str) -> None:
        self.lost[host] = why
        self._employer.on_host_lost(host, why)
        self._beside(self._bring_back(host), self._retrying)

    async def _bring_back(self, host: Host) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)
            # Not in turn with the others: what does not answer at all takes long to say so, and nothing else is
            # started on a lost host meanwhile.
            why = await self._start_on(host)
            if why is None:
                break
            self.lost[host] = why
        del self.lost[host]
        self._employer.on_host_back(host)

    def _beside(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        def forget(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self._news.set()

        task = background(work, name="load-pool")
        tasks.add(task)
        task.add_done_callback(forget)


def _on(host: Host) -> str:
    return f" on {host.name}" if host.name else ""
