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

from tui.load.rounds import GATHERED_READS, LONGEST_REST_S, MANY_READS_PER_S, LoopReaders, Rounds
from tui.load.stamps import SO_TIMESTAMPNS, ArrivalClock

JUDGED_EVERY_S = 0.1
MANY = round(MANY_READS_PER_S * JUDGED_EVERY_S) + 1


@dataclass
class ByHand:
    """A loop whose readers a test calls itself."""

    now_s: float = 0.0
    readers: dict[int, Callable[[], None]] = field(default_factory=dict)

    def time(self) -> float:
        return self.now_s

    def add_reader(self, fd: int, read: Callable[[], None]) -> None:
        self.readers[fd] = read

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def turn(self) -> None:
        """Call what waits for readiness: all is ready here."""
        for read in list(self.readers.values()):
            read()


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


def judge(loop: ByHand, rounds: Rounds) -> None:
    loop.now_s += JUDGED_EVERY_S
    rounds.judge()


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it slept, each time, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr("tui.load.rounds.time.sleep", slept.append)
    return slept


def test_few_are_read_at_once(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection], rests: list[float]
) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY - 1)
    judge(loop, rounds)
    read_often(loop, connections[1], 1)
    assert [len(each.seen) for each in connections] == [MANY - 1, 1, 0]
    assert not rests


def test_many_are_left_to_gather_until_they_are_few_again(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY)
    judge(loop, rounds)
    came = iter(connections[1:])
    # While it rests, another one comes.
    monkeypatch.setattr("tui.load.rounds.time.sleep", lambda _: next(came).there.send(b"y"))
    read_often(loop, connections[0], 1)
    assert [len(each.seen) for each in connections] == [MANY + 1, 1, 0]
    judge(loop, rounds)
    read_often(loop, connections[0], 1)
    assert [len(each.seen) for each in connections] == [MANY + 2, 1, 0]


def test_the_more_come_the_shorter_the_rest(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection], rests: list[float]
) -> None:
    stamp(clock)
    for times in (MANY, 10 * MANY):
        read_often(loop, connections[0], times)
        rests.clear()
        judge(loop, rounds)
        read_often(loop, connections[0], 1)
        assert rests == [pytest.approx(min(GATHERED_READS * JUDGED_EVERY_S / times, LONGEST_REST_S), rel=0.01)]


def test_without_kernel_stamps_it_never_rests(
    loop: ByHand, clock: ArrivalClock, rounds: Rounds, connections: list[Connection], rests: list[float]
) -> None:
    clock.arrival_ns([])
    read_often(loop, connections[0], 2 * MANY)
    judge(loop, rounds)
    read_often(loop, connections[0], 1)
    assert not rests


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


def test_closed_it_leaves_no_descriptor(clock: ArrivalClock) -> None:
    loop = ByHand()
    before = psutil.Process().num_fds()
    rounds = Rounds(cast("Any", loop), clock)
    connection = Connection()
    rounds.add(connection.fd, connection.read)
    rounds.close()
    connection.close()
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
