"""The energy of a cell, by the cards' own counters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.metrics.reading import GpuReading


@dataclass(frozen=True, slots=True)
class _Total:
    """What all cards have taken so far."""

    at_ns: int
    energy_j: float


class EnergyMeter:
    """Takes the readings of a cell, one round a second, and tells its energy by the first and the last of them."""

    def __init__(self, since_ns: int) -> None:
        """`since_ns`: from when on readings are of the cell."""
        self._since_ns = since_ns
        self._first: _Total | None = None
        self._last: _Total | None = None

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take a round of readings, be it the same again; while a card's counter is missing, so is the figure."""
        cards = [card for card in readings if card.mig_index is None]
        at_ns = max((card.at_ns for card in cards), default=0)
        if at_ns < self._since_ns:
            return
        known = [card.energy_j for card in cards if card.energy_j is not None]
        self._last = _Total(at_ns, sum(known)) if len(known) == len(cards) else None
        self._first = self._first or self._last

    def joules(self, duration_s: float | None) -> float | None:
        """Return what a cell of so many seconds took: as much a second as between its first and its last reading.

        None when there are no two readings of all cards.
        """
        if duration_s is None or self._first is None or self._last is None:
            return None
        span_s = (self._last.at_ns - self._first.at_ns) / NS_PER_S
        taken_j = self._last.energy_j - self._first.energy_j
        return taken_j / span_s * duration_s if span_s > 0 and taken_j >= 0 else None
