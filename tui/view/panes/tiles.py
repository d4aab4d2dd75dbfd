"""The headline: the six or seven figures that count, each in its hue with its unit and a small trend. Pure.

Three lines high; on tall screens four, with digits that can be read from across a room.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.metrics.reading import vram_used_share
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.panes.header import ViewState, prompt_of, users_of
from tui.view.plotting.area import Picture, area
from tui.view.plotting.scale import round_top
from tui.view.plotting.seen import Seen, Value
from tui.view.widgets.bars import bar
from tui.view.widgets.big_digits import LOW_ROWS, low
from tui.view.widgets.lines import Ink, Line, cut, width_of

TALL_TILES = 4
"""From so many rows on."""
_WITH_MEMORY = 140
"""From this width on there are seven."""
_FULL = 0.97


@dataclass(frozen=True)
class _Tile:
    name: str
    figure: str
    unit: str
    ink: Ink
    value: Value
    """What its trend is of."""
    share: float | None = None
    """As a bar in the place of a trend that was not kept."""
    top: float | None = None
    """Of the trend; None = as high as it gets."""


def tile_lines(snapshot: Snapshot, view_state: ViewState, width: int, rows: int) -> list[Line]:
    """Return the tiles side by side in `rows` lines."""
    tiles = _tiles(snapshot, view_state, width)
    size = width // len(tiles)
    extra = width - size * len(tiles)
    drawn = [_drawn(tile, snapshot, size + (place < extra), rows) for place, tile in enumerate(tiles)]
    return [[span for lines in drawn for span in lines[row]] for row in range(rows)]


def _tiles(snapshot: Snapshot, view_state: ViewState, width: int) -> list[_Tile]:
    figures = snapshot.figures
    active, wanted = users_of(snapshot, view_state)
    tiles = [
        _Tile(
            f"users × {prompt_of(snapshot, view_state)}",
            formatting.count(active),
            "" if active == wanted else f"of {formatting.count(wanted)}",
            Ink.USERS,
            lambda point: point.users,
        ),
        _Tile("total", _rate(figures.tokens_per_s_total), "tok/s", Ink.TOTAL, lambda point: point.tokens_per_s_total),
        _Tile(
            "per user",
            formatting.per_second(figures.tokens_per_s_per_user, 0),
            "tok/s",
            Ink.EACH,
            lambda point: point.tokens_per_s_per_user,
        ),
        _Tile(
            "first token",
            formatting.significant(figures.ttft_p50_s, 0),
            "s p50",
            Ink.TTFT,
            lambda point: point.ttft_p50_s,
        ),
        _Tile(
            "whole answer",
            formatting.significant(figures.e2e_p50_s, 0),
            "s p50",
            Ink.E2E,
            lambda point: point.e2e_p50_s,
        ),
    ]
    memory = _memory(snapshot)
    usage = snapshot.server.kv_cache_usage
    if usage is not None or memory is None:
        share = formatting.percent(usage, 0)
        tiles.append(_Tile("KV cache", share, "%", Ink.KV, lambda point: point.kv_cache_usage, top=1.0))
    if memory is not None and (width >= _WITH_MEMORY or usage is None):
        tiles.append(memory)
    return tiles


def _rate(value: float | None) -> str:
    return formatting.per_second(value, 0) if value is None or value < 1000 else formatting.count(value)


def _memory(snapshot: Snapshot) -> _Tile | None:
    share = vram_used_share(snapshot.gpus)
    if share is None:
        return None
    figure = formatting.percent(share, 0)
    return _Tile("VRAM", figure, "%", Ink.WEIGHTS, lambda point: point.vram_used_share, share=share, top=1.0)


def _drawn(tile: _Tile, snapshot: Snapshot, width: int, rows: int) -> list[Line]:
    inner = max(1, width - 3)
    tall = rows >= TALL_TILES
    lines = _tall(tile, snapshot, inner, rows) if tall else _low(tile, snapshot, inner)
    return [
        [("▌ ", tile.ink), *cut(line, inner), (" " * (width - 2 - width_of(cut(line, inner))), Ink.PLAIN)]
        for line in lines
    ]


def _low(tile: _Tile, snapshot: Snapshot, width: int) -> list[Line]:
    figure: Line = [(tile.figure, tile.ink), (f" {tile.unit}", Ink.DIM)]
    return [[(tile.name, Ink.DIM)], figure, *_trend(tile, snapshot, width, 1)]


def _tall(tile: _Tile, snapshot: Snapshot, width: int, rows: int) -> list[Line]:
    """Return name and unit, and below them the digits with the trend beside them."""
    digits = low(tile.figure)
    size = max(len(row) for row in digits)
    if size > width:
        digits, size = ["", tile.figure, ""], len(tile.figure)
    room = width - size - 2
    trend = _trend(tile, snapshot, room, rows - 1) if room >= 6 else [[]] * (rows - 1)
    name: Line = [(tile.name, Ink.DIM), (f"  {tile.unit}", Ink.DIM)]
    below: list[Line] = [
        [(digits[row].ljust(size + 2) if row < LOW_ROWS else "", tile.ink), *trend[row]] for row in range(rows - 1)
    ]
    return [name, *below]


def _trend(tile: _Tile, snapshot: Snapshot, width: int, rows: int) -> list[Line]:
    if width < 1:
        return [[]] * rows
    values = Seen(snapshot, width).means(tile.value)
    if tile.share is not None and not any(value is not None for value in values):
        blank: list[Line] = [[]] * (rows - 1)
        return [*blank, bar(tile.share, width, tile.ink)]
    top = tile.top or round_top(max((value for value in values if value is not None), default=None))
    picture: Picture = area(values, top, rows, tile.ink)
    return [list(row) for row in picture]
