"""When the plain connections of a worker are read: at once, or many in one round.

A wake-up costs more than the read that follows it. Where the kernel stamps what arrives, a token's time does not depend
on when it is read: so when thousands of events come in a second, they are left to gather for 2 ms. What a request
follows is not left to wait: the end of an answer is read at once, and before what has gathered.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable
from time import monotonic_ns

from tui.core.clock import NS_PER_S
from tui.load.stamps import ArrivalClock

# Below it a rest would gather a few events.
MANY_READS_PER_S = 2000
REST_NS = 2_000_000
# After so many of what has gathered it looks for what is urgent, and after so many of these for the others.
READS_AT_ONCE = 32
# Two events of one stream that are read at once share a stamp, the latter's: faster streams than this are not left to
# gather.
FAST_STREAM_READS_PER_S = 100
NEVER_NS = 1 << 63
# Each arrival is told once: else the kernel would ask each socket a second time whether there is more.
_ARRIVALS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET if sys.platform == "linux" else 0

Read = Callable[[], bool | None]
"""Reads once; says whether it may have left something."""


class ReadBatches:
    """Calls the reader of each connection that has something to be read, by an epoll of its own.

    One per worker; one thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> None:
        self._loop = loop
        self._clock = clock
        self._readers: dict[int, Read] = {}
        self._urgent_fds: set[int] = set()
        self._rests = False
        self._has_more = False
        """Whether some of what has gathered is still to be read."""
        self._all_next = False
        """Whether all is to be read before it looks again for what is urgent: there may be no end to that."""
        self._rest_until_ns = 0
        """When the rest is over that something urgent broke off, CLOCK_MONOTONIC; 0 = none was."""
        self._reads = 0
        self._judged_s = loop.time()
        self.in_haste = False
        """Set while there is something to be done that comes of what was read: it does not rest before that is done."""
        self.due_ns = NEVER_NS
        """When the next request is planned, CLOCK_MONOTONIC: no rest may delay it."""
        self._epoll = select.epoll()
        self._urgent = select.epoll()
        """Of those of which something urgent is awaited; the others' shows it as one of them."""
        self._readers[self._urgent.fileno()] = self._read_some_urgent
        self._epoll.register(self._urgent.fileno(), select.EPOLLIN)
        loop.add_reader(self._epoll.fileno(), self._read_ready)

    def add(self, fd: int, read: Read) -> None:
        """Call `read` whenever there is something to be read from `fd`."""
        self._readers[fd] = read
        self._epoll.register(fd, _ARRIVALS)

    def set_urgent(self, fd: int, urgent: bool) -> None:
        """Say whether what comes from `fd` next is not to wait for the end of a rest."""
        if urgent != (fd in self._urgent_fds):
            before, after = (self._epoll, self._urgent) if urgent else (self._urgent, self._epoll)
            before.unregister(fd)
            after.register(fd, _ARRIVALS)
            self._urgent_fds ^= {fd}

    def remove(self, fd: int) -> None:
        """Call it no more; to be done before `fd` is closed."""
        if self._readers.pop(fd, None) is not None:
            self.set_urgent(fd, False)
            self._epoll.unregister(fd)

    def judge(self) -> None:
        """Decide by the reads since the last call whether to let them gather from now on."""
        now_s = self._loop.time()
        reads_per_s = self._reads / max(now_s - self._judged_s, 0.001)
        self._reads, self._judged_s = 0, now_s
        many = MANY_READS_PER_S < reads_per_s < FAST_STREAM_READS_PER_S * len(self._readers)
        self._rests = many and self._clock.source == "kernel"

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._urgent.close()

    def _read_ready(self) -> None:
        ready = self._urgent_ready()
        if not ready:
            in_parts = self._rests and not self.in_haste and not self._all_next
            ready = self._epoll.poll(0, READS_AT_ONCE if in_parts else -1)
            self._has_more = len(ready) == READS_AT_ONCE
            self._all_next = False
        self._clock.begin_batch()
        self._read(ready)
        self._clock.end_batch()

    def _read_some_urgent(self) -> None:
        """Give urgent connections a turn among the others: each of them costs as much as many others."""
        self._read(self._urgent.poll(0, READS_AT_ONCE if self._rests else -1))

    def _read(self, ready: list[tuple[int, int]]) -> None:
        readers, only_bytes = self._readers, select.EPOLLIN
        self._reads += len(ready)
        for fd, events in ready:
            read = readers.get(fd)
            # None: closed by one that was read before it.
            if read is not None and (read() or events != only_bytes):
                self._look_again(fd)

    def _look_again(self, fd: int) -> None:
        """Have what is left be told of again, the end of the connection included."""
        if fd in self._readers:
            (self._urgent if fd in self._urgent_fds else self._epoll).modify(fd, _ARRIVALS)

    def _urgent_ready(self) -> list[tuple[int, int]]:
        """Let reads gather; return what is to be read before the others, if anything is."""
        if not self._rests or self.in_haste or self._all_next:
            return []
        if self._has_more:
            urgent = self._urgent.poll(0, READS_AT_ONCE)
            self._all_next = bool(urgent)
            return urgent
        now_ns = monotonic_ns()
        until_ns, self._rest_until_ns = self._rest_until_ns or now_ns + REST_NS, 0
        if not now_ns < until_ns < self.due_ns:
            return []
        # It holds up the whole loop, and may: what else is due can wait for so long.
        urgent = self._urgent.poll((until_ns - now_ns) / NS_PER_S, READS_AT_ONCE)
        if urgent:
            self._rest_until_ns = until_ns
        return urgent


class LoopReaders:
    """The same by the event loop, a wake-up for each: where there is no epoll there are no kernel stamps either."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> None:
        self._loop = loop
        self._clock = clock
        self.in_haste = False
        self.due_ns = NEVER_NS

    def add(self, fd: int, read: Read) -> None:
        """Call `read` whenever there is something to be read from `fd`."""
        self._loop.add_reader(fd, self._read, read)

    def set_urgent(self, fd: int, urgent: bool) -> None:
        """Do nothing: it never rests."""

    def remove(self, fd: int) -> None:
        """Call it no more; to be done before `fd` is closed."""
        self._loop.remove_reader(fd)

    def judge(self) -> None:
        """Do nothing: it never rests."""

    def close(self) -> None:
        """Do nothing: each connection is removed as it closes."""

    def _read(self, read: Read) -> None:
        self._clock.begin_batch()
        read()


Readers = ReadBatches | LoopReaders


def readers_for(loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> Readers:
    """Return what calls the readers of a worker's connections on this system."""
    return ReadBatches(loop, clock) if sys.platform == "linux" else LoopReaders(loop, clock)
