"""The cards of several hosts: what all of them hold together, each host, and its cards below it where there is room.

Where there is not, a host is one line; where there are more hosts than lines, they stand side by side. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from tui.metrics.gpu_hosts import HOST_CHARS, added_up, by_host
from tui.metrics.gpu_trend import GpuTrend
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import Snapshot
from tui.view.panes.vram_card import Card, drawn_cards, labelled
from tui.view.widgets.lines import Line, plain, width_of

_HERE = "this host"
_MOST_ROWS = 4
_LABEL = 20


@dataclass(frozen=True)
class Host:
    """One host: its cards as one, and one by one."""

    whole: Card
    gpus: list[GpuReading]

    @property
    def rows(self) -> int:
        """Return how many lines it takes with each of its cards in one."""
        return 1 + len(self.gpus)


def hosts_of(snapshot: Snapshot) -> list[Host]:
    """Return the hosts; none where all cards are of one."""
    found = by_host(snapshot.gpus)
    if len(found) < 2:
        return []
    trends = {trend.host: trend for trend in snapshot.gpu_trends}
    label_cells = max(len(_all(len(found))), *(len(_label(host)) for host in found))
    return [
        Host(_card(snapshot, gpus, host, _label(host), label_cells, trends.get(host)), gpus)
        for host, gpus in found.items()
    ]


def least_rows(hosts: Sequence[Host]) -> int:
    """Return how many lines all hosts and their sum take, each in one."""
    return len(hosts) + 1


def drawn_hosts(hosts: Sequence[Host], snapshot: Snapshot, width: int, room: int) -> list[Line]:
    """Return all hosts in at most `room` lines."""
    cells, usage = hosts[0].whole.label_cells, snapshot.server.kv_cache_usage
    whole = _card(snapshot, snapshot.gpus, "", _all(len(hosts)), cells)
    left = room - 1
    if left < len(hosts):
        return [*whole.lines(width, 1), *drawn_cards([host.whole for host in hosts], 0, width, left)]
    each = sum(host.rows for host in hosts)
    if each > left:
        own = min(_MOST_ROWS, left // len(hosts))
        return _below_each_other([(whole, 1), *((host.whole, own) for host in hosts)], cells, width)
    own = 2 if each + len(hosts) <= left else 1
    below = [[Card(_unmarked(gpu), None, usage, f"  {labelled(gpu)}", cells) for gpu in host.gpus] for host in hosts]
    cells = max(cells, *(len(card.label) for cards in below for card in cards))
    drawn: list[tuple[Card, int]] = [(whole, 1)]
    for host, cards in zip(hosts, below, strict=True):
        # In one line, the bars of a host and of its cards are as long as each other's.
        shown = host.whole if own > 1 else replace(host.whole, trend=None, with_trends=False)
        drawn += [(shown, own), *((card, 1) for card in cards)]
    return _below_each_other(drawn, cells, width)


def _below_each_other(drawn: Sequence[tuple[Card, int]], cells: int, width: int) -> list[Line]:
    """Return cards in so many lines each; the bars of those in one line begin and end below each other."""
    tail = max(width_of(card.tail(width)) for card, rows in drawn if rows == 1)
    aligned = [(replace(card, label_cells=cells, tail_cells=tail), rows) for card, rows in drawn]
    return [line for card, rows in aligned for line in card.lines(width, rows)]


def _unmarked(gpu: GpuReading) -> GpuReading:
    """Return a reading without what the pane's title says of all."""
    return msgspec.structs.replace(gpu, name=gpu.name.replace(" (SIMULATED)", ""))


def _card(
    snapshot: Snapshot, gpus: Sequence[GpuReading], host: str, label: str, cells: int, trend: GpuTrend | None = None
) -> Card:
    whole = _unmarked(added_up(gpus, host))
    return Card(whole, trend, snapshot.server.kv_cache_usage, label, cells, with_trends=trend is not None)


def _all(hosts: int) -> str:
    return f"all {hosts}"


def _label(host: str) -> str:
    return plain(host[:HOST_CHARS], _LABEL) if host else _HERE
