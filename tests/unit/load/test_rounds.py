"""Reads gather when many come and the kernel stamps them; else each is made at once."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import psutil
import pytest
import uvloop

from tui.load.rounds import MANY_READS_PER_S, REST_S, LoopReaders, Rounds
from tui.load.stamps import SO_TIMESTAMPNS, ArrivalClock

JUDGED_EVERY_S = 0.1
MANY = round(MANY_READS_PER_S * JUDGED_EVERY_S) + 1


@dataclass
class ByHand:
    """A loop whose readers and timers a test calls itself."""

    now_s: float = 0.0
    readers: dict[int, Callable[[], None]] = field(default_factory=dict)
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    cancelled: int = 0

    def time(self) -> float:
        return self.now_s

    def add_reader(self, fd: int, read: Callable[..., None], *args: Any) -> None:
        self.readers[fd] = lambda: read(*args)

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def call_later(self, delay_s: float, call: Callable[[], None]) -> ByHand:
        self.timers.append((delay_s, call))
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def turn(self) -> None:
        """Call what waits for readiness: all is ready here."""
        for read in list(self.readers.values()):
            read()

    def fire(self) -> None:
        """Call the timers that were set."""
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()


class Connection:
    """A pair of sockets, and how often the one end was read."""

    def __init__(self) -> None:
        self.there, self.here = socket.socketpair()
        self.fd = self.here.fileno()
        self.seen: list[bytes] = []

    def read(self) -> None:
        self.seen.append(self.here.recv(100))

    def close(self) -> None:
        self.there.close()
        self.here.close()


@pytest.fixture
def loop() -> ByHand:
    return ByHand()


@pytest.fixture
def clock() -> Iterator[ArrivalClock]:
    made = ArrivalClock()
    yield made
    made.close()


@pytest.fixture
def rounds(loop: ByHand, clock: ArrivalClock) -> Iterator[Rounds]:
    made = Rounds(cast("Any", loop), clock)
    yield made
    made.close()


@pytest.fixture
def connections(rounds: Rounds) -> Iterator[list[Connection]]:
    made = [Connection() for _ in range(3)]
    for connection in made:
        rounds.add(connection.fd, connection.read)
    yield made
    for connection in made:
        rounds.remove(connection.fd)
        connection.close()


def stamp(clock: ArrivalClock) -> None:
    wall_ns = time.time_ns()
    clock.arrival_ns([(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", wall_ns // 10**9, wall_ns % 10**9))])


def read_often(loop: ByHand, connection: Connection, times: int) -> None:
    for _ in range(times):
        connection.there.send(b"x")
        loop.turn()


def test_few_are_read_at_once(loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection]) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY - 1)
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()
    assert not loop.timers
    connections[1].there.send(b"y")
    loop.turn()
    assert connections[1].seen == [b"y"]
    assert len(connections[0].seen) == MANY - 1
    assert not connections[2].seen


def test_many_gather_and_few_are_read_at_once_again(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection]
) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY)
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()
    assert [delay_s for delay_s, _ in loop.timers] == [REST_S]
    for connection in connections[1:]:
        connection.there.send(b"y")
    loop.turn()
    assert not connections[1].seen  # it waits for the others
    rounds.judge()
    assert len(loop.timers) == 1  # resting already, and no second timer
    loop.fire()
    assert [connection.seen for connection in connections[1:]] == [[b"y"], [b"y"]]
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()
    loop.fire()
    assert not loop.timers
    connections[1].there.send(b"z")
    loop.turn()
    assert connections[1].seen == [b"y", b"z"]


def test_without_kernel_stamps_it_never_rests(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection]
) -> None:
    clock.arrival_ns([])
    read_often(loop, connections[0], 2 * MANY)
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()
    assert not loop.timers


def test_what_one_reader_closes_is_not_read(loop: ByHand, rounds: Rounds) -> None:
    first, second = Connection(), Connection()

    def read(own: Connection, other: Connection) -> Callable[[], None]:
        def close_other() -> None:
            own.read()
            rounds.remove(other.fd)
            other.close()

        return close_other

    rounds.add(first.fd, read(first, second))
    rounds.add(second.fd, read(second, first))
    first.there.send(b"x")
    second.there.send(b"x")
    loop.turn()
    assert sorted([first.seen, second.seen]) == [[], [b"x"]]
    for connection in (first, second):
        rounds.remove(connection.fd)
        connection.close()


def test_a_reader_that_raises_stops_no_other(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection]
) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY)
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()

    def fail() -> None:
        connections[2].read()
        raise RuntimeError("a defect")

    rounds.remove(connections[2].fd)
    rounds.add(connections[2].fd, fail)
    connections[1].there.send(b"y")
    connections[2].there.send(b"y")
    with pytest.raises(RuntimeError, match="a defect"):
        loop.fire()
    loop.fire()
    assert connections[1].seen == [b"y"]


def test_our_own_stamp_is_when_all_of_a_round_were_found(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection]
) -> None:
    stamps: list[int] = []

    def reader(connection: Connection) -> Callable[[], None]:
        def read() -> None:
            connection.read()
            stamps.append(clock.arrival_ns([]))

        return read

    for connection in connections:
        rounds.remove(connection.fd)
        rounds.add(connection.fd, reader(connection))
        connection.there.send(b"x")
    before = time.monotonic_ns()
    loop.turn()
    assert len(stamps) == 3
    assert len(set(stamps)) == 1
    assert before <= stamps[0] <= time.monotonic_ns()


def test_closed_it_leaves_neither_timer_nor_descriptor(clock: ArrivalClock) -> None:
    loop = ByHand()
    before = psutil.Process().num_fds()
    rounds = Rounds(cast("Any", loop), clock)
    connection = Connection()
    rounds.add(connection.fd, connection.read)
    stamp(clock)
    read_often(loop, connection, MANY)
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()
    rounds.close()
    connection.close()
    assert loop.cancelled == 1
    assert not loop.readers
    assert psutil.Process().num_fds() == before


def test_where_there_is_no_epoll_the_loop_calls_each(clock: ArrivalClock) -> None:
    loop = uvloop.new_event_loop()
    readers = LoopReaders(loop, clock)
    connection = Connection()
    stamps = []

    def read() -> None:
        connection.read()
        stamps.append(clock.arrival_ns([]))
        readers.remove(connection.fd)
        loop.stop()

    readers.add(connection.fd, read)
    before = time.monotonic_ns()
    connection.there.send(b"x")
    loop.run_forever()
    readers.judge()
    readers.close()
    loop.close()
    connection.close()
    assert connection.seen == [b"x"]
    assert before <= stamps[0] <= time.monotonic_ns()
