"""Which panes are seen, and where, at each size of the screen. Pure.

A screen of two columns has six places: the panes that come after the fifth share the last one. With three columns
each pane stands in the column that it names, and the first of a short column takes the rows that are left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tui.view.panes.pane import Pane

PLACES_IN_TWO_COLUMNS = 6
_P = TypeVar("_P", bound=Pane | type[Pane])


def seen_in_two_columns(panes: Sequence[_P], active: _P) -> list[_P]:
    """Return the panes that two columns have a place for, the active one always among them."""
    fixed, sharing = panes[: PLACES_IN_TWO_COLUMNS - 1], panes[PLACES_IN_TWO_COLUMNS - 1 :]
    return [*fixed, active if active in sharing else sharing[0]] if sharing else list(fixed)


def rows_in_three_columns(panes: Sequence[_P]) -> dict[_P, int]:
    """Return each pane with how many rows it spans, in the order in which a grid is filled: by rows from the left."""
    columns: dict[int, list[_P]] = {}
    for pane in panes:
        columns.setdefault(pane.COLUMN, []).append(pane)
    rows = max(map(len, columns.values()))
    places: list[tuple[int, int, _P, int]] = []
    for column, stacked in columns.items():
        begins = 0
        for pane in stacked:
            span = rows - len(stacked) + 1 if pane is stacked[0] else 1
            places.append((begins, column, pane, span))
            begins += span
    return {pane: span for _, _, pane, span in sorted(places, key=lambda place: place[:2])}
