"""Open loop: when requests are planned, whatever becomes of the earlier ones. Pure and seeded."""

from __future__ import annotations

import random

from tui.core.clock import NS_PER_S

CONSTANT = "constant"
POISSON = "poisson"
MAX_PLANNED = 10_000_000


def planned_offsets_ns(rate_per_s: float, arrivals: str, seed: int, duration_s: float) -> list[int]:
    """Return the planned starts within `duration_s`, ns after the beginning, in order; the same for the same seed.

    `constant`: one each 1 / rate, the first at 0. `poisson`: exponential gaps of mean 1 / rate.
    Raises ValueError for a rate or duration that is not above zero, an unknown kind, or an absurd number of requests.
    """
    if not rate_per_s > 0 or not duration_s > 0:
        raise ValueError(f"rate {rate_per_s} per s for {duration_s} s: expected both above 0")
    if rate_per_s * duration_s > MAX_PLANNED:
        raise ValueError(f"{rate_per_s * duration_s:.3g} planned requests; at most {MAX_PLANNED} are possible")
    if arrivals == CONSTANT:
        count = max(1, round(rate_per_s * duration_s))
        return [round(number / rate_per_s * NS_PER_S) for number in range(count)]
    if arrivals != POISSON:
        raise ValueError(f"arrivals {arrivals!r}: expected {CONSTANT} or {POISSON}")
    draw = random.Random(seed)
    offsets: list[int] = []
    at_s = draw.expovariate(rate_per_s)
    while at_s < duration_s:
        offsets.append(round(at_s * NS_PER_S))
        at_s += draw.expovariate(rate_per_s)
    return offsets
