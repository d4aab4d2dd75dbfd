"""Durations as people say them."""

from __future__ import annotations


def rough_duration(duration_s: float) -> str:
    """Return e.g. "40 s", "7 min", "2 h 05 min": as exact as anybody wants to know beforehand."""
    if duration_s <= 90:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
