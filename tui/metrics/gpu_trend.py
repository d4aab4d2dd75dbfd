"""How busy the cards were in the latest minute, one value a round of readings. Pure; of bounded size."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from tui.metrics.gpu_hosts import added_up, by_host
from tui.metrics.reading import GpuReading

ROUNDS = 60
"""A round is taken each second of the clock."""


class GpuTrend(msgspec.Struct, frozen=True, array_like=True):
    """One card, or all cards of one host where there are several hosts, oldest first; None where it was not told."""

    index: int
    """0 for all cards of a host."""
    active_share: list[float | None]
    """0 to 1."""
    power_w: list[float | None]
    host: str = ""


class GpuTrends:
    """The latest minute of all cards; slices tell neither power nor activity.

    Where there are several hosts each has one trend, of its cards together: there is no room for more to be looked at,
    and a snapshot of hundreds of cards would be made of little else.
    """

    def __init__(self) -> None:
        self._rounds: deque[dict[tuple[str, int], tuple[float | None, float | None]]] = deque(maxlen=ROUNDS)

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take one round of readings."""
        cards = [reading for reading in readings if reading.mig_index is None]
        hosts = by_host(cards)
        if len(hosts) > 1:
            cards = [added_up(own, host) for host, own in hosts.items()]
        self._rounds.append({card.card: (_rounded(card.active_share, 2), _rounded(card.power_w, 0)) for card in cards})

    @property
    def trends(self) -> list[GpuTrend]:
        """Return one for each card, or host, that was read in the latest round and has told anything."""
        unknown = (None, None)
        found = []
        for card in self._rounds[-1] if self._rounds else ():
            pairs = [each.get(card, unknown) for each in self._rounds]
            if any(value is not None for pair in pairs for value in pair):
                host, index = card
                found.append(GpuTrend(index, [share for share, _ in pairs], [power for _, power in pairs], host))
        return found


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
