"""The GPUs of several machines: by host, added up, and round by round. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from tui.metrics.reading import GpuReading, devices

HOST_CHARS = 64
"""Of a host's name."""
_MOST_SAID = 3
_NUMBERS = re.compile(r"(\d{1,9})")


class _Placed(Protocol):
    @property
    def place(self) -> str: ...


_P = TypeVar("_P", bound=_Placed)


def in_order(host: str) -> list[tuple[int, str]]:
    """Return what hosts are sorted by: node2 before node10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(host)]


def by_host(readings: Iterable[GpuReading]) -> dict[str, list[GpuReading]]:
    """Return the readings of each host, the hosts in the order in which they come."""
    hosts: dict[str, list[GpuReading]] = {}
    for reading in readings:
        hosts.setdefault(reading.host, []).append(reading)
    return hosts


def cards_in_words(readings: Iterable[GpuReading]) -> str:
    """Return the cards, e.g. "2 × NVIDIA L4"; "" for none."""
    names = {reading.card: reading.name for reading in readings if reading.mig_index is None}
    counts = Counter(names.values())
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in sorted(counts.items()))


def added_up(readings: Sequence[GpuReading], host: str) -> GpuReading:
    """Return several cards (at least one) as one: memory, power and energy of all together, the mean of their activity,
    the hottest, why any of them is held back.

    Memory is added where used and total are told both; the parts, power and energy only where all tell them, since a
    sum that lacks some would be taken for the whole.
    """
    cards = [reading for reading in readings if reading.mig_index is None]
    told = [one for one in devices(readings) if one.vram_used_bytes is not None and one.vram_total_bytes is not None]
    alive = [card for card in cards if not card.lost]
    active = [card.active_share for card in alive if card.active_share is not None]
    return GpuReading(
        at_ns=max(reading.at_ns for reading in readings),
        index=0,
        name=cards_in_words(cards),
        host=host,
        simulated=any(reading.simulated for reading in readings),
        lost=bool(cards) and not alive,
        vram_total_bytes=_sum([one.vram_total_bytes for one in told]),
        vram_used_bytes=_sum([one.vram_used_bytes for one in told]),
        vram_reserved_bytes=_sum([one.vram_reserved_bytes for one in told]),
        vram_free_bytes=_sum([one.vram_free_bytes for one in told]),
        vram_server_bytes=_sum([one.vram_server_bytes for one in told]),
        vram_weights_bytes=_sum([one.vram_weights_bytes for one in told]),
        vram_kv_cache_bytes=_sum([one.vram_kv_cache_bytes for one in told]),
        vram_other_bytes=_sum([one.vram_other_bytes for one in told]),
        active_share=sum(active) / len(active) if active else None,
        power_w=_float_sum([card.power_w for card in alive]),
        energy_j=_float_sum([card.energy_j for card in alive]),
        power_limit_w=_float_sum([card.power_limit_w for card in alive]),
        temperature_c=max((card.temperature_c for card in alive if card.temperature_c is not None), default=None),
        throttle=_throttle(alive),
        clock_mhz=min((card.clock_mhz for card in alive if card.clock_mhz is not None), default=None),
        vram_neighbours_bytes=_sum([one.vram_neighbours_bytes for one in told]),
        vram_neighbours=", ".join(_distinct(one.vram_neighbours for one in told)),
    )


def rounds(readings: Iterable[_P]) -> Iterator[list[_P]]:
    """Yield what comes in order of time round by round: in each, no place is twice."""
    latest: dict[str, _P] = {}
    for reading in readings:
        if reading.place in latest:
            yield list(latest.values())
            latest = {}
        latest[reading.place] = reading
    if latest:
        yield list(latest.values())


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _float_sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _throttle(cards: Sequence[GpuReading]) -> str | None:
    told = [card.throttle for card in cards if card.throttle is not None]
    return ", ".join(_distinct(told)) if told else None


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))[:_MOST_SAID]
