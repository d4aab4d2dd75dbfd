"""Horizontal bars of blocks, whole cells only: what a projector and a slow line show alike. Pure."""

from __future__ import annotations

import math

from tui.view.widgets.lines import Ink, Line

EMPTY = "░"


def filled(share: float | None, width: int) -> int:
    """Return how many of `width` cells a share of 0 to 1 fills; 0 only for nothing, all only for everything."""
    if share is None or not math.isfinite(share) or share <= 0 or width <= 0:
        return 0
    if share >= 1:
        return width
    return min(max(1, round(share * width)), width - 1) if width > 1 else 1


def bar(share: float | None, width: int, ink: Ink = Ink.PLAIN) -> Line:
    """Return one bar."""
    full = filled(share, width)
    return [("█" * full, ink), (EMPTY * (width - full), Ink.FAINT)]


def stacked(parts: list[tuple[float, str, Ink]], total: float, width: int) -> Line:
    """Return parts (amount, glyph, ink) side by side against a total; the sum decides the whole length."""
    if total <= 0 or not math.isfinite(total):
        return [(EMPTY * width, Ink.FAINT)]
    line: Line = []
    done = 0
    amount = 0.0
    for part, glyph, ink in parts:
        amount += max(0.0, part) if math.isfinite(part) else 0.0
        end = max(done, filled(amount / total, width))
        line.append((glyph * (end - done), ink))
        done = end
    line.append((EMPTY * (width - done), Ink.FAINT))
    return line
