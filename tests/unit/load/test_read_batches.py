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

from tui.load.read_batches import (
    FAST_STREAM_READS_PER_S,
    MANY_READS_PER_S,
    READS_AT_ONCE,
    REST_NS,
    LoopReaders,
    ReadBatches,
)
from tui.load.stamps import SO_TIMESTAMPNS, ArrivalClock

JUDGED_EVERY_S = 0.1
MANY = round(MANY_READS_PER_S * JUDGED_EVERY_S) + 1
# So many connections that none of them is a fast stream when there are MANY reads, and that one part does not hold all.
ENOUGH = max(round(MANY_READS_PER_S / FAST_STREAM_READS_PER_S), READS_AT_ONCE) + 9
LONG_NS = 60_000_000_000


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
def batches(loop: ByHand, clock: ArrivalClock) -> Iterator[ReadBatches]:
    made = ReadBatches(cast("Any", loop), clock)
    yield made
    made.close()


@pytest.fixture
def connections(batches: ReadBatches) -> Iterator[list[Connection]]:
    made = [Connection() for _ in range(ENOUGH)]
    for connection in made:
        batches.add(connection.fd, connection.read)
    yield made
    for connection in made:
        batches.remove(connection.fd)
        connection.close()


def stamp(clock: ArrivalClock, ago_ns: int = 0) -> None:
    wall_ns = time.time_ns() - ago_ns
    clock.arrival_ns([(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", wall_ns // 10**9, wall_ns % 10**9))])


def read_often(loop: ByHand, connection: Connection, times: int) -> None:
    for _ in range(times):
        connection.there.send(b"x")
        loop.turn()


def judge(loop: ByHand, batches: ReadBatches) -> None:
    loop.now_s += JUDGED_EVERY_S
    batches.judge()


class Rests:
    """What a rest waits for, and how long each was, s; `meanwhile` is done in place of waiting."""

    def __init__(self, urgent: Any) -> None:
        self._urgent = urgent
        self.lasted_s: list[float] = []
        self.meanwhile: Callable[[], object] = list

    def poll(self, longest_s: float, most: int) -> list[tuple[int, int]]:
        self.lasted_s.append(longest_s)
        self.meanwhile()
        return []

    def close(self) -> None:
        self._urgent.close()


@pytest.fixture
def rests(batches: ReadBatches, monkeypatch: pytest.MonkeyPatch) -> Rests:
    made = Rests(batches._urgent)
    monkeypatch.setattr(batches, "_urgent", made)
    return made


@pytest.fixture
def busy(loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection]) -> list[Connection]:
    """Connections by which so much came that reads are left to gather from now on."""
    stamp(clock)
    read_often(loop, connections[0], MANY)
    judge(loop, batches)
    connections[0].seen.clear()
    return connections


def test_few_are_read_at_once(
    loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection], rests: Rests
) -> None:
    stamp(clock)
    read_often(loop, connections[0], MANY - 1)
    judge(loop, batches)
    read_often(loop, connections[1], 1)
    assert [len(each.seen) for each in connections[:3]] == [MANY - 1, 1, 0]
    assert not rests.lasted_s


def test_many_are_left_to_gather_until_they_are_few_again(
    loop: ByHand, batches: ReadBatches, busy: list[Connection], rests: Rests
) -> None:
    rests.meanwhile = lambda: busy[1].there.send(b"y")
    read_often(loop, busy[0], 1)
    assert rests.lasted_s == [REST_NS / 1e9]
    assert [len(each.seen) for each in busy[:3]] == [1, 1, 0]
    judge(loop, batches)
    read_often(loop, busy[0], 1)
    assert [len(each.seen) for each in busy[:3]] == [2, 1, 0]
    assert len(rests.lasted_s) == 1


def test_fast_streams_are_not_left_to_gather(
    loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection], rests: Rests
) -> None:
    """Two events of one would share a stamp."""
    for connection in connections[1:]:
        batches.remove(connection.fd)
    stamp(clock)
    read_often(loop, connections[0], MANY)
    judge(loop, batches)
    read_often(loop, connections[0], 1)
    assert not rests.lasted_s


def test_without_kernel_stamps_it_never_rests(
    loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection], rests: Rests
) -> None:
    clock.arrival_ns([])
    read_often(loop, connections[0], 2 * MANY)
    judge(loop, batches)
    read_often(loop, connections[0], 1)
    assert not rests.lasted_s


