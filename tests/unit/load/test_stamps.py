"""Kernel stamps on the one time axis, also when the wall clock is set."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from tui.load.stamps import ANCILLARY_BYTES, SO_TIMESTAMPNS, ArrivalClock, ask_for_stamps


def ancillary(wall_ns: int) -> list[tuple[int, int, bytes]]:
    return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", wall_ns // 10**9, wall_ns % 10**9))]


@pytest.fixture
def clock() -> Iterator[ArrivalClock]:
    made = ArrivalClock()
    yield made
    made.close()


def test_a_stamp_is_moved_to_the_monotonic_axis(clock: ArrivalClock) -> None:
    wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
    assert abs(clock.arrival_ns(ancillary(wall_ns - 2_000_000)) - (monotonic_ns - 2_000_000)) < 50_000_000
    assert clock.source == "kernel"
    assert len(clock.lags_ns) == 1
    assert clock.lags_ns[0] >= 2_000_000


def test_without_a_stamp_it_is_our_own_and_says_so(clock: ArrivalClock) -> None:
    clock.begin_batch()
    assert clock.arrival_ns([]) == clock.found_ns
    assert clock.source == "client"
    clock.arrival_ns(ancillary(time.time_ns()))
    assert clock.source == "client"
    assert len(clock.take_lags()) == 1
    clock.resync()
    assert clock.source == "client"
    clock.arrival_ns(ancillary(time.time_ns()))
    assert clock.source == "kernel"


def test_a_long_lag_is_believed_when_the_clock_was_not_set(clock: ArrivalClock) -> None:
    monotonic_ns = time.monotonic_ns()
    arrival_ns = clock.arrival_ns(ancillary(time.time_ns() - 3_000_000_000))
    assert abs(arrival_ns - (monotonic_ns - 3_000_000_000)) < 50_000_000


@pytest.mark.parametrize("step_ns", [-3600 * 10**9, 3600 * 10**9])
def test_a_stepped_wall_clock_moves_no_time(clock: ArrivalClock, step_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    stamped = ancillary(real())
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_ns)
    for message in (stamped, ancillary(real() + step_ns), ancillary(real() + step_ns)):
        before = time.monotonic_ns()
        arrival_ns = clock.arrival_ns(message)
        assert abs(arrival_ns - before) < 1_000_000_000
        assert arrival_ns <= time.monotonic_ns() + 1_000_000


def test_what_comes_while_its_round_is_read_keeps_its_stamp(clock: ArrivalClock) -> None:
    clock.begin_batch()
    found_ns = clock.found_ns
    while time.monotonic_ns() < found_ns + 2_000_000:
        pass
    wall_ns, there_ns = time.time_ns(), time.monotonic_ns()
    arrival_ns = clock.arrival_ns(ancillary(wall_ns))
    assert arrival_ns > found_ns
    assert abs(arrival_ns - there_ns) < 1_000_000
    clock.end_batch()
    assert len(clock.take_lags()) == 1


@pytest.mark.parametrize("step_ns", [-3600 * 10**9, 3600 * 10**9, 12_000_000])
def test_a_step_within_a_round_moves_no_time(
    clock: ArrivalClock, step_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    clock.begin_batch()
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_ns)
    before_ns = time.monotonic_ns()
    arrival_ns = clock.arrival_ns(ancillary(real() + step_ns))
    assert abs(arrival_ns - before_ns) < 11_000_000


@pytest.mark.parametrize("step_ns", [-12_000_000, 12_000_000])
def test_a_small_step_is_seen_by_the_round_after_it(
    clock: ArrivalClock, step_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    before = ancillary(real())
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_ns)
    clock.begin_batch()
    # Stamped before or after the step: nobody can tell, so both are our own.
    assert clock.arrival_ns(before) == clock.arrival_ns(ancillary(real() + step_ns)) == clock.found_ns
    clock.begin_batch()
    there_ns = time.monotonic_ns()
    assert abs(clock.arrival_ns(ancillary(real() + step_ns)) - there_ns) < abs(step_ns) / 2


def wait_for_stamping(sender: socket.socket, receiver: socket.socket) -> None:
    """The kernel begins to stamp a moment after it was asked to, later when it is busy."""
    for _ in range(100_000):
        sender.send(b"?")
        _, message, _, _ = receiver.recvmsg(10, ANCILLARY_BYTES)
        if message:
            return
    pytest.fail("the kernel stamps nothing")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what it receives")
def test_the_kernel_stamps_a_tcp_stream(clock: ArrivalClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        assert ask_for_stamps(client)
        client.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            wait_for_stamping(peer, client)
            before = time.monotonic_ns()
            peer.send(b"x")
            while client.recv(1, socket.MSG_PEEK) != b"x":
                pass
            there = time.monotonic_ns()
            time.sleep(0.1)  # the time we read it must not matter
            _, message, _, _ = client.recvmsg(10, ANCILLARY_BYTES)
            assert before - 1_000_000 <= clock.arrival_ns(message) <= there + 1_000_000


def test_where_nothing_has_come_yet_nothing_is_said_of_its_stamps(clock: ArrivalClock) -> None:
    clock.resync()
    assert clock.source == ""
