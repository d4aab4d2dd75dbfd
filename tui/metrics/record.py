"""The full record of one request, made in a load worker and kept in the session."""

from __future__ import annotations

import sys
from array import array
from enum import StrEnum
from operator import sub

import msgspec

from tui.core.clock import NS_PER_S, NS_PER_US
from tui.core.outcome import Outcome
from tui.metrics.histogram import LogHistogram, packed

_LONGEST_US = 0xFFFFFFFF


class CountedBy(StrEnum):
    """Who counted the output tokens of an answer."""

    USAGE = "usage"
    """The server."""
    EVENTS = "events"
    """Nobody: one is taken to be in each event that bore some."""
    NONE = "none"
    """It did not come to that."""


class RequestRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request. Times are CLOCK_MONOTONIC in ns; what did not happen is None."""

    request_id: int
    """Unique in the session."""
    worker: int
    user: int
    tag: int
    """What the request was asked for: the bench gives each measurement (cell run) a number; 0 = none."""
    intended_start_ns: int
    """Closed loop: when the user was free to ask; open loop: the planned time."""
    start_ns: int
    """When the request was handed to the kernel."""
    first_token_ns: int | None
    last_token_ns: int | None
    end_ns: int
    """When the request was over for the client, however it ended."""
    prompt_tokens: int
    """As asked."""
    output_tokens_asked: int
    prompt_tokens_usage: int | None
    """By the server's own usage count."""
    output_tokens: int | None
    """Of the whole answer, by `counted_by`; None for one that did not come to its end."""
    events: int
    """Token-bearing events that arrived; fewer than output_tokens where the server packed several into one."""
    event_gaps_us: bytes
    """Gaps between successive token-bearing events in µs: uint32, little-endian; events - 1 values, or none at all
    where they are not kept."""
    outcome: Outcome
    http_status: int | None = None
    error: str = ""
    """What the server or the network said, control characters removed, at most 2,000 characters."""
    connect_ns: int | None = None
    """How long the connection took to open when this request had to open it; else None (it was open)."""
    gaps_histogram: bytes = b""
    """The same gaps, µs, counted (`histogram.packed`): what figures are made of. Empty in a session of old."""
    gap_max_us: int | None = None
    counted_by: CountedBy = CountedBy.USAGE

    @property
    def ok(self) -> bool:
        """Say whether the server gave all that was asked."""
        return self.outcome is Outcome.OK

    @property
    def ttft_s(self) -> float | None:
        """First token's arrival − intended start, s."""
        return None if self.first_token_ns is None else (self.first_token_ns - self.intended_start_ns) / NS_PER_S

    @property
    def e2e_s(self) -> float | None:
        """Last token's arrival − intended start, s."""
        return None if self.last_token_ns is None else (self.last_token_ns - self.intended_start_ns) / NS_PER_S

    @property
    def tpot_s(self) -> float | None:
        """(E2E − TTFT) / (n − 1), n = output tokens by the server's own usage count, s."""
        if self.first_token_ns is None or self.last_token_ns is None or (self.output_tokens or 0) < 2:
            return None
        return (self.last_token_ns - self.first_token_ns) / NS_PER_S / ((self.output_tokens or 0) - 1)

    @property
    def client_delay_s(self) -> float:
        """What the client itself was late by, s."""
        return (self.start_ns - self.intended_start_ns) / NS_PER_S

    @property
    def tokens(self) -> int:
        """Output tokens by the server's count, else one per event that bore some."""
        return self.events if self.output_tokens is None else self.output_tokens

    @property
    def packed(self) -> bool:
        """Say whether some event bore more than one token."""
        return self.output_tokens is not None and 0 < self.events < self.output_tokens

    @property
    def itl_mean_s(self) -> float | None:
        """Mean gap between successive token-bearing events, s."""
        if self.first_token_ns is None or self.last_token_ns is None or self.events < 2:
            return None
        return (self.last_token_ns - self.first_token_ns) / (self.events - 1) / NS_PER_S

    @property
    def itl_max_s(self) -> float | None:
        """Longest gap between successive token-bearing events, s."""
        longest_us = max(self.gaps_us(), default=None) if self.gap_max_us is None else self.gap_max_us
        return None if longest_us is None else longest_us * NS_PER_US / NS_PER_S

    def gaps_us(self) -> array[int]:
        """Return the gaps between successive token-bearing events, µs; none where they are not kept."""
        gaps = array("I", self.event_gaps_us)
        if sys.byteorder == "big":
            gaps.byteswap()
        return gaps

    def add_gaps_to(self, itl_us: LogHistogram) -> None:
        """Count the gaps, µs."""
        itl_us.merge_packed(self.gaps_histogram or packed(self.gaps_us()))

    def without_gaps(self) -> RequestRecord:
        """Return the record with its gaps counted only."""
        return msgspec.structs.replace(self, event_gaps_us=b"")


class Gaps(msgspec.Struct, frozen=True):
    """The gaps of one request, as its record holds them."""

    event_gaps_us: bytes = b""
    gaps_histogram: bytes = b""
    gap_max_us: int | None = None


def gaps_between(stamps_ns: list[int]) -> Gaps:
    """Return the gaps between successive stamps, ns."""
    return _gaps([gap_ns // NS_PER_US for gap_ns in map(sub, stamps_ns[1:], stamps_ns)])


def scaled_gaps(record: RequestRecord, factor: float) -> Gaps:
    """Return the gaps of a record that holds them all, each `factor` times as long."""
    return _gaps([round(gap_us * factor) for gap_us in record.gaps_us()])


def _gaps(gaps_us: list[int]) -> Gaps:
    if not gaps_us:
        return Gaps()
    longest_us = max(gaps_us)
    if longest_us > _LONGEST_US or min(gaps_us) < 0:
        gaps_us = [min(max(gap_us, 0), _LONGEST_US) for gap_us in gaps_us]
        longest_us = max(gaps_us)
    gaps = array("I", gaps_us)
    if sys.byteorder == "big":
        gaps.byteswap()
    return Gaps(gaps.tobytes(), packed(gaps_us), longest_us)
