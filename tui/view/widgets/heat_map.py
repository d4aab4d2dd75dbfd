"""The cells of a grid as words, and as steps of a heat scale. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tui.core.outcome import Outcome
from tui.view import formatting
from tui.view.widgets.lines import HEAT, Ink

WORDS: dict[Outcome, tuple[str, str]] = {
    Outcome.PENDING: ("·", "·"),
    Outcome.RUNNING: ("…", "…"),
    Outcome.OOM_LAUNCH: ("OOM", "OOM"),
    Outcome.OOM_KV: ("OOM", "OOM kv"),
    Outcome.OOM_RUNTIME: ("OOM", "OOM"),
    Outcome.OOM_HOST: ("OOM", "OOM host"),
    Outcome.TOO_LONG: ("long", "too long"),
    Outcome.TIMEOUT: ("time", "timeout"),
    Outcome.OVERLOADED: ("over", "overload"),
    Outcome.ENGINE_DEAD: ("dead", "dead"),
    Outcome.HTTP_ERROR: ("http", "http err"),
    Outcome.DISCONNECTED: ("cut", "cut off"),
    Outcome.MALFORMED: ("junk", "malform."),
    Outcome.CLIENT_LIMIT: ("clnt", "client"),
    Outcome.CANCELLED: ("stop", "stopped"),
    Outcome.IMPLIED: ("╱╱╱", "╱╱╱"),
}
"""Each outcome in at most four cells, and in at most eight."""


def word(outcome: Outcome, width: int) -> str:
    """Return the outcome's word for a cell of so many cells."""
    short, long = WORDS.get(outcome, ("?", "?"))
    return long if len(long) <= width else short


def resolve(value_s: float | None, width: int) -> str:
    """Return a time to resolve as the published tables write it: one decimal; two below a second."""
    if value_s is None or not math.isfinite(value_s):
        return formatting.MISSING.rjust(width)
    return formatting.fixed(value_s, width, 2 if value_s < 0.995 else 1 if value_s < 999.5 else 0)


_LEAST_SPAN = math.log(1.5)


@dataclass(frozen=True)
class HeatStep:
    """One colour of a scale, and between which values it stands, the better one first."""

    ink: Ink
    begin: float
    end: float


class HeatScale:
    """Steps from the best (cool) to the worst value (warm), even on a logarithmic scale."""

    def __init__(self, values: Iterable[float | None], *, more_is_good: bool = False) -> None:
        known = [value for value in values if value is not None and math.isfinite(value) and value > 0]
        self._known = bool(known)
        self._low = min(known, default=1.0)
        self._span = math.log(max(known, default=1.0) / self._low)
        if 0 < self._span < _LEAST_SPAN:  # values that are nearly alike are not set apart as good and bad
            self._low = self._low * math.exp(self._span - _LEAST_SPAN) if more_is_good else self._low
            self._span = _LEAST_SPAN
        self._steps = HEAT[::-1] if more_is_good else HEAT
        self._even = HEAT[0]
        """Where all values are alike."""

    def ink(self, value: float | None) -> Ink:
        """Return the step of one value; 0 is beyond the least."""
        if value is None or not math.isfinite(value) or value < 0:
            return Ink.HEAT_OPEN
        if value == 0:
            return self._steps[0]
        if self._span <= 0:
            return self._even
        place = math.log(value / self._low) / self._span
        return self._steps[max(0, min(len(HEAT) - 1, int(place * len(HEAT))))]

    @property
    def steps(self) -> list[HeatStep]:
        """Return the colours from the best to the worst with the values between which they stand; none for no values,
        one where all are alike."""
        if not self._known:
            return []
        if self._span <= 0:
            return [HeatStep(self._even, self._low, self._low)]
        edges = [self._low * math.exp(self._span * place / len(HEAT)) for place in range(len(HEAT) + 1)]
        if self._steps is not HEAT:
            edges.reverse()
        return [HeatStep(ink, *between) for ink, between in zip(HEAT, pairwise(edges), strict=True)]
