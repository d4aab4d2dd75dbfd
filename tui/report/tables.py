"""The tables of a report: the grid in colours, all cells by all figures, what failed. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import FIGURES, CellFigure
from tui.report.elements import Child, element
from tui.report.facts import SessionFacts

SHADES = 6
MARK = "SIMULATED"
MOST_ROWS = 2000
MOST_PLACES = 20_000
"""Of a grid, measured or not: cells that lie apart would make an endless one."""


def anchor_of(place: str, cell: CellResult) -> str:
    """Return the name of a cell's own part of the page; `place` is that of its session."""
    return f"{place}-cell-{cell.users}-{cell.prompt_tokens}"


def number(value: float | None) -> str:
    """Return a figure with three digits, or all before the point; a dash for one that does not exist."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def marked(words: str, simulated: bool) -> str:
    """Return words over figures, which say so where the figures are simulated."""
    return f"{words} – {MARK}" if simulated else words


def wide(table: Element) -> Element:
    """Return a table that scrolls by itself on a narrow screen."""
    return element("div", table, class_="wide")


def grid(
    cells: Sequence[CellResult], figure: CellFigure, caption: str, place: str | None, among: Sequence[float] = ()
) -> Element | None:
    """Return the grid of one figure, shaded from good to bad by its logarithm.

    Cells lead to their own parts of the session at `place`, where there is one; `among` are the values by which they
    are shaded, else their own. None where no cell has the figure, or where the grid had more than `MOST_PLACES`.
    """
    known = {(cell.users, cell.prompt_tokens): cell for cell in cells}
    values = values_of(cells, figure)
    all_users, sizes = sorted({users for users, _ in known}), sorted({prompt for _, prompt in known})
    if not values or len(all_users) * len(sizes) > MOST_PLACES:
        return None
    body = element("tbody")
    for users in all_users:
        row = element("tr", element("th", f"{users:,}", scope="row"))
        row.extend(_grid_cell(known.get((users, size)), figure, among or values, place) for size in sizes)
        body.append(row)
    head = grid_head(sizes)
    return wide(element("table", element("caption", caption), element("thead", head), body, class_="grid"))


def grid_head(sizes: Sequence[int]) -> Element:
    """Return the heading of a grid: users down, these prompt sizes across."""
    first = element("th", "users", scope="col", class_="text")
    return element("tr", first, *(element("th", f"{size:,} tok", scope="col") for size in sizes))


def values_of(cells: Sequence[CellResult], figure: CellFigure) -> list[float]:
    """Return a figure of the cells that were answered and have it."""
    return [value for cell in cells if cell.outcome is Outcome.OK and (value := figure.of(cell)) is not None]


def _grid_cell(cell: CellResult | None, figure: CellFigure, values: Sequence[float], place: str | None) -> Element:
    if cell is None:
        return element("td", "·")

    def told(words: str) -> Child:
        return words if place is None else element("a", words, href=f"#{anchor_of(place, cell)}")

    value = figure.of(cell)
    if cell.outcome is not Outcome.OK or value is None:
        word = "–" if cell.outcome is Outcome.OK else str(cell.outcome)
        kind = "implied" if cell.outcome in (Outcome.IMPLIED, Outcome.OK) else "failed"
        return element("td", told(word), class_=kind)
    return element("td", told(number(value)), class_=f"q{shade(value, values, more=figure.more_is_good)}")


def shade(value: float, values: Sequence[float], *, more: bool) -> int:
    """Return which of the shades a value has among others, 0 the best; by logarithm where all are above zero."""
    of = math.log if min(values) > 0 else float
    low, high = of(min(values)), of(max(values))
    share = (of(value) - low) / (high - low) if high > low else 0.0
    return min(SHADES - 1, int((1 - share if more else share) * SHADES))


def all_cells(facts: SessionFacts, place: str) -> Element:
    """Return every cell with its figures, a table that can be sorted."""
    figures = [figure for figure in FIGURES if any(figure.of(cell) is not None for cell in facts.cells)]
    head = element("tr", *(element("th", name, scope="col") for name in ("users", "prompt tokens", "outcome")))
    for figure in figures:
        head.append(element("th", figure.name + (f", {figure.unit}" if figure.unit else ""), scope="col"))
    head.append(element("th", "limited by", scope="col", class_="text"))
    body = element("tbody")
    for cell in facts.cells[:MOST_ROWS]:
        row = element("tr", *(element("td", f"{n:,}", data_value=str(n)) for n in (cell.users, cell.prompt_tokens)))
        row.append(element("td", element("a", str(cell.outcome), href=f"#{anchor_of(place, cell)}"), class_="text"))
        for figure in figures:
            value = figure.of(cell)
            row.append(element("td", number(value), data_value="" if value is None else repr(value)))
        row.append(element("td", str(cell.verdict.limit) if cell.verdict else "", class_="text"))
        body.append(row)
    left_out = len(facts.cells) - MOST_ROWS
    said = f"the first {MOST_ROWS:,} of {len(facts.cells):,} cells" if left_out > 0 else "all cells"
    caption = element("caption", marked(f"{said}; a heading sorts them", facts.simulated))
    return wide(element("table", caption, element("thead", head), body, class_="sortable"))


def rows_of(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Child]]) -> Element:
    """Return a plain table; the last column holds words."""
    last = len(heads) - 1
    kinds = ["text" if place == last else None for place in range(len(heads))]
    head = element(
        "tr", *(element("th", name, scope="col", class_=kind) for name, kind in zip(heads, kinds, strict=True))
    )
    body = element("tbody")
    for row in rows:
        cells = (
            element("td", child, class_="text words" if place == last else None) for place, child in enumerate(row)
        )
        body.append(element("tr", *cells))
    return wide(element("table", element("caption", caption), element("thead", head), body))
