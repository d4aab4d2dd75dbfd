"""Which panes are seen, and where, at each size of the screen: a design for each, none the stretched image of another.

Pure. A design has columns, a column places, each with its share of what there is and the pane that stands in it. One
place of a design may be shared: the active pane has it when it has none of its own. A pane may need more than its share
(`Need`) and has it where the others of its column can spare it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from textual.geometry import Region

SHARED = "*"
"""The key of the place that the active pane takes when it has no other; else the last pane that had it."""


@dataclass(frozen=True)
class Need:
    """What a pane makes of rows, its border's two among them."""

    least: int = 6
    """With fewer it says too little; others are not given of these."""
    wished: tuple[int, ...] = ()
    """With how many it says how much more, the most first."""


@dataclass(frozen=True)
class Column:
    """One column: its share of the width, and (key of a pane, share of the height) from the top."""

    share: int
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Design:
    """How a screen is laid out from a size on."""

    name: str
    """Also its class in the style sheet."""
    width: int
    height: int
    columns: tuple[Column, ...]
    tile_rows: int = 0
    """Rows of the headline."""
    tabs: bool = False
    """Whether a line names the panes, since not all of them can be seen."""
    figures: bool = False
    """Whether the figures stand in a second line of the header, for want of tiles."""

    @property
    def keys(self) -> set[str]:
        """The panes that have a place of their own."""
        return {key for column in self.columns for key, _ in column.places if key != SHARED}


FOUR = Design(
    "-four",
    270,
    64,
    (
        Column(26, (("1", 32), ("2", 41))),
        Column(29, (("4", 45), ("3", 28))),
        Column(22, (("8", 47), (SHARED, 26))),
        Column(23, (("5", 37), ("6", 36))),
    ),
    tile_rows=4,
)
THREE = Design(
    "-three",
    170,
    44,
    (
        Column(34, (("1", 20), ("2", 23))),
        Column(36, (("4", 25), ("3", 18))),
        Column(30, (("5", 16), ("6", 15), (SHARED, 12))),
    ),
    tile_rows=4,
)
TWO = Design(
    "-two",
    116,
    36,
    (Column(1, (("1", 11), ("2", 11), ("3", 12))), Column(1, (("4", 16), ("5", 9), (SHARED, 9)))),
    tile_rows=3,
)
PAIR = Design("-pair", 100, 28, (Column(47, ((SHARED, 1),)), Column(53, (("4", 1),))), tile_rows=3, tabs=True)
SINGLE = Design("-single", 0, 0, (Column(1, ((SHARED, 1),)),), tabs=True, figures=True)
DESIGNS = (FOUR, THREE, TWO, PAIR, SINGLE)
_ONE_TALL = Design("-single", 0, 0, SINGLE.columns, tile_rows=3, tabs=True)
_ROWS_FOR_TILES, _COLUMNS_FOR_TILES = 30, 96


def design_for(width: int, height: int, *, maximised: bool = False) -> Design:
    """Return the largest design that fits; a maximised pane stands alone, under the headline if there is room."""
    single = _ONE_TALL if width >= _COLUMNS_FOR_TILES and height >= _ROWS_FOR_TILES else SINGLE
    if maximised:
        return single
    fitting = next(design for design in DESIGNS if width >= design.width and height >= design.height)
    return single if fitting is SINGLE else fitting


def regions(
    design: Design, width: int, height: int, shared: str, needs: Mapping[str, Need] | None = None
) -> dict[str, Region]:
    """Return where each pane that is seen stands in an area of `width` x `height` cells; `needs` by the panes' keys."""
    found: dict[str, Region] = {}
    x = 0
    for column, columns in zip(design.columns, _shared_out(width, [one.share for one in design.columns]), strict=True):
        y = 0
        keys = [shared if key == SHARED else key for key, _ in column.places]
        rows_of = _shared_out(height, [share for _, share in column.places])
        for key, rows in zip(keys, _met(rows_of, [(needs or {}).get(key, Need()) for key in keys]), strict=True):
            found[key] = Region(x, y, columns, rows)
            y += rows
        x += columns
    return found


def _met(rows_of: list[int], needs: list[Need]) -> list[int]:
    """Return the rows of a column's panes with as much of what they wish as the others can spare; all or nothing."""
    rows_of = list(rows_of)
    for place, need in enumerate(needs):
        spare = sum(max(0, rows - other.least) for rows, other in zip(rows_of, needs, strict=True)) - max(
            0, rows_of[place] - need.least
        )
        wanted = next((rows for rows in need.wished if rows <= rows_of[place] + spare), 0)
        while rows_of[place] < wanted:
            others = [other for other in range(len(needs)) if other != place]
            giving = max(others, key=lambda other: rows_of[other] - needs[other].least)
            rows_of[giving] -= 1
            rows_of[place] += 1
    return rows_of


def _shared_out(whole: int, shares: Sequence[int]) -> list[int]:
    """Return whole cells that add up, as near to the shares as they get."""
    edges = [whole * sum(shares[:place]) // sum(shares) for place in range(len(shares) + 1)]
    return [after - before for before, after in pairwise(edges)]
