"""What the run costs the cards: memory by card, split where known; activity, power, heat; the server's KV cache."""

from __future__ import annotations

from typing import ClassVar

from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.widgets.bars import bar, stacked
from tui.view.widgets.lines import Ink, Line, cells, pack, plain, spread, wrapped

_FULL = 0.97
"""From this share on, memory or the KV cache is shown as a warning."""


class VramPane(Pane):
    """The cards, then the KV cache, then the server's queue."""

    KEY: ClassVar[str] = "3"
    NAME: ClassVar[str] = "VRAM"
    HELP: ClassVar[str] = (
        "The memory of each card: weights, KV cache, other; how much of the time it computed, its power and "
        "heat; how full the server's KV cache is, and what runs, waits and was preempted."
    )

    def title(self, snapshot: Snapshot) -> str:
        """Return the title; simulated cards are called so."""
        return "VRAM and KV cache" + (" · SIMULATED" if any(gpu.simulated for gpu in snapshot.gpus) else "")

    def subtitle(self, snapshot: Snapshot) -> str:
        """Return the legend of the split bar."""
        split = any(gpu.vram_weights_bytes is not None for gpu in snapshot.gpus)
        return "█ weights  ▓ KV cache  ▒ other  ░ free" if split else ""

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return each card in as many lines as all of them leave for one."""
        lines: list[Line] = []
        if snapshot.gpu_note:
            note = wrapped(snapshot.gpu_note, width, Ink.WARNING if snapshot.gpus else Ink.DIM)
            lines += note[: max(1, height - 4)] if not snapshot.gpus else note[:1]
        elif not snapshot.gpus:
            lines.append([("no GPU readings yet", Ink.DIM)])
        server = _server_lines(snapshot, width)
        room = height - len(lines) - len(server)
        each = min(3, room // len(snapshot.gpus)) if snapshot.gpus else 0
        split = any(gpu.vram_weights_bytes is not None for gpu in snapshot.gpus)
        for gpu in snapshot.gpus:
            lines += _gpu_lines(gpu, width, max(1, each), split)
        if each >= 2 and len(lines) + len(server) < height:
            lines.append([])
        return [*lines[: max(0, height - len(server))], *server]


def _gpu_lines(gpu: GpuReading, width: int, rows: int, split: bool) -> list[Line]:
    # Of a slice, "MIG 1g.10gb" says more than the card's name before it; all but its memory is told at its card.
    name = plain(gpu.name[max(0, gpu.name.find("MIG ")) :].replace("NVIDIA ", ""), 16)
    rows = rows if gpu.mig_index is None else 1
    if gpu.lost:
        return [
            [(f"GPU {gpu.place} ", Ink.PLAIN), (name, Ink.DIM), ("  LOST: the driver does not reach it", Ink.FAILURE)]
        ]
    used, total = gpu.vram_used_bytes, gpu.vram_total_bytes
    full = used is not None and total is not None and total > 0 and used / total >= _FULL
    figure: Line = [
        ("  ", Ink.PLAIN),
        (formatting.gigabytes(used, 5), Ink.WARNING if full else Ink.STRONG),
        (f" / {formatting.gigabytes(total, 0)} GB", Ink.DIM),
    ]
    short = width < 70 or (rows == 1 and gpu.mig_index is None)
    label = f"GPU {gpu.place} "
    if not short:
        label += cells(name, 16) + " "
    state = _state(gpu)
    extra: Line = [] if rows > 1 or width < 50 else _short_state(gpu)
    room = width - len(label) - sum(len(text) for text, _ in figure) - sum(len(text) for text, _ in extra)
    first: Line = [(label, Ink.PLAIN), *_memory_bar(gpu, max(4, room)), *figure, *extra]
    lines = [first]
    if rows == 2:
        figures = _split_figures(gpu, short=True) if split else _held_figures(gpu) if width >= 70 else []
        lines.append(spread([(" " * 6, Ink.PLAIN), *state], figures, width))
    elif rows >= 3:
        detail = _split_figures(gpu, short=False) if split else [(name + "  ", Ink.DIM), *_held_figures(gpu)]
        lines.append([(" " * 6, Ink.PLAIN), *detail])
        lines.append([(" " * 6, Ink.PLAIN), *state])
    return lines


def _memory_bar(gpu: GpuReading, width: int) -> Line:
    used, total = gpu.vram_used_bytes, gpu.vram_total_bytes
    if used is None or not total:
        return [("no reading".ljust(width)[:width], Ink.DIM)]
    weights, kv_cache = gpu.vram_weights_bytes, gpu.vram_kv_cache_bytes
    if weights is None or kv_cache is None:
        return bar(used / total, width, Ink.WEIGHTS)
    other = max(0, used - weights - kv_cache)
    parts = [(float(weights), "█", Ink.WEIGHTS), (float(kv_cache), "▓", Ink.KV), (float(other), "▒", Ink.OTHER)]
    return stacked(parts, float(total), width)


def _split_figures(gpu: GpuReading, *, short: bool) -> Line:
    return _named(
        [
            ("weights", gpu.vram_weights_bytes),
            ("KV" if short else "KV cache", gpu.vram_kv_cache_bytes),
            ("other", gpu.vram_other_bytes),
        ]
    )


def _held_figures(gpu: GpuReading) -> Line:
    """Return what the driver tells of the memory beside what is used: whose it is, and what is left."""
    return _named(
        [
            ("server", gpu.vram_server_bytes),
            ("reserved", gpu.vram_reserved_bytes),
            ("free", gpu.vram_free_bytes),
        ]
    )


def _named(parts: list[tuple[str, int | None]]) -> Line:
    line: Line = []
    for name, value in parts:
        figure = formatting.gigabytes(value, 5).lstrip()
        line += [("  " if line else "", Ink.PLAIN), (name, Ink.DIM), (f" {figure:>4}", Ink.PLAIN)]
    return line


def _state(gpu: GpuReading) -> Line:
    line: Line = [
        (formatting.percent(gpu.active_share), Ink.PLAIN),
        (" % active ", Ink.DIM),
        (formatting.fixed(gpu.power_w, 4), Ink.PLAIN),
        (" W ", Ink.DIM),
        (formatting.fixed(gpu.temperature_c, 3), Ink.PLAIN),
        (" °C", Ink.DIM),
    ]
    if gpu.throttle:
        line.append(("  held back: " + plain(gpu.throttle, 24), Ink.WARNING))
    return line


def _short_state(gpu: GpuReading) -> Line:
    """Return activity, power and heat where all of a card must do with one line."""
    held = Ink.WARNING if gpu.throttle else Ink.PLAIN
    return [
        (" held" if gpu.throttle else "  act", Ink.WARNING if gpu.throttle else Ink.DIM),
        (formatting.percent(gpu.active_share, 4) + "%", held),
        (formatting.fixed(gpu.power_w, 4) + "W", held),
        (formatting.fixed(gpu.temperature_c, 4) + "°C", Ink.PLAIN),
    ]


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
