"""The session's time axis.

With a simulated server whose modelled time runs X times faster, everything the session keeps is in modelled time: each
real time is mapped once, where it enters the bench, so that no figure mixes the two.
"""

from __future__ import annotations

import msgspec

from tui.core.clock import now_ns
from tui.metrics.record import RequestRecord, scaled_gaps


class SessionClock:
    """Maps monotonic ns to session ns: the same numbers when `time_scale` is 1."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self.time_scale = time_scale
        self.start_ns = now_ns()

    def now_ns(self) -> int:
        """Return the session time, ns."""
        return self.at(now_ns())

    def at(self, real_ns: int) -> int:
        """Return the session time of a monotonic time, ns."""
        if self.time_scale == 1.0:
            return real_ns
        return self.start_ns + round((real_ns - self.start_ns) * self.time_scale)

    def record(self, record: RequestRecord) -> RequestRecord:
        """Return a record of a load worker in session time."""
        if self.time_scale == 1.0:
            return record
        gaps = scaled_gaps(record, self.time_scale)
        return msgspec.structs.replace(
            record,
            intended_start_ns=self.at(record.intended_start_ns),
            start_ns=self.at(record.start_ns),
            first_token_ns=None if record.first_token_ns is None else self.at(record.first_token_ns),
            last_token_ns=None if record.last_token_ns is None else self.at(record.last_token_ns),
            end_ns=self.at(record.end_ns),
            event_gaps_us=gaps.event_gaps_us,
            gaps_histogram=gaps.gaps_histogram,
            gap_max_us=gaps.gap_max_us,
        )
