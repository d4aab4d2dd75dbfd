"""What another host's clock shows at a moment of ours, and how far that may be out. Pure.

Each host has a CLOCK_MONOTONIC of its own, which began at its own start and runs at its own rate. A ping tells that the
host's clock showed `host_ns` at some moment between `sent_ns` and `received_ns` of ours. So its offset (host - ours)
lies between host_ns - received_ns and host_ns - sent_ns, however unequal the ways there and back are: the bound is
never wrong, and the shortest round trip gives the tightest one (Cristian 1989; Marzullo and Owicki 1983 for taking
several together). Pings far apart bound the rate in the same way, and with it what an old ping still says now.

It is applied where a worker's report comes in and where a command goes out (`host_time`), and nowhere else.
"""

from __future__ import annotations

from itertools import combinations

from tui.core.clock import NS_PER_S

# The kernel slews a clock by no more than 500 ppm, and a quartz is out by less than 100.
MAX_DRIFT = 600e-6
# By how much the rate may change while the pings are kept: temperature, and a time server's corrections.
WANDER = 10e-6
SLOT_NS = 10 * NS_PER_S
"""Of the pings in so long a time the one with the shortest round trip is kept, and a few more of the latest."""
SLOTS = 30
LATEST = 10


class _Bound:
    """What one ping tells: at `at_ns` the offset was between `low_ns` and `high_ns`."""

    __slots__ = ("at_ns", "high_ns", "low_ns", "round_trip_ns")

    def __init__(self, sent_ns: int, host_ns: int, received_ns: int) -> None:
        self.round_trip_ns = received_ns - sent_ns
        self.at_ns = (sent_ns + received_ns) // 2
        self.low_ns = host_ns - received_ns
        self.high_ns = host_ns - sent_ns


class HostClock:
    """The clock of one host. Until the first ping it is taken to show what ours does."""

    def __init__(self) -> None:
        self._bounds: list[_Bound] = []
        self._at_ns = 0
        self._offset_ns = 0.0
        self._error_ns = 0.0
        self._drift = 0.0
        self._drift_error = MAX_DRIFT
        self.jumps = 0
        """How often its pings contradicted each other, as after a sleep of the host: the older ones were forgotten."""

    @property
    def known(self) -> bool:
        """Say whether a ping came back."""
        return bool(self._bounds)

    @property
    def round_trip_ns(self) -> int | None:
        """Return the shortest round trip of those kept; None before the first."""
        return min((bound.round_trip_ns for bound in self._bounds), default=None)

    @property
    def drift_ppm(self) -> float:
        """Return by how much it gains on ours, in millionths."""
        return self._drift * 1e6

    def offset_ns(self, at_ns: int) -> int:
        """Return host - ours at a moment of ours."""
        return round(self._offset_ns + self._drift * (at_ns - self._at_ns))

    def error_ns(self, at_ns: int) -> int:
        """Return how far the offset may be out, either way, at a moment of ours."""
        return round(self._error_ns + self._drift_error * abs(at_ns - self._at_ns))

    def to_host(self, at_ns: int) -> int:
        """Return what the host's clock shows at a moment of ours."""
        return at_ns + self.offset_ns(at_ns)

    def to_ours(self, host_ns: int) -> int:
        """Return the moment of ours at which the host's clock shows `host_ns`."""
        return self._at_ns + round((host_ns - self._at_ns - round(self._offset_ns)) / (1 + self._drift))

    def take(self, sent_ns: int, host_ns: int, received_ns: int) -> None:
        """Take a ping that came back. Raises ValueError for one that came back before it was sent."""
        if received_ns < sent_ns:
            raise ValueError("a ping came back before it was sent")
        new = _Bound(sent_ns, host_ns, received_ns)
        if self.known and self._tells_nothing_new(new):
            return
        self._bounds = _thinned([*self._bounds, new])
        if not self._fit():
            self.jumps += 1
            self._bounds = [new]
            self._fit()

    def _tells_nothing_new(self, new: _Bound) -> bool:
        offset, error = self.offset_ns(new.at_ns), self.error_ns(new.at_ns)
        return new.low_ns <= offset - error and new.high_ns >= offset + error

    def _fit(self) -> bool:
        """Find rate and offset that all kept pings allow; return whether there are any."""
        slowest, fastest = -MAX_DRIFT, MAX_DRIFT
        for early, late in combinations(self._bounds, 2):
            apart_ns = max(1, late.at_ns - early.at_ns)
            slowest = max(slowest, (late.low_ns - early.high_ns) / apart_ns - WANDER)
            fastest = min(fastest, (late.high_ns - early.low_ns) / apart_ns + WANDER)
        drift, drift_error = (slowest + fastest) / 2, (fastest - slowest) / 2 + WANDER
        now_ns = self._bounds[-1].at_ns
        low, high = float("-inf"), float("inf")
        for bound in self._bounds:
            age_ns = now_ns - bound.at_ns
            # Within a round trip the clock drifts as well.
            doubt_ns = drift_error * age_ns + MAX_DRIFT * bound.round_trip_ns / 2
            low = max(low, bound.low_ns + drift * age_ns - doubt_ns)
            high = min(high, bound.high_ns + drift * age_ns + doubt_ns)
        if slowest > fastest or low > high:
            return False
        self._at_ns, self._offset_ns, self._error_ns = now_ns, (low + high) / 2, (high - low) / 2
        self._drift, self._drift_error = drift, drift_error
        return True


def _thinned(bounds: list[_Bound]) -> list[_Bound]:
    """Return the best of each slot, and the best few of the latest, the newest among them; in the order of time."""
    newest = bounds[-1]
    best: dict[int, _Bound] = {}
    latest = []
    for bound in bounds[:-1]:
        age_ns, slot = newest.at_ns - bound.at_ns, bound.at_ns // SLOT_NS
        if age_ns < SLOT_NS:
            latest.append(bound)
        elif age_ns < SLOTS * SLOT_NS and (slot not in best or bound.round_trip_ns < best[slot].round_trip_ns):
            best[slot] = bound
    latest = sorted(latest, key=lambda bound: bound.round_trip_ns)[: LATEST - 1]
    return [*best.values(), *sorted(latest, key=lambda bound: bound.at_ns), newest]
