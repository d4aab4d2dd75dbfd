"""When the plain connections of a worker are read: at once, or many in one round.

A wake-up costs more than the read that follows it. Where the kernel stamps what arrives, a token's time does not depend
on when it is read: so when thousands of events come in a second, they are left to gather for about a millisecond.
"""

from __future__ import annotations

import asyncio
import select
import sys
import time
from collections.abc import Callable

from tui.load.stamps import ArrivalClock

# Below it a rest would gather one event or none.
MANY_READS_PER_S = 2000
# A rest is to gather as many reads as this: more save little, and a rest delays the requests that follow an answer.
GATHERED_READS = 12
LONGEST_REST_S = 0.0012


class Rounds:
    """Calls the reader of each connection that has something to be read, by an epoll of its own.

    One per worker; one thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> None:
        self._loop = loop
        self._clock = clock
        self._readers: dict[int, Callable[[], None]] = {}
        self._rest_s = 0.0
        self._reads = 0
        self._judged_s = loop.time()
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._read_ready)

    def add(self, fd: int, read: Callable[[], None]) -> None:
        """Call `read` whenever there is something to be read from `fd`."""
        self._readers[fd] = read
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Call it no more; to be done before `fd` is closed."""
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def judge(self) -> None:
        """Decide by the reads since the last call whether to let them gather from now on."""
        now_s = self._loop.time()
        reads_per_s = self._reads / max(now_s - self._judged_s, 0.001)
        self._reads, self._judged_s = 0, now_s
        many = reads_per_s > MANY_READS_PER_S and self._clock.source == "kernel"
        self._rest_s = min(GATHERED_READS / reads_per_s, LONGEST_REST_S) if many else 0.0

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _read_ready(self) -> None:
        if self._rest_s:
            # It holds up the whole loop, and may: what else is due waits for about a millisecond, and no timer of
            # the loop is finer than that.
            time.sleep(self._rest_s)
        readers = self._readers
        ready = self._epoll.poll(0)
        self._clock.begin_round()
        self._reads += len(ready)
        for fd, _ in ready:
            read = readers.get(fd)
            if read is not None:  # else closed by one that was read before it
                read()


class LoopReaders:
    """The same by the event loop, a wake-up for each: where there is no epoll there are no kernel stamps either."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> None:
        self._loop = loop
        self._clock = clock

    def add(self, fd: int, read: Callable[[], None]) -> None:
        """Call `read` whenever there is something to be read from `fd`."""
        self._loop.add_reader(fd, self._read, read)

    def remove(self, fd: int) -> None:
        """Call it no more; to be done before `fd` is closed."""
        self._loop.remove_reader(fd)

    def judge(self) -> None:
        """Do nothing: it never rests."""

    def close(self) -> None:
        """Do nothing: each connection is removed as it closes."""

    def _read(self, read: Callable[[], None]) -> None:
        self._clock.begin_round()
        read()


Readers = Rounds | LoopReaders


def readers_for(loop: asyncio.AbstractEventLoop, clock: ArrivalClock) -> Readers:
    """Return what calls the readers of a worker's connections on this system."""
    return Rounds(loop, clock) if sys.platform == "linux" else LoopReaders(loop, clock)
