"""One card, one slice of one, or all cards of a host as one, in as many lines as it is given. Pure.

In two lines and more: what is used of the memory, and below it activity, power and heat; in three also what the memory
holds, in figures; in four and more the bar and the trends of the latest minute have lines of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.metrics.gpu_trend import GpuTrend
from tui.metrics.reading import GpuReading, place_of
from tui.view import formatting
from tui.view.plotting.area import Values, area
from tui.view.plotting.scale import round_top
from tui.view.widgets.bars import filled
from tui.view.widgets.lines import Ink, Line, Over, Paint, cells, cut, pack, plain, spread, width_of

FULL = 0.97
"""From this share on the memory is shown as a warning."""
_ABREAST = 27
"""From so many cells for each on, cards stand side by side where they have no line of their own otherwise."""
_NAME, _SLICE_NAME = 16, 8
_GPU = "GPU "
_NARROW, _WITH_UNIT, _NAMED = 48, 32, 70
"""Below so many cells what is told in one line is the memory alone, and without its unit; from so many on the name."""
_LEAST_BAR = 6
"""A bar of so many cells comes before how a card is, in one line."""
_SHORT_TREND, _ONE_LINE = (6, 12), 38
"""Least and most cells of the latest minute in one line; what else is told there."""
_MANY_W = 9999.5
_TOLD_FROM = 0.03
"""A driver keeps some hundred megabytes for itself that it counts as used, too."""
_TREND_FROM = 6
_TALL_TREND_ROWS = 3


@dataclass(frozen=True)
class Part:
    """A part of a card's memory; its glyph tells it apart where colours do not."""

    name: str
    glyph: str
    ink: Ink
    bytes_: int = 0
    short: str = ""
    """Its name where there is little room."""

    @property
    def paint(self) -> Paint:
        """Return its paint: its colour alone where there are colours to lay."""
        return Over(self.ink, self.ink)


FREE = Part("free", "░", Ink.FAINT)


