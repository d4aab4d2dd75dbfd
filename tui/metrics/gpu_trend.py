"""How busy the cards were in the latest minute, one value a round of readings. Pure; of bounded size."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from tui.metrics.reading import GpuReading

ROUNDS = 60
"""A round is taken each second of the clock."""


class GpuTrend(msgspec.Struct, frozen=True, array_like=True):
    """One card, oldest first; None where it was not told."""

    index: int
    active_share: list[float | None]
    """0 to 1."""
    power_w: list[float | None]


class GpuTrends:
    """The latest minute of all cards; slices tell neither power nor activity."""

    def __init__(self) -> None:
        self._rounds: deque[dict[int, tuple[float | None, float | None]]] = deque(maxlen=ROUNDS)

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take one round of readings."""
        cards = [reading for reading in readings if reading.mig_index is None]
        self._rounds.append({card.index: (_rounded(card.active_share, 2), _rounded(card.power_w, 0)) for card in cards})

    @property
    def trends(self) -> list[GpuTrend]:
        """Return one for each card that was read in the latest round and has told anything."""
        unknown = (None, None)
        found = []
        for index in self._rounds[-1] if self._rounds else ():
            pairs = [each.get(index, unknown) for each in self._rounds]
            if any(value is not None for pair in pairs for value in pair):
                found.append(GpuTrend(index, [share for share, _ in pairs], [power for _, power in pairs]))
        return found


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
