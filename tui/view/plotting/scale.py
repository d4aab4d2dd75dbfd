"""Round values at which a lane ends, and how they are written. Pure."""

from __future__ import annotations

import math

_CELLS = 4


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


def round_ticks(top: float, most: int) -> list[float]:
    """Return 0 and the multiples of a round step (1, 2, 5 x 10^n) up to `top`, at most `most` of these."""
    least = top / max(1, most)
    magnitude = 10.0 ** math.floor(math.log10(least))
    step = next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= least * (1 - 1e-9))
    return [step * place for place in range(int(top / step * (1 + 1e-9)) + 1)]


def tick(value: float) -> str:
    """Return a scale's value in at most four cells, without needless zeros: 1500, 20k, 2M, 0.5, .075, 1e-5."""
    if value >= 1e9 or 0 < value < 0.001:
        text = f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    elif value >= 10_000:
        text = f"{value / 1e6:.0f}M" if value >= 1e6 else f"{value / 1e3:.0f}k"
    else:
        text = f"{value:.{3 if value < 1 else 1 if value < 100 else 0}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        text = text.removeprefix("0") if len(text) > _CELLS else text
    return text
