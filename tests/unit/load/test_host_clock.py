"""Another host's clock: what is said of its offset holds, whatever the network does."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.core.clock import NS_PER_MS, NS_PER_S
from tui.load.host_clock import MAX_DRIFT, WANDER, HostClock

T0 = 3_600 * NS_PER_S


@dataclass
class Planted:
    """A host's clock as it really is, and the way to it."""

    offset_ns: int
    drift: float
    there_ns: int
    back_ns: int
    jitter_ns: int
    seed: int

    def true_offset_ns(self, at_ns: int) -> float:
        return self.offset_ns + self.drift * (at_ns - T0)

    def pings(self, count: int, period_ns: int) -> list[tuple[int, int, int]]:
        chance = random.Random(self.seed)
        made = []
        for number in range(count):
            sent_ns = T0 + number * period_ns
            reached_ns = sent_ns + self.there_ns + chance.randint(0, self.jitter_ns)
            host_ns = round(reached_ns + self.true_offset_ns(reached_ns))
            received_ns = reached_ns + self.back_ns + chance.randint(0, self.jitter_ns)
            made.append((sent_ns, host_ns, received_ns))
        return made


def plants() -> st.SearchStrategy[Planted]:
    way = st.integers(0, 40 * NS_PER_MS)
    return st.builds(
        Planted,
        offset_ns=st.integers(-(10**16), 10**16),
        drift=st.floats(-0.9 * MAX_DRIFT, 0.9 * MAX_DRIFT),
        there_ns=way,
        back_ns=way,
        jitter_ns=st.integers(0, 100 * NS_PER_MS),
        seed=st.integers(0, 1000),
    )


@settings(max_examples=60, deadline=None)
@given(plants(), st.integers(1, 80), st.sampled_from([NS_PER_S // 2, 3 * NS_PER_S, 20 * NS_PER_S]))
def test_the_true_offset_lies_within_what_is_said(planted: Planted, count: int, period_ns: int) -> None:
    clock = HostClock()
    for ping in planted.pings(count, period_ns):
        clock.take(*ping)
        for later_ns in (ping[2], ping[2] + 5 * NS_PER_S, ping[2] + 60 * NS_PER_S):
            out_ns = clock.offset_ns(later_ns) - planted.true_offset_ns(later_ns)
            assert abs(out_ns) <= clock.error_ns(later_ns) + 2
    assert clock.jumps == 0


@settings(max_examples=40, deadline=None)
@given(plants(), st.integers(0, 10**12))
def test_there_and_back_is_the_same_moment(planted: Planted, later_ns: int) -> None:
    clock = HostClock()
    for ping in planted.pings(40, NS_PER_S):
        clock.take(*ping)
    assert abs(clock.to_ours(clock.to_host(T0 + later_ns)) - (T0 + later_ns)) <= 2


def test_many_pings_tell_more_than_one() -> None:
    planted = Planted(7 * NS_PER_S, 40e-6, NS_PER_MS // 5, NS_PER_MS // 5, 20 * NS_PER_MS, 1)
    one, many = HostClock(), HostClock()
    pings = planted.pings(600, NS_PER_S // 2)
    one.take(*pings[0])
    for ping in pings:
        many.take(*ping)
    now_ns = pings[-1][2]
    assert many.error_ns(now_ns) < 2 * NS_PER_MS < one.error_ns(pings[0][2])
    assert abs(many.drift_ppm - 40) < 15
    assert many.error_ns(now_ns + 60 * NS_PER_S) < 5 * NS_PER_MS
    assert many.round_trip_ns is not None and many.round_trip_ns < 4 * NS_PER_MS


def test_ways_of_unequal_length_move_the_offset_and_the_error_says_so() -> None:
    planted = Planted(0, 0.0, 30 * NS_PER_MS, NS_PER_MS, 0, 1)
    clock = HostClock()
    for ping in planted.pings(100, NS_PER_S):
        clock.take(*ping)
    now_ns = T0 + 100 * NS_PER_S
    assert clock.offset_ns(now_ns) == pytest.approx(14.5 * NS_PER_MS, rel=0.1)
    assert clock.error_ns(now_ns) == pytest.approx(15.5 * NS_PER_MS, rel=0.1)


@pytest.mark.parametrize("jump_s", [-30, 0.2, 3600])
def test_a_clock_that_jumps_is_learned_again(jump_s: float) -> None:
    planted = Planted(0, 10e-6, NS_PER_MS, NS_PER_MS, NS_PER_MS, 1)
    clock = HostClock()
    pings = planted.pings(200, NS_PER_S)
    for sent_ns, host_ns, received_ns in pings[:100]:
        clock.take(sent_ns, host_ns, received_ns)
    jump_ns = round(jump_s * NS_PER_S)
    for sent_ns, host_ns, received_ns in pings[100:]:
        clock.take(sent_ns, host_ns + jump_ns, received_ns)
        out_ns = clock.offset_ns(received_ns) - planted.true_offset_ns(received_ns) - jump_ns
        assert abs(out_ns) <= clock.error_ns(received_ns) + 2
    assert clock.jumps == 1


def test_a_rate_that_wanders_within_bounds_is_followed() -> None:
    clock, offset_ns, chance = HostClock(), 5.0e9, random.Random(3)
    for second in range(600):
        drift = 50e-6 + WANDER * (second / 600 - 0.5)
        offset_ns += drift * NS_PER_S
        sent_ns = T0 + second * NS_PER_S
        there_ns, back_ns = chance.randint(100_000, 3_000_000), chance.randint(100_000, 3_000_000)
        clock.take(sent_ns, round(sent_ns + there_ns + offset_ns), sent_ns + there_ns + back_ns)
        assert abs(clock.offset_ns(sent_ns) - offset_ns) <= clock.error_ns(sent_ns) + 2
    assert clock.jumps == 0


def test_before_the_first_ping_it_is_ours() -> None:
    clock = HostClock()
    assert (clock.known, clock.to_host(T0), clock.to_ours(T0), clock.round_trip_ns) == (False, T0, T0, None)
    with pytest.raises(ValueError, match="before it was sent"):
        clock.take(T0, T0, T0 - 1)