@dataclass(frozen=True)
class Card:
    """One reading, or the sum of several, with its latest minute."""

    gpu: GpuReading
    trend: GpuTrend | None
    kv_cache_usage: float | None
    label: str
    """What it is called, e.g. "GPU 0:1", or the name of a host."""
    label_cells: int
    """The longest label among the cards, so that their bars begin below each other."""
    with_trends: bool = False
    """Whether the latest minute of any card is known, likewise."""
    tail_cells: int = 0
    """What stands behind the bar in one line takes at least so many cells, that bars end below each other, too."""

    def lines(self, width: int, rows: int) -> list[Line]:
        """Return it in exactly one line where there is one, else in at most `rows`."""
        gpu = self.gpu
        name = self._name
        if gpu.lost:
            return [
                [
                    (f"{self.label} ", Ink.PLAIN),
                    (name, Ink.DIM),
                    ("  LOST: the driver does not reach it", Ink.FAILURE),
                ]
            ]
        rows = max(1, rows if gpu.mig_index is None else 1)
        if rows == 1:
            return [self._one_line(width)]
        if rows == 2:
            return [self._first(width), *self._trends(width, 1)]
        if rows == 3:
            return [self._first(width), self._parts(width), *self._trends(width, 1)]
        bar_rows = 2 if rows >= 7 else 1
        trend_rows = min(_TALL_TREND_ROWS, rows - 2 - bar_rows - (rows >= 6))
        head = spread([(f"{self.label} ", Ink.STRONG), (name, Ink.DIM)], self._figure(), width)
        bars = [self._bar(width)] * bar_rows
        blank: list[Line] = [[]] if rows >= 6 else []
        return [head, *bars, self._parts(width), *self._trends(width, trend_rows), *blank]

    def _one_line(self, width: int) -> Line:
        label, tail = self._label(width), self.tail(width)
        blank = max(0, self.tail_cells - width_of(tail))
        room = width - len(label) - blank - width_of(tail)
        return [(label, Ink.PLAIN), *self._bar(max(4, room)), (" " * blank, Ink.PLAIN), *tail]

    def tail(self, width: int) -> Line:
        """Return what stands behind the bar in one line."""
        figure = self._close_figure(with_unit=width >= _WITH_UNIT)
        is_slice = self.gpu.mig_index is not None
        if width < (_NAMED if is_slice else _NARROW):
            return figure
        room = width - len(self._label(width)) - width_of(figure) - _LEAST_BAR
        state = next((told for told in self._short_states(width) if width_of(told) <= room), [])
        return [*figure, (" " * width_of(state), Ink.PLAIN)] if is_slice else [*figure, *state]

    def _label(self, width: int) -> str:
        """Return what stands before the bar in one line."""
        narrow = width < _NARROW
        short = self.label.removeprefix(_GPU) if narrow else self.label
        label = short.ljust(self.label_cells - len(self.label) + len(short)) + " "
        if width < _NAMED and self.gpu.mig_index is None:
            return label
        name = self._name.removeprefix("MIG ") if narrow else self._name
        return label + cells(name, _SLICE_NAME if narrow else _NAME) + " "

    @property
    def _name(self) -> str:
        # Of a slice, "MIG 1g.10gb" says more than the card's name before it; all but its memory is told at its card.
        name = self.gpu.name
        return plain(name[max(0, name.find("MIG ")) :].replace("NVIDIA ", ""), _NAME)

    def _first(self, width: int) -> Line:
        label = f"{self.label.ljust(self.label_cells)} " + (cells(self._name, _NAME) + " " if width >= _NAMED else "")
        figure = self._figure()
        return [(label, Ink.PLAIN), *self._bar(max(4, width - len(label) - width_of(figure))), *figure]

    def _short_states(self, width: int) -> list[Line]:
        """Return activity with its latest minute, power and heat, and then ever less of it, for a card in one line."""
        gpu = self.gpu
        held = Ink.WARNING if gpu.throttle else Ink.PLAIN
        size = min(_SHORT_TREND[1], max(_SHORT_TREND[0], (width - _ONE_LINE) // 3)) if self.with_trends else 0
        known = self.trend.active_share if self.trend is not None else []
        (picture,) = area(_columns(known, size), 1.0, 1, Ink.GPU) if size else ([],)
        head: Line = [(" held" if gpu.throttle else "  act", Ink.WARNING if gpu.throttle else Ink.DIM)]
        active: Line = [(formatting.percent(gpu.active_share, 4) + "%", held)]
        rest: Line = [(_power(gpu.power_w), held), (formatting.fixed(gpu.temperature_c, 4) + "°C", Ink.PLAIN)]
        minute: Line = [(" ", Ink.PLAIN), *picture] if size else []
        return [[*head, *minute, *active, *rest], [*head, *active, *rest], [*head, *active]]

    def _figure(self) -> Line:
        used, total = self.gpu.vram_used_bytes, self.gpu.vram_total_bytes
        return [
            ("  ", Ink.PLAIN),
            (formatting.gigabytes(used, 5), self._ink_of_figure),
            (f" / {formatting.gigabytes(total, 0)} GB", Ink.DIM),
        ]

    def _close_figure(self, *, with_unit: bool) -> Line:
        used, total = self.gpu.vram_used_bytes, self.gpu.vram_total_bytes
        of = f"/{formatting.gigabytes(total, 0)}{' GB' if with_unit else ''}"
        text = formatting.gigabytes(used, 6)
        return [(text if text.startswith(" ") else f" {text}", self._ink_of_figure), (of, Ink.DIM)]

    @property
    def _ink_of_figure(self) -> Ink:
        used, total = self.gpu.vram_used_bytes, self.gpu.vram_total_bytes
        return Ink.WARNING if used is not None and total and used / total >= FULL else Ink.STRONG

    def _bar(self, width: int) -> Line:
        used, total = self.gpu.vram_used_bytes, self.gpu.vram_total_bytes
        if used is None or not total:
            return [("no reading".ljust(width)[:width], Ink.DIM)]
        line: Line = []
        done, amount = 0, 0
        for part in parts_of(self):
            amount += part.bytes_
            end = max(done, filled(amount / total, width))
            line.append((part.glyph * (end - done), part.paint))
            done = end
        return [*line, (FREE.glyph * (width - done), FREE.ink)]

    # -- figures

    def _parts(self, width: int) -> Line:
        """Return what the memory holds, in figures: split, or as the driver tells."""
        gpu = self.gpu
        if gpu.vram_weights_bytes is None or gpu.vram_kv_cache_bytes is None:
            return pack([*_named(_held_parts(gpu)), *self._others()], width, gap=2)
        kv_cache = gpu.vram_kv_cache_bytes
        used = "" if self.kv_cache_usage is None else f"{formatting.gigabytes(kv_cache * self.kv_cache_usage, 5)} of "
        parts: list[Line] = [
            *_named([("weights", gpu.vram_weights_bytes, Ink.WEIGHTS)]),
            [("KV ", Ink.KV), (used + formatting.gigabytes(kv_cache, 0), Ink.PLAIN)],
            *_named([("other", _rest(gpu), Ink.OTHER)]),
            *self._others(),
            *_named([("unknown", unknown, Ink.DIM)] if (unknown := _unknown(gpu)) else []),
        ]
        return pack(parts, width, gap=2)

    def _others(self) -> list[Line]:
        """Return who else is on the card."""
        gpu = self.gpu
        if not gpu.vram_neighbours_bytes:
            return []
        who = plain(gpu.vram_neighbours, 24) or "other programs"
        return [[(f"{who} ", Ink.WARNING), (formatting.gigabytes(gpu.vram_neighbours_bytes, 0), Ink.PLAIN)]]

    def _state(self, width: int) -> Line:
        """Return activity, power, heat and what holds the clocks down."""
        gpu = self.gpu
        line: Line = [
            (formatting.percent(gpu.active_share), Ink.PLAIN),
            (" % active ", Ink.DIM),
            (formatting.fixed(gpu.power_w, 4), Ink.PLAIN),
            (" W ", Ink.DIM),
            (formatting.fixed(gpu.temperature_c, 3), Ink.PLAIN),
            (" °C", Ink.DIM),
        ]
        if gpu.throttle:
            why = plain(gpu.throttle, 24)
            said = f"  held back: {why}"
            fits = width_of(line) + len(said) <= width
            line.append((said if fits else f"  held: {why}", Ink.WARNING))
        return cut(line, width)

    def _trends(self, width: int, rows: int) -> list[Line]:
        """Return activity and power of the latest minute side by side, each with its present value; then the heat."""
        gpu, trend = self.gpu, self.trend
        if trend is None:
            return [self._state(width)] + [[]] * (rows - 1)
        tail: Line = [(formatting.fixed(gpu.temperature_c, 5), Ink.PLAIN), (" °C", Ink.DIM)]
        if gpu.throttle:
            tail.append(("  held back: " + plain(gpu.throttle, 24), Ink.WARNING))
        figures: tuple[Line, Line] = (
            [("active", Ink.DIM), (formatting.percent(gpu.active_share, 4), Ink.STRONG), (" % ", Ink.DIM)],
            [("  power", Ink.DIM), (formatting.fixed(gpu.power_w, 5), Ink.STRONG), (" W ", Ink.DIM)],
        )
        size = (width - width_of(tail) - sum(map(width_of, figures))) // 2
        if size < _TREND_FROM:
            return [self._state(width)] + [[]] * (rows - 1)
        top = gpu.power_limit_w or round_top(max((value for value in trend.power_w if value is not None), default=None))
        pictures = (
            area(_columns(trend.active_share, size), 1.0, rows, Ink.GPU),
            area(_columns(trend.power_w, size), top, rows, Ink.GPU),
        )
        lines: list[Line] = []
        for row in range(rows):
            line: Line = []
            for figure, picture in zip(figures, pictures, strict=True):
                last = row == rows - 1
                line += [*(figure if last else [(" " * width_of(figure), Ink.PLAIN)]), *picture[row]]
            lines.append([*line, *(tail if row == rows - 1 else [])])
        return [cut(line, width) for line in lines]


def drawn_cards(cards: list[Card], rows: int, width: int, room: int) -> list[Line]:
    """Return the cards below each other; side by side where they are too many for that, and how many are left out."""
    if rows >= 1:
        return [line for card in cards for line in card.lines(width, rows)]
    abreast = max(1, min(3, width // _ABREAST))
    size = width // abreast
    shown = cards if len(cards) <= abreast * room else cards[: abreast * (room - 1)]
    lines: list[Line] = []
    deep = -(-len(shown) // abreast)
    for row in range(deep):
        line: Line = []
        for place, card in enumerate(shown[row::deep]):
            (own,) = card.lines(size - 1, 1)
            line = [*spread(line, [], place * size), *cut(own, size - 1)]
        lines.append(line)
    if len(shown) < len(cards):
        lines.append([(f"and {len(cards) - len(shown)} more", Ink.DIM)])
    return lines[:room]


def labelled(gpu: GpuReading) -> str:
    """Return what a card or slice is called on its own host."""
    return _GPU + place_of(gpu.index, gpu.mig_index, "")


def parts_of(card: Card) -> list[Part]:
    """Return what a card's memory holds, in the order of the bar."""
    gpu = card.gpu
    used, others = gpu.vram_used_bytes or 0, gpu.vram_neighbours_bytes or 0
    foreign = [Part("other programs", "╱", Ink.WARNING, others, "others")] if others else []
    weights, kv_cache = gpu.vram_weights_bytes, gpu.vram_kv_cache_bytes
    if weights is None or kv_cache is None:
        return [Part("used", "█", Ink.WEIGHTS, max(0, used - others)), *foreign]
    in_use = round(kv_cache * min(1.0, max(0.0, card.kv_cache_usage or 0.0)))
    return [
        Part("weights", "█", Ink.WEIGHTS, weights),
        Part("KV in use", "▓", Ink.KV, in_use, "KV"),
        Part("KV reserved", "▒", Ink.KV_RESERVED, kv_cache - in_use, "KV free"),
        Part("server's rest", "▄", Ink.OTHER, _rest(gpu), "rest"),
        *foreign,
        *([Part("unknown", "▚", Ink.DIM, unknown)] if (unknown := _unknown(gpu)) else []),
    ]


def _rest(gpu: GpuReading) -> int:
    """Return what the server holds beside weights and KV cache: activations, CUDA graphs, its context.

    Where what it holds is not told: what is used of the card beside what is known.
    """
    if gpu.vram_other_bytes is not None:
        return gpu.vram_other_bytes
    known = (gpu.vram_weights_bytes or 0) + (gpu.vram_kv_cache_bytes or 0) + (gpu.vram_neighbours_bytes or 0)
    return max(0, (gpu.vram_used_bytes or 0) - known)


def _unknown(gpu: GpuReading) -> int:
    """Return what is used and held by none of the processes that the driver names, from _TOLD_FROM of the card on."""
    known = (gpu.vram_weights_bytes or 0) + (gpu.vram_kv_cache_bytes or 0) + (gpu.vram_neighbours_bytes or 0)
    rest = (gpu.vram_used_bytes or 0) - known - _rest(gpu)
    return rest if rest > _TOLD_FROM * (gpu.vram_total_bytes or 0) else 0


def _held_parts(gpu: GpuReading) -> list[tuple[str, int | None, Ink]]:
    """Return what the driver tells of the memory beside what is used: whose it is, and what is left."""
    return [
        ("server", gpu.vram_server_bytes, Ink.DIM),
        ("reserved", gpu.vram_reserved_bytes, Ink.DIM),
        ("free", gpu.vram_free_bytes, Ink.DIM),
    ]


def _named(parts: list[tuple[str, int | None, Ink]]) -> list[Line]:
    return [[(name, ink), (f" {formatting.gigabytes(value, 0):>4}", Ink.PLAIN)] for name, value, ink in parts]


def _power(power_w: float | None) -> str:
    """Return the power with a space before it: of a card, or of hundreds."""
    if power_w is None or power_w < _MANY_W:
        text = formatting.fixed(power_w, 4) + "W"
        return text if text.startswith(" ") else f" {text}"
    return formatting.fixed(power_w / 1000, 4) + "kW"


def _columns(values: Values, size: int) -> list[float | None]:
    """Return the latest values in so many columns, the newest at the right; means where there are more values."""
    if len(values) <= size:
        return [*[None] * (size - len(values)), *values]
    found: list[float | None] = []
    for column in range(size):
        begin, end = column * len(values) // size, (column + 1) * len(values) // size
        known = [value for value in values[begin:end] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found
