"""What the run costs the cards: memory by card, split where known; activity, power, heat; the server's KV cache."""

from __future__ import annotations

from typing import ClassVar

from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.arrangement import Need
from tui.view.panes.pane import Pane
from tui.view.panes.vram_card import FREE, Card, Part, drawn_cards, labelled, parts_of
from tui.view.panes.vram_hosts import drawn_hosts, hosts_of, least_rows
from tui.view.widgets.bars import bar
from tui.view.widgets.lines import Ink, Line, pack, plain, wrapped

_FULL = 0.97
"""From this share on the KV cache is shown as a warning."""
_MOST_ROWS = 9
_SERVER_ROWS, _BORDER = 2, 2
_GAP, _GLYPH_AND_GAP = 2, 4
"""Between what the colours are, and what each takes beside its name."""
_FULLY_TOLD, _NOTES, _MOST_LINES = 3, 2, 8
"""Lines of a card, of what is said of all of them, and of all cards where they are many."""


class VramPane(Pane):
    """The cards, then the KV cache, then the server's queue."""

    KEY: ClassVar[str] = "3"
    NAME: ClassVar[str] = "VRAM"
    HELP: ClassVar[str] = (
        "The memory of each card: weights, the KV cache that the server has reserved and how much of it is used, what "
        "else the server holds, other programs by name, what is free; how much of the time it computed and its power, "
        "now and in the latest minute; of several hosts the sum of each and of all; how full the server's KV cache is, "
        "and what runs, waits and was preempted."
    )

    def title(self, snapshot: Snapshot) -> str:
        """Return the title; simulated cards are called so, and a host is named where its cards are all there are."""
        hosts = {gpu.host for gpu in snapshot.gpus}
        where = f" · {plain(hosts.pop(), 24)}" if len(hosts) == 1 and "" not in hosts else ""
        return "VRAM and KV cache" + where + (" · SIMULATED" if any(gpu.simulated for gpu in snapshot.gpus) else "")

    def need(self, snapshot: Snapshot) -> Need:
        """Return the rows with which one or two cards have all there is to tell, and more of them a line each."""
        cards = len(snapshot.gpus)
        told = max(cards, _FULLY_TOLD * min(cards, 2) + _NOTES)
        return Need(least=_SERVER_ROWS + _BORDER + min(_MOST_LINES, told))

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return each card in as many lines as all of them leave for one, then the server."""
        server = _server_lines(snapshot, width)
        noted = _note(snapshot, width, max(1, height - 4))
        room = height - len(noted) - len(server)
        hosts = hosts_of(snapshot)
        cards = [host.whole for host in hosts] or _cards(snapshot)
        if not cards:
            return [*noted[: max(0, room + len(noted))], *server]
        told = [*_legend(cards, width), *_why_flat(snapshot, width)]
        if hosts:
            told = told[: max(0, room - least_rows(hosts))]
            drawn = drawn_hosts(hosts, snapshot, width, max(1, room - len(told)))
        else:
            least = 2 if room >= 2 * len(cards) else 1
            told = told[: max(0, room - least * len(cards))]
            each = min(_MOST_ROWS, (room - len(told)) // len(cards))
            drawn = drawn_cards(cards, each, width, max(1, room - len(told)))
        lines = [*noted, *drawn, *told]
        blank: list[Line] = [[]] if len(lines) + len(server) < height else []
        return [*lines, *blank, *server][:height]


def _cards(snapshot: Snapshot) -> list[Card]:
    trends = {trend.index: trend for trend in snapshot.gpu_trends}
    label_cells = max((len(labelled(gpu)) for gpu in snapshot.gpus), default=1)
    return [
        Card(
            gpu,
            trends.get(gpu.index) if gpu.mig_index is None else None,
            snapshot.server.kv_cache_usage,
            labelled(gpu),
            label_cells,
            with_trends=bool(trends),
        )
        for gpu in snapshot.gpus
    ]


def _note(snapshot: Snapshot, width: int, room: int) -> list[Line]:
    if snapshot.gpu_note:
        note = wrapped(snapshot.gpu_note, width, Ink.WARNING if snapshot.gpus else Ink.DIM)
        return note[:1] if snapshot.gpus else note[:room]
    return [] if snapshot.gpus else [[("no GPU readings yet", Ink.DIM)]]


def _legend(cards: list[Card], width: int) -> list[Line]:
    """Return what the colours are that can be seen; nothing where it goes without saying."""
    seen: dict[str, Part] = {}
    for card in cards:
        for part in parts_of(card):
            seen.setdefault(part.name, part)
    if len(seen) < 2:
        return []
    room = sum(len(part.name) + _GLYPH_AND_GAP for part in seen.values()) - _GAP <= width
    named = [(part, part.name if room else part.short or part.name) for part in seen.values()]
    known: list[Line] = [[(part.glyph, part.paint), (f" {name}", Ink.DIM)] for part, name in named]
    return [pack([*known, [(FREE.glyph, FREE.ink), (" free", Ink.DIM)]], width, gap=_GAP)]


def _why_flat(snapshot: Snapshot, width: int) -> list[Line]:
    """Return why the memory does not move under load, where that is so."""
    if all(gpu.vram_kv_cache_bytes is None for gpu in snapshot.gpus) and snapshot.server.kv_cache_usage is None:
        return []
    who = "vLLM" if snapshot.engine == "vllm" else "the server"
    for said in (
        f"flat under load: {who} reserves its KV cache at the start, and only what is used of it grows",
        f"flat under load: {who} reserves its KV cache at the start",
        f"flat: {who} reserves its KV cache at the start",
    ):
        if len(said) <= width:
            return [[(said, Ink.DIM)]]
    return []


def _server_lines(snapshot: Snapshot, width: int) -> list[Line]:
    server = snapshot.server
    usage = server.kv_cache_usage
    ink = Ink.WARNING if usage is not None and usage >= _FULL else Ink.STRONG
    tokens = f" of {formatting.count(server.kv_cache_tokens)} tokens" if server.kv_cache_tokens else ""
    if width < 50:
        tokens = ""
    figure: Line = [("  ", Ink.PLAIN), (formatting.percent(usage), ink), (" %" + tokens, Ink.DIM)]
    room = max(4, width - 9 - sum(len(text) for text, _ in figure))
    kv_cache: Line = [("KV cache ", Ink.PLAIN), *bar(usage, room, Ink.KV), *figure]
    waiting = server.waiting or 0
    queue = pack(
        [
            [("running ", Ink.DIM), (formatting.fixed(server.running, 4), Ink.STRONG)],
            [("waiting ", Ink.DIM), (formatting.fixed(server.waiting, 4), Ink.WARNING if waiting > 0 else Ink.STRONG)],
            [
                ("preempted ", Ink.DIM),
                (
                    formatting.fixed(server.preemptions_total, 4),
                    Ink.WARNING if (server.preemptions_total or 0) > 0 else Ink.STRONG,
                ),
            ],
        ],
        width,
    )
    return [kv_cache, queue]
