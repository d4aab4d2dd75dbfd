"""How the view writes figures: fixed widths, `–` for what is missing, no figure wider than its place.

Everything here is pure. Widths are in terminal cells; a figure is right-aligned in its width, so that nothing jumps
when it changes.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from tui.core.clock import NS_PER_S
from tui.core.durations import rough_duration

MISSING = "–"


def is_figure(value: float | None) -> bool:
    """Say whether `value` can be shown: neither missing nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, width: int, decimals: int = 0) -> str:
    """Return `value` right-aligned with so many decimals; fewer, then an exponent, where it would not fit.

    Width 0 means as wide as it is. A figure is never cut to another one: what fits in no way is shown as `#`.
    """
    if value is None or not math.isfinite(value):
        return MISSING.rjust(width)
    for places in range(decimals, -1, -1):
        text = f"{value:.{places}f}"
        if not width or len(text) <= width:
            return text.rjust(width)
    text = f"{value:.0e}".replace("e+", "e")
    fits = len(text) <= width and math.isfinite(float(text))  # the largest ones round up beyond all numbers
    return text.rjust(width) if fits else "#" * width


def significant(value: float | None, width: int = 4) -> str:
    """Return `value` with about three significant digits: 0.21, 4.61, 14.2, 302."""
    if value is None or not math.isfinite(value):
        return MISSING.rjust(width)
    size = abs(value)
    decimals = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return fixed(value, width, decimals)


def per_second(value: float | None, width: int = 5) -> str:
    """Return tokens/s: 7.4, 21.3, 512, 12345."""
    if value is None or not math.isfinite(value):
        return MISSING.rjust(width)
    return fixed(value, width, 1 if abs(value) < 99.95 else 0)


def milliseconds(value_s: float | None, width: int = 4) -> str:
    """Return seconds as ms; sub-millisecond values with one decimal."""
    if value_s is None or not math.isfinite(value_s):
        return MISSING.rjust(width)
    value_ms = value_s * 1000
    return fixed(value_ms, width, 1 if abs(value_ms) < 9.95 else 0)


def gigabytes(value_bytes: float | None, width: int = 4) -> str:
    """Return bytes as GB (10^9), as the cards are sold."""
    return fixed(None if value_bytes is None else value_bytes / 1e9, width, 1)


def percent(share: float | None, width: int = 3) -> str:
    """Return a share of 0 to 1 as a whole number of percent, without the sign."""
    return fixed(None if share is None else share * 100, width)


def within(error: float) -> str:
    """Return how sure a figure is, by the half width of its interval as a share of it: ±4.2 %; >±100 % beyond it."""
    return f"±{fixed(error * 100, 0, 1)} %" if error <= 1 else ">±100 %"


def count(value: float | None) -> str:
    """Return a count with thousands set apart: 188,640."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def hms(duration_s: float) -> str:
    """Return a duration as 00:12:41."""
    whole = max(0, int(duration_s))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def rough(duration_s: float | None) -> str:
    """Return a time to come as people say it: 40 s, 7 min, 2 h 05 min."""
    if duration_s is None or not math.isfinite(duration_s):
        return MISSING
    return rough_duration(duration_s)


def wall_clock(started_at: str, started_at_ns: int, at_ns: int, time_scale: float = 1.0) -> str:
    """Return the local time of `at_ns` as 18:04:11, from the session's start (ISO 8601 and the session's time).

    `time_scale`: how many seconds of the session's time pass in one of the clock's. Where the start is unreadable,
    the time since it.
    """
    since_start_s = (at_ns - started_at_ns) / NS_PER_S / (time_scale if time_scale > 0 else 1.0)
    try:
        moment = datetime.fromisoformat(started_at).astimezone() + timedelta(seconds=since_start_s)
    except (ValueError, OverflowError):
        return hms(since_start_s)
    return f"{moment:%H:%M:%S}"
