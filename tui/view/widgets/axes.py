"""The frame of every chart: round tick values, a scale at the left, a time line below. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tui.view import formatting
from tui.view.widgets.lines import Ink, Line
from tui.view.widgets.time_window import TimeWindow

_BLANK = " \u2800"
SCALE_CELLS = 6
"""Width of the scale at the left, its line included."""


def round_top(highest: float | None) -> float:
    """Return the next round value (1, 1.5, 2, 3, 4, 5, 6, 8 x 10^n) at or above `highest`; 1 for nothing."""
    if highest is None or not math.isfinite(highest) or highest <= 0:
        return 1.0
    if highest > 1e15:
        return highest
    magnitude = 10.0 ** math.floor(math.log10(highest))
    if magnitude <= 0:
        return 1.0
    for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if highest <= step * magnitude * (1 + 1e-9):
            return step * magnitude
    return 10 * magnitude


def tick(value: float) -> str:
    """Return a scale's value in its four cells, without needless zeros: 1500, 20k, 2M, 0.5, .075, 1e-5."""
    if value >= 1e9 or 0 < value < 0.001:
        text = f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    elif value >= 10_000:
        text = f"{value / 1e6:.0f}M" if value >= 1e6 else f"{value / 1e3:.0f}k"
    else:
        text = f"{value:.{3 if value < 1 else 1 if value < 100 else 0}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        text = text.removeprefix("0") if len(text) > SCALE_CELLS - 2 else text
    return text.rjust(SCALE_CELLS - 2)


def scaled(rows: list[Line], top: float) -> list[Line]:
    """Return chart rows with a scale from `top` to 0 at their left; the middle is named where it has a row."""
    height = len(rows)
    ticks = {0: top}
    if height >= 5 and height % 2:
        ticks[height // 2] = top / 2
    lines: list[Line] = []
    for place, row in enumerate(rows):
        label = tick(ticks[place]) if place in ticks else " " * (SCALE_CELLS - 2)
        lines.append([(label, Ink.DIM), (" ┤" if place in ticks else " │", Ink.FAINT), *row])
    return lines


def named(rows: list[Line], name: str) -> list[Line]:
    """Return scaled rows with the chart's name over the first cells of the top one, a curve there included."""
    if not rows:
        return rows
    chars = [(char, ink) for text, ink in rows[0] for char in text]
    end = SCALE_CELLS + len(name) + 2
    if len(chars) < end:
        return rows
    return [[*chars[:SCALE_CELLS], (f" {name} ", Ink.DIM), *chars[end:]], *rows[1:]]


def ruled(rows: list[Line], at_ns: Iterable[int], window: TimeWindow) -> list[Line]:
    """Return scaled rows of that window with a rule where a server died; what is drawn there stays."""
    places = [SCALE_CELLS + dot // 2 for one in at_ns if (dot := window.dot_of(one)) is not None]
    if not places:
        return rows
    lines: list[Line] = []
    for row in rows:
        chars = [(char, ink) for text, ink in row for char in text]
        for place in places:
            if place < len(chars) and chars[place][0] in _BLANK:
                chars[place] = ("│", Ink.FAILURE)
        lines.append(list(chars))
    return lines


def time_line(width: int, window_s: float) -> Line:
    """Return the line below a chart: from `window_s` ago at the left to now at the right."""
    room = max(0, width - SCALE_CELLS)
    left, right = f" {formatting.rough(window_s)} ago ", " now"
    if room < len(left) + len(right) + 4:
        return [("   0 └", Ink.FAINT), ("─" * room, Ink.FAINT)]
    rule = "─" * (room - len(left) - len(right) - 1)
    return [("   0", Ink.DIM), (" └─", Ink.FAINT), (left, Ink.DIM), (rule, Ink.FAINT), (right, Ink.DIM)]
