"""The tables of a comparison's page: ratios as grids in colours, each figure of each cell to be sorted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from xml.etree.ElementTree import Element

from tui.metrics.cell import cells_in_words
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.comparison import CellChange, Comparison, FigureChange, Pair
from tui.metrics.estimate import Estimate
from tui.report import tables
from tui.report.elements import element
from tui.report.tables import number
from tui.session import comparison_text
from tui.session.comparison_text import OPEN, cell_span, letter

_STEPS = 4


def ratio_grids(pair: Pair, drawn: Sequence[CellFigure], simulated: bool) -> list[Element]:
    """Return the ratios of each figure as something to unfold; those of `drawn` come first, and open."""
    known = {each.figure: each for each in pair.summary}
    fields = [figure.field for figure in drawn]
    figures = [*drawn, *(figure for figure in COMPARED if figure.field in known and figure.field not in fields)]
    found = []
    for figure in figures:
        grids = list(_grids(pair, figure, simulated))
        if not grids:
            continue
        words = figure.name
        if (told := known.get(figure.field)) is not None:
            words += f": {told.median:.2f} in the median of {cells_in_words(told.cells)}"
            words += f", {told.least:.2f} to {told.most:.2f}"
            words += f"; {told.better:,} better, {told.worse:,} worse, {told.same:,} no different"
        summary = element("summary", tables.marked(words, simulated))
        found.append(element("details", summary, *grids, open=figure.field in fields))
    return found


def _grids(pair: Pair, figure: CellFigure, simulated: bool) -> Iterator[Element]:
    for output_tokens in sorted({cell.output_tokens for cell in pair.cells}):
        cells = {(cell.users, cell.prompt_tokens): cell for cell in pair.cells if cell.output_tokens == output_tokens}
        all_users, sizes = sorted({users for users, _ in cells}), sorted({prompt for _, prompt in cells})
        if len(all_users) * len(sizes) > tables.MOST_PLACES:
            continue  # they lie too far apart for a grid: they are in the table below
        body = element("tbody")
        for users in all_users:
            row = element("tr", element("th", f"{users:,}", scope="row"))
            row.extend(_ratio(cells.get((users, size)), figure) for size in sizes)
            body.append(row)
        answers = f", {output_tokens:,} output tokens" if output_tokens else ""
        caption = tables.marked(f"{figure.name}: {comparison_text.pair_name(pair)}{answers}", simulated)
        head = element("thead", tables.grid_head(sizes))
        yield tables.wide(element("table", element("caption", caption), head, body, class_="grid ratios"))


def _ratio(cell: CellChange | None, figure: CellFigure) -> Element:
    word, goodness = cell_span(cell, figure)
    change = None if cell is None else cell.of(figure.field)
    between = None if change is None or change.low is None else element("small", _between(change))
    return element("td", word, between, class_=_class_of(goodness, failed=word == "failed"))


def _between(change: FigureChange) -> str:
    return f"{change.low:.2f} to {'∞' if change.high is None else f'{change.high:.2f}'}"


def _class_of(goodness: float | None, *, failed: bool) -> str | None:
    if not goodness:
        return "implied" if failed else None
    return f"{'better' if goodness > 0 else 'worse'}-{min(_STEPS - 1, int(abs(goodness) * _STEPS))}"


def all_figures(comparison: Comparison) -> Element | None:
    """Return a row for each figure of each cell, at most `tables.MOST_ROWS`; None where no cell is on two sides."""
    rows = list(islice(_changes(comparison), tables.MOST_ROWS + 1))
    if not rows:
        return None
    more = "" if len(rows) <= tables.MOST_ROWS else f"the first {tables.MOST_ROWS:,} rows; "
    several = len(comparison.pairs) > 1
    heads = ["side", *_heads("other")] if several else _heads("B")
    kept = [row if several else row[1:] for row in rows[: tables.MOST_ROWS]]
    simulated = any(side.simulated for side in comparison.sides)
    return tables.wide(
        sortable(f"{more}a heading sorts them", heads, kept, simulated, texts=("figure", "unit", "it is"))
    )


def _heads(other: str) -> list[str]:
    return ["users", "prompt tokens", "figure", "A", "±", other, "±", "ratio", "least", "most", "it is"]


def _changes(comparison: Comparison) -> Iterator[list[str]]:
    names = {figure.field: figure for figure in COMPARED}
    for pair in comparison.pairs:
        for cell in pair.cells:
            place = [letter(pair.other), f"{cell.users}", f"{cell.prompt_tokens}"]
            if not cell.figures:
                yield [*place, "–", *[""] * 7, f"A {cell.base_outcome}, {letter(pair.other)} {cell.other_outcome}"]
            for change in cell.figures:
                figure = names[change.figure]
                figures = [*_estimate(change.base), *_estimate(change.other)]
                ratios = [
                    f"{value:.3f}" if value is not None else "" for value in (change.ratio, change.low, change.high)
                ]
                yield [*place, titled(figure), *figures, *ratios, str(change.change)]


def titled(figure: CellFigure) -> str:
    """Return a figure's name with its unit where the name does not say it."""
    return figure.name if not figure.unit or figure.unit in figure.name else f"{figure.name}, {figure.unit}"


def _estimate(estimate: Estimate) -> list[str]:
    half = None if estimate.high is None else estimate.high - estimate.value
    return [number(estimate.value), "" if half is None else number(half)]


def sortable(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], simulated: bool, texts: Sequence[str] = ()
) -> Element:
    """Return a table that headings sort; columns of `texts`, and the first where none is named, hold words."""
    kinds = ["text" if head in texts or (not texts and place == 0) else None for place, head in enumerate(heads)]
    head = element(
        "tr", *(element("th", name, scope="col", class_=kind) for name, kind in zip(heads, kinds, strict=True))
    )
    body = element("tbody")
    for row in rows:
        body.append(
            element(
                "tr",
                *(
                    element("td", text, class_=kind, data_value=None if kind else text.replace(",", "").strip("–"))
                    for text, kind in zip(row, kinds, strict=True)
                ),
            )
        )
    told = element("caption", tables.marked(caption, simulated))
    return element("table", told, element("thead", head), body, class_="sortable")


def words(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Element:
    """Return a table of texts, a name in its first column."""
    head = element("tr", *(element("th", name, scope="col", class_="text") for name in heads))
    body = element("tbody")
    for name, *values in rows:
        row = element("tr", element("th", name, scope="row", class_="text"))
        row.extend(element("td", OPEN if value == "" else value, class_="text") for value in values)
        body.append(row)
    return tables.wide(element("table", element("caption", caption), element("thead", head), body))
