"""The one time axis: CLOCK_MONOTONIC in nanoseconds, shared by all processes of one machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


def now_ns() -> int:
    """Return the monotonic time in ns."""
    return time.monotonic_ns()


def utc_now() -> str:
    """Return the wall time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seconds(ns: int) -> float:
    """Return nanoseconds as seconds."""
    return ns / NS_PER_S
