"""When bytes arrived: the kernel's receive timestamp where it is to be had, else our own.

SO_TIMESTAMPNS (socket(7)) gives CLOCK_REALTIME of the last segment that a read returned; it is moved to the one axis
of a session, CLOCK_MONOTONIC, by an offset that is sampled each second, and at once when the wall clock was set. So a
token's time does not depend on how busy the worker is, and the distance to the present is the worker's own lag.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from time import monotonic_ns

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python 3.11 does not name it
ANCILLARY_BYTES = 64
_unpack_timespec = struct.Struct("@ll").unpack
_NS_PER_S = 1_000_000_000
# Further off than this a stamp says more of a stepped wall clock than of our lag, so the offset is sampled again.
_SUSPICIOUS_LAG_NS = 500_000_000
_STEP_NS = 1_000_000

Ancillary = list[tuple[int, int, bytes]]


class ArrivalClock:
    """The clock of one worker; one thread."""

    __slots__ = (
        "_first_ns",
        "_held",
        "_is_mixed",
        "_kernel_stamps",
        "_offset_ns",
        "_oldest_ns",
        "_second",
        "_second_ns",
        "_source",
        "found_ns",
        "lags_ns",
        "own_stamps",
    )

    def __init__(self) -> None:
        self._offset_ns = _sample_offset_ns()
        self._second = -1
        self._second_ns = 0
        """The last stamp's second of CLOCK_REALTIME, and when that began by CLOCK_MONOTONIC."""
        self.found_ns = 0
        """When what is read now was found to be there: our own stamp of all that is read in one round."""
        self._oldest_ns = 0
        """A stamp from before it is doubtful, and so is one from after `found_ns`."""
        self._first_ns: int | None = None
        """The first stamp of a round that was not doubtful: the oldest, for epoll tells in order."""
        self._is_mixed = False
        """Whether what is read may be older than a new setting of the wall clock."""
        self.lags_ns: list[int] = []
        """From arrival to processing, since `take_lags`: the longest of each round of reads, and each doubtful one."""
        self._kernel_stamps = 0
        self.own_stamps = 0
        self._source = ""
        # The kernel begins to stamp a moment after the first socket asked for it: this one asks before any connects.
        self._held = socket.socket()
        ask_for_stamps(self._held)

    @property
    def source(self) -> str:
        """Return where the last second's times came from: `kernel`, or `client` when any did not; empty before any."""
        if self._kernel_stamps or self.lags_ns or self.own_stamps:
            return "client" if self.own_stamps else "kernel"
        return self._source

    def resync(self) -> None:
        """Sample the offset of the two clocks, and begin a new second; the lags of the old one have been taken."""
        self._sample_offset()
        self._source = self.source
        self._kernel_stamps = 0
        self.own_stamps = 0

    def begin_batch(self) -> None:
        """Take it that what is there now is about to be read."""
        found_ns = self.found_ns = monotonic_ns()
        self._first_ns = None
        self._is_mixed = abs(found_ns - time.time_ns() - self._offset_ns) > _STEP_NS and self._is_stepped()
        self._oldest_ns = found_ns + 1 if self._is_mixed else found_ns - _SUSPICIOUS_LAG_NS

    def end_batch(self) -> None:
        """Take it that all that was there has been read and processed."""
        if self._first_ns is not None:
            self.lags_ns.append(monotonic_ns() - self._first_ns)

    def take_lags(self) -> list[int]:
        """Return the lags since the last call, ns."""
        lags_ns, self.lags_ns = self.lags_ns, []
        self._kernel_stamps += len(lags_ns)
        return lags_ns

    def close(self) -> None:
        """Need no more stamps."""
        self._held.close()

    def arrival_ns(self, ancillary: Ancillary) -> int:
        """Return when the bytes that came with `ancillary` arrived, CLOCK_MONOTONIC in ns."""
        if not ancillary:
            self.own_stamps += 1
            return self.found_ns
        second, nanoseconds = _unpack_timespec(ancillary[0][2])
        if second != self._second:
            self._second = second
            self._second_ns = second * _NS_PER_S + self._offset_ns
        at_ns: int = self._second_ns + nanoseconds
        if self._oldest_ns <= at_ns <= self.found_ns:
            if self._first_ns is None:
                self._first_ns = at_ns
            return at_ns
        return self._doubtful_arrival_ns(second * _NS_PER_S + nanoseconds)

    def _doubtful_arrival_ns(self, stamp_ns: int) -> int:
        if self._is_mixed:
            return self.found_ns
        at_ns = stamp_ns + self._offset_ns
        lag_ns = monotonic_ns() - at_ns
        if 0 <= lag_ns < _SUSPICIOUS_LAG_NS:  # it came while the others of its round were read
            self.lags_ns.append(lag_ns)
            return at_ns
        stepped = self._is_stepped()
        now = monotonic_ns()
        if stepped:
            return now  # this one stamp belongs to neither offset
        self.lags_ns.append(max(0, now - stamp_ns - self._offset_ns))
        return min(stamp_ns + self._offset_ns, now)

    def _is_stepped(self) -> bool:
        """Sample the offset, and say whether the wall clock was set since the last time."""
        before = self._offset_ns
        self._sample_offset()
        return abs(self._offset_ns - before) > _STEP_NS

    def _sample_offset(self) -> None:
        self._offset_ns = _sample_offset_ns()
        self._second = -1


def ask_for_stamps(sock: socket.socket) -> bool:
    """Have the kernel stamp what arrives at `sock`; say whether it will."""
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def _sample_offset_ns() -> int:
    """Return CLOCK_MONOTONIC − CLOCK_REALTIME, by the tightest of a few readings."""
    best_width, best = None, 0
    for _ in range(5):
        before = monotonic_ns()
        wall = time.time_ns()
        after = monotonic_ns()
        if best_width is None or after - before < best_width:
            best_width, best = after - before, (before + after) // 2 - wall
    return best
