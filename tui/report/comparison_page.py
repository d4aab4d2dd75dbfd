"""The page of a comparison: what differs first, then the ratios, the curves over each other, each figure of each cell.

Pure, but for what `frame` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from xml.etree.ElementTree import Element

from tui.metrics.best import best_cell
from tui.metrics.cell import cells_in_words
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.comparison import Comparison, Pair
from tui.metrics.comparison_curves import by_users, prompt_sizes
from tui.metrics.measured import Measured
from tui.report import charts, comparison_tables, tables
from tui.report.elements import element
from tui.report.frame import framed
from tui.report.tables import MARK, number
from tui.session import comparison_text
from tui.session.comparison_text import letter

_MOST_SIZES = 6
"""Prompt sizes that have a chart of their own."""


def comparison_page(comparison: Comparison, wanted: Sequence[str] = (), said: Sequence[str] = ()) -> str:
    """Return a comparison as a page; `wanted` are the figures that are drawn, `said` is what its gates say of it."""
    heading = comparison_text.heading(comparison)
    simulated = [letter(place) for place, side in enumerate(comparison.sides) if side.simulated]
    main = element("main", element("h1", heading[0]))
    if simulated:
        all_of_them = len(simulated) == len(comparison.sides)
        of = "every figure here comes" if all_of_them else f"the figures of {', '.join(simulated)} come"
        main.append(element("p", f"{MARK}: {of} from a model of a server, not from a server.", class_="simulated"))
    main.extend(chain(_gates(said), _sides(comparison), _conditions(comparison)))
    drawn = comparison_text.figures_of(comparison, wanted)
    for pair in comparison.pairs:
        main.extend(_pair(comparison, pair, drawn))
    main.extend(chain(_curves(comparison, drawn), _values(comparison, drawn), _all_figures(comparison)))
    main.extend(_circumstances(comparison))
    mark = f" – {MARK}" if simulated else ""
    return framed(", ".join([heading[0], *(side.name for side in comparison.sides[:3])]) + mark, [main])


def _gates(said: Sequence[str]) -> Iterator[Element]:
    if said:
        yield element("p", "A gate failed:", class_="simulated")
        yield element("ul", *(element("li", each) for each in said))


def _sides(comparison: Comparison) -> Iterator[Element]:
    rows = []
    for place, side in enumerate(comparison.sides):
        best = best_cell(side.cells)
        told = (
            f"{number(best.tokens_per_s_total)} tokens/s at {best.users:,} × {best.prompt_tokens:,}"
            if best is not None and best.tokens_per_s_total is not None
            else "–"
        )
        cells = len({(cell.users, cell.prompt_tokens, cell.output_tokens) for cell in side.cells})
        gpus = side.circumstances.of("GPUs") or "not told"
        rows.append([letter(place), side.source, f"{cells:,}", told, gpus, side.label])
    caption = "The sides; of A every figure is told how many times as much it is in the others"
    yield tables.rows_of(caption, ("", "from", "cells", "best cell", "GPUs", "name"), rows)


def _conditions(comparison: Comparison) -> Iterator[Element]:
    headers, rows = comparison_text.conditions(comparison)
    yield element("h2", "Conditions that differ")
    if rows:
        yield comparison_tables.words("What is told otherwise", headers, rows)
    else:
        yield element("p", "No condition is told otherwise.")
    if said := comparison_text.said_of_sides(comparison):
        yield element("ul", *(element("li", line) for line in said))


def _pair(comparison: Comparison, pair: Pair, drawn: Sequence[CellFigure]) -> Iterator[Element]:
    yield element("h2", comparison_text.pair_name(pair))
    simulated = comparison.base.simulated or comparison.sides[pair.other].simulated
    tiles = element("ul", class_="tiles")
    for each in pair.summary:
        if each.figure in [figure.field for figure in drawn]:
            name = next(figure.name for figure in COMPARED if figure.field == each.figure)
            words = tables.marked(f"times the {name} in the median of {cells_in_words(each.cells)}", simulated)
            tiles.append(element("li", element("b", f"{each.median:.2f}"), element("small", words)))
    if len(tiles):
        yield tiles
    for sentence in comparison_text.pair_sentences(pair):
        yield element("p", sentence)
    maps = comparison_tables.ratio_grids(pair, drawn, simulated)
    if pair.summary or maps:
        yield element("h3", "The ratios of each cell")
        yield element(
            "p", f"{comparison_text.LEGEND}. Below each ratio its 95 % interval. Blue is better, orange worse."
        )
        yield from maps
    if pair.summary:
        headers, rows = comparison_text.summary_table(pair)
        yield tables.wide(comparison_tables.sortable("What each figure comes to", headers, rows, simulated))
        for sentence in comparison_text.spread_sentences(comparison):
            yield element("p", sentence, class_="soft")


def _curves(comparison: Comparison, drawn: Sequence[CellFigure]) -> Iterator[Element]:
    """Yield the figures by users at each prompt size, and tokens/s over time, all sides in each chart."""
    simulated = any(side.simulated for side in comparison.sides)
    names = [letter(place) for place in range(len(comparison.sides))][: charts.MOST_LINES]
    found = []
    for figure in drawn:
        for prompt in charts.few_of(prompt_sizes(comparison, figure), _MOST_SIZES):
            curves = by_users(comparison, figure, prompt)
            lines: list[charts.Line] = [(name, list(curve)) for name, curve in zip(names, curves, strict=False)]
            title = tables.marked(f"{figure.name} at {prompt:,} prompt tokens", simulated)
            if (chart := charts.by_size(title, lines, "users at once", comparison_tables.titled(figure))) is not None:
                found.append(element("figure", chart))
    known = [(name, side.tokens_per_s) for name, side in zip(names, comparison.sides, strict=False)]
    until_s = max((point[0] for _, points in known for point in points if point is not None), default=0.0)
    title = tables.marked("Tokens/s over each session", simulated)
    if (chart := charts.over_time(title, known, "tokens/s", until_s)) is not None:
        found.append(element("figure", chart))
    if not found:
        return
    yield element("h2", "Curves over each other")
    if len(comparison.sides) > len(names):
        yield element("p", f"The first {len(names)} of {len(comparison.sides)} sides are drawn.")
    yield element("div", *found, class_="pair")


def _values(comparison: Comparison, drawn: Sequence[CellFigure]) -> Iterator[Element]:
    """Yield the grids of the sides beside one another, shaded on one scale."""
    for figure in drawn:
        values = [value for side in comparison.sides for value in tables.values_of(side.cells, figure)]
        grids = [
            grid
            for place, side in enumerate(comparison.sides)
            if (grid := tables.grid(side.cells, figure, _caption(place, side, figure), None, values)) is not None
        ]
        if grids:
            yield element("h2", f"Side by side: {figure.name}")
            yield element("div", *grids, class_="pair")


def _caption(place: int, side: Measured, figure: CellFigure) -> str:
    return tables.marked(f"{letter(place)}: {side.name}; {comparison_tables.titled(figure)}", side.simulated)


def _all_figures(comparison: Comparison) -> Iterator[Element]:
    table = comparison_tables.all_figures(comparison)
    if table is not None:
        yield element("h2", "Every figure of every cell")
        yield table


def _circumstances(comparison: Comparison) -> Iterator[Element]:
    sides = [side.circumstances for side in comparison.sides]
    names = dict.fromkeys(chain.from_iterable([*side.told, *(side.arguments or ())] for side in sides))
    if not names:
        return
    rows = [[name, *(side.of(name) or "not told" for side in sides)] for name in list(names)[: tables.MOST_ROWS]]
    headers = ["", *(letter(place) for place in range(len(sides)))]
    yield element("h2", "How each was measured")
    table = comparison_tables.words("All that is told, what is alike as well", headers, rows)
    yield element("details", element("summary", f"{len(rows):,} conditions and arguments"), table)