def test_it_does_not_rest_while_requests_wait(
    loop: ByHand, batches: ReadBatches, busy: list[Connection], rests: Rests
) -> None:
    batches.in_haste = True
    read_often(loop, busy[0], 1)
    assert not rests.lasted_s
    batches.in_haste = False
    read_often(loop, busy[0], 1)
    assert len(rests.lasted_s) == 1


@pytest.mark.parametrize(("due_in_ns", "rests_once"), [(-5, False), (REST_NS // 2, False), (LONG_NS, True)])
def test_no_rest_delays_a_planned_request(
    loop: ByHand, batches: ReadBatches, busy: list[Connection], rests: Rests, due_in_ns: int, rests_once: bool
) -> None:
    batches.due_ns = time.monotonic_ns() + due_in_ns
    read_often(loop, busy[0], 1)
    assert len(rests.lasted_s) == rests_once


def test_the_end_of_an_answer_is_read_at_once_and_the_others_gather_on(
    loop: ByHand, batches: ReadBatches, busy: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.load.read_batches.REST_NS", LONG_NS)
    for _ in range(2):  # to say it twice does no harm
        batches.set_urgent(busy[1].fd, True)
    began_ns = time.monotonic_ns()
    busy[1].there.send(b"end")
    read_often(loop, busy[0], 1)
    assert [each.seen for each in busy[:3]] == [[], [b"end"], []]
    rests = Rests(batches._urgent)
    monkeypatch.setattr(batches, "_urgent", rests)
    loop.turn()
    spent_s = (time.monotonic_ns() - began_ns) / 1e9
    assert LONG_NS / 1e9 - spent_s <= rests.lasted_s[0] < LONG_NS / 1e9, "not a rest of its own"
    assert [each.seen for each in busy[:3]] == [[b"x"], [b"end"], []]


def test_what_is_urgent_again_and_again_keeps_none_waiting(
    loop: ByHand, batches: ReadBatches, busy: list[Connection]
) -> None:
    batches.set_urgent(busy[0].fd, True)
    for connection in busy[1:]:
        connection.there.send(b"x")
    while not any(each.seen for each in busy[1:]):  # for ever, if each began another rest
        busy[0].there.send(b"drip")
        loop.turn()
    for _ in range(2):
        busy[0].there.send(b"drip")
        loop.turn()
    assert all(each.seen for each in busy)


def test_the_end_of_an_answer_goes_before_what_has_gathered(
    loop: ByHand, batches: ReadBatches, busy: list[Connection]
) -> None:
    last = busy[-1]
    batches.set_urgent(last.fd, True)
    for connection in busy[:-1]:
        connection.there.send(b"x")
    loop.turn()
    last.there.send(b"end")
    assert [sum(map(bool, (each.seen for each in busy))), last.seen] == [READS_AT_ONCE, []]
    loop.turn()
    assert [sum(map(bool, (each.seen for each in busy))), last.seen] == [READS_AT_ONCE + 1, [b"end"]]
    loop.turn()
    assert all(each.seen for each in busy)


def test_of_all_that_is_urgent_some_take_their_turn_among_the_others(
    loop: ByHand, batches: ReadBatches, busy: list[Connection]
) -> None:
    """When all answers end at once, those that are asked for next have tokens long before the last has been read."""
    ends, others = busy[: READS_AT_ONCE + 4], busy[READS_AT_ONCE + 4 :]
    for connection in ends:
        batches.set_urgent(connection.fd, True)
    for connection in busy:
        connection.there.send(b"x")
    batches.in_haste = True
    loop.turn()
    assert [sum(bool(each.seen) for each in some) for some in (ends, others)] == [READS_AT_ONCE, len(others)]
    loop.turn()
    assert all(each.seen for each in busy)


def test_while_requests_wait_all_is_read_in_one_round(
    loop: ByHand, batches: ReadBatches, busy: list[Connection]
) -> None:
    """They go in slices of milliseconds: a few reads between two slices would not keep up with what comes."""
    batches.in_haste = True
    for connection in busy:
        connection.there.send(b"x")
    loop.turn()
    assert all(each.seen for each in busy)


def test_what_is_urgent_no_more_ends_no_rest(loop: ByHand, batches: ReadBatches, busy: list[Connection]) -> None:
    gone = busy.pop()
    for connection in (busy[1], gone):
        batches.set_urgent(connection.fd, True)
    batches.remove(gone.fd)
    gone.close()
    for _ in range(2):
        batches.set_urgent(busy[1].fd, False)
    busy[1].there.send(b"y")
    began_ns = time.monotonic_ns()
    read_often(loop, busy[0], 1)
    assert time.monotonic_ns() - began_ns >= REST_NS
    assert [len(each.seen) for each in busy[:3]] == [1, 1, 0]


def test_what_one_reader_closes_is_not_read(loop: ByHand, batches: ReadBatches) -> None:
    first, second = Connection(), Connection()

    def read(own: Connection, other: Connection) -> Callable[[], None]:
        def close_other() -> None:
            own.read()
            batches.remove(other.fd)
            other.close()

        return close_other

    batches.add(first.fd, read(first, second))
    batches.add(second.fd, read(second, first))
    first.there.send(b"x")
    second.there.send(b"x")
    loop.turn()
    assert sorted([first.seen, second.seen]) == [[], [b"x"]]
    for connection in (first, second):
        batches.remove(connection.fd)
        connection.close()


@pytest.mark.parametrize("urgent", [False, True])
def test_what_a_read_has_left_is_read_by_the_next_round(loop: ByHand, batches: ReadBatches, urgent: bool) -> None:
    connection = Connection()

    def read() -> bool:
        connection.seen.append(connection.here.recv(2))
        return len(connection.seen[-1]) == 2

    batches.add(connection.fd, read)
    batches.set_urgent(connection.fd, urgent)
    connection.there.send(b"abcde")
    for _ in range(4):
        loop.turn()
    assert connection.seen == [b"ab", b"cd", b"e"]
    batches.remove(connection.fd)
    connection.close()


def test_an_end_that_came_with_the_last_bytes_is_read_after_them(loop: ByHand, batches: ReadBatches) -> None:
    connection = Connection()

    def read() -> None:
        connection.read()
        if not connection.seen[-1]:
            batches.remove(connection.fd)

    batches.add(connection.fd, read)
    connection.there.send(b"last")
    connection.there.shutdown(socket.SHUT_WR)
    for _ in range(3):
        loop.turn()
    assert connection.seen == [b"last", b""]
    connection.close()


def test_what_was_there_before_it_was_added_or_moved_is_read(loop: ByHand, batches: ReadBatches) -> None:
    connection = Connection()
    connection.there.send(b"x")
    batches.add(connection.fd, connection.read)
    loop.turn()
    for urgent in (True, False):
        connection.there.send(b"x")
        batches.set_urgent(connection.fd, urgent)
        loop.turn()
    assert connection.seen == [b"x"] * 3
    batches.remove(connection.fd)
    connection.close()


def test_of_a_round_the_longest_lag_is_told(
    loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection]
) -> None:
    def reader(connection: Connection, ago_ns: int) -> Callable[[], None]:
        def read() -> None:
            connection.read()
            stamp(clock, ago_ns)

        return read

    for number, connection in enumerate(connections):
        batches.remove(connection.fd)
        batches.add(connection.fd, reader(connection, (1 + len(connections) - number) * 1_000_000))
        connection.there.send(b"x")
    began_ns = time.monotonic_ns()
    loop.turn()
    (lag_ns,) = clock.take_lags()
    spent_ns = time.monotonic_ns() - began_ns
    assert len(connections) * 1_000_000 < lag_ns < (1 + len(connections)) * 1_000_000 + spent_ns
    assert clock.source == "kernel"


def test_our_own_stamp_is_when_all_of_a_round_were_found(
    loop: ByHand, clock: ArrivalClock, batches: ReadBatches, connections: list[Connection]
) -> None:
    stamps: list[int] = []

    def reader(connection: Connection) -> Callable[[], None]:
        def read() -> None:
            connection.read()
            stamps.append(clock.arrival_ns([]))

        return read

    for connection in connections:
        batches.remove(connection.fd)
        batches.add(connection.fd, reader(connection))
        connection.there.send(b"x")
    before = time.monotonic_ns()
    loop.turn()
    assert len(stamps) == ENOUGH
    assert len(set(stamps)) == 1
    assert before <= stamps[0] <= time.monotonic_ns()


def test_closed_it_leaves_no_descriptor(clock: ArrivalClock) -> None:
    loop = ByHand()
    before = psutil.Process().num_fds()
    batches = ReadBatches(cast("Any", loop), clock)
    connection = Connection()
    batches.add(connection.fd, connection.read)
    batches.close()
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
