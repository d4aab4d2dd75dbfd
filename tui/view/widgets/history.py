"""A line over time in braille dots, two to a cell across and four up: cheap enough for every refresh. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def history(values: Sequence[float | None], top: float, width: int, height: int) -> list[str]:
    """Return `height` texts of `width` cells; one value a dot column, the last 2 * width of them, holes left open.

    The scale runs from 0 to `top`. Neighbouring values are joined by a vertical stroke.
    """
    if width <= 0 or height <= 0:
        return []
    masks = [[0] * width for _ in range(height)]
    levels = height * 4
    previous: int | None = None
    recent = list(values)[-2 * width :]
    for column, value in enumerate(recent):
        if value is None or not math.isfinite(value):
            previous = None
            continue
        share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
        level = min(levels - 1, int(share * (levels - 1) + 0.5))
        low, high = (level, level) if previous is None else _joined(previous, level)
        for step in range(low, high + 1):
            row = height - 1 - step // 4
            masks[row][column // 2] |= _DOTS[column % 2][3 - step % 4]
        previous = level
    return ["".join(chr(0x2800 + mask) if mask else " " for mask in row) for row in masks]


def _joined(previous: int, level: int) -> tuple[int, int]:
    """Return the stroke (low, high) that joins a dot to the one before it without covering that one."""
    if level > previous + 1:
        return previous + 1, level
    if level < previous - 1:
        return level, previous - 1
    return level, level
