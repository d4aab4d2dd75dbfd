"""A comparison to be read: plain text whose cells may be painted, Markdown. Pure.

What is otherwise comes first, then the heat maps of ratios, then what each figure comes to.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tabulate import tabulate

from tui.core.outcome import Outcome
from tui.core.printing import Span
from tui.core.safe_text import safe_line
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.comparison import CellChange, Change, Comparison, FigureChange, FigureSummary, Pair

OPEN = "·"
MARKS = {Change.BETTER: "+", Change.WORSE: "-", Change.SAME: "=", Change.UNSURE: "?"}
LEGEND = "+ better, - worse, = no difference that the spread can carry, ? spread not known"
MOST_NAMED = 12
MOST_PLACES = 20_000
"""Of a grid: cells that lie apart would make an endless one."""
COLUMNS = 80
_LONGEST_VALUE = 60
_STRONGEST = math.log(2.0)
"""A ratio of 2 or of 1/2 has the strongest colour."""
_FAINTEST = 0.05
_BY = {
    "measures": "three or more measures of the cell",
    "interval": "the window's own interval",
    "repeats": "repeats",
    "requests": "the spread of the requests of one measure",
}


class HeatMap(NamedTuple):
    """The ratios of one figure as a grid: users down, prompt tokens across."""

    heading: str
    headers: list[str]
    rows: list[list[Span]]
    """The first of each is the number of users."""


def figures_of(comparison: Comparison, wanted: Sequence[str]) -> list[CellFigure]:
    """Return the figures to be drawn: those wanted, else tokens/s and TTFT, or time to resolve where they are not."""
    known = {each.figure for pair in comparison.pairs for each in pair.summary}
    if wanted:
        return [figure for figure in COMPARED if figure.field in wanted]
    usual = [figure for figure in COMPARED if figure.field in ("tokens_per_s_total", "ttft_p50_s")]
    found = [figure for figure in usual if figure.field in known]
    return found or [figure for figure in COMPARED if figure.field in known][:1]


def lines(comparison: Comparison, wanted: Sequence[str] = ()) -> Iterator[list[Span]]:
    """Yield a comparison as lines for a terminal; `wanted` are the figures whose grids are drawn."""
    yield from _plain(heading(comparison))
    yield from _plain([""])
    headers, rows = conditions(comparison)
    if rows:
        yield from _plain(["Conditions that differ:", *tabulate(rows, headers, disable_numparse=True).splitlines()])
    else:
        yield from _plain(["Conditions: none is told otherwise."])
    yield from _sentences(said_of_sides(comparison))
    for pair in comparison.pairs:
        for figure in figures_of(comparison, wanted):
            for heat_map in heat_maps(pair, figure):
                yield from _plain(["", heat_map.heading])
                yield from _drawn(heat_map)
        yield from _sentences(["", *pair_sentences(pair)])
        if pair.summary:
            headers, table = summary_table(pair)
            yield from _plain(["", *tabulate(table, headers, disable_numparse=True).splitlines()])
    if any(pair.summary for pair in comparison.pairs):
        yield from _sentences(["", LEGEND, *spread_sentences(comparison)])


def markdown(comparison: Comparison, wanted: Sequence[str] = ()) -> str:
    """Return a comparison as a Markdown document; text from outside is escaped."""
    parts = ["# " + _escaped(heading(comparison)[0])]
    parts += [_escaped(line) for line in heading(comparison)[1:]]
    headers, rows = conditions(comparison)
    parts.append("## Conditions that differ" if rows else "No condition is told otherwise.")
    if rows:
        parts.append(_pipe([[_escaped(each) for each in row] for row in rows], [_escaped(each) for each in headers]))
    parts += [_escaped(line) for line in said_of_sides(comparison)]
    for pair in comparison.pairs:
        parts.append(f"## {_escaped(pair_name(pair))}")
        for figure in figures_of(comparison, wanted):
            for heat_map in heat_maps(pair, figure):
                texts = [[text for text, _ in row] for row in heat_map.rows]
                parts += [_escaped(heat_map.heading), _pipe(texts, heat_map.headers)]
        parts += [_escaped(line) for line in pair_sentences(pair)]
        if pair.summary:
            headers, table = summary_table(pair)
            parts.append(_pipe(table, headers))
    parts += [_escaped(LEGEND), *(_escaped(line) for line in spread_sentences(comparison))]
    return "\n\n".join(parts) + "\n"


def heading(comparison: Comparison) -> list[str]:
    """Return what is compared: a title, and each side by its letter."""
    kinds = [f", {side.source}" if side.source != "session" else "" for side in comparison.sides]
    said = [
        safe_line(f"{letter(place)} = {side.label}{kind}", limit=200)
        for place, (side, kind) in enumerate(zip(comparison.sides, kinds, strict=True))
    ]
    return [f"Comparison with A, {len(said) - 1} beside it" if len(said) > 2 else "Comparison of B with A", *said]


def said_of_sides(comparison: Comparison) -> list[str]:
    """Return what each side does not tell, and what must be known to read its figures rightly."""
    said = []
    for place, (side, absent) in enumerate(zip(comparison.sides, comparison.untold, strict=True)):
        if absent:
            said.append(f"Not told by {letter(place)}: {', '.join(absent)}.")
        said += [f"{letter(place)}: {note}" for note in side.notes]
    return [safe_line(line, limit=400) for line in said]


def conditions(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the circumstances that differ as headers and rows: a column for each side."""
    headers = ["", *(letter(place) for place in range(len(comparison.sides)))]
    rows = [
        [each.name, *("not told" if value is None else safe_line(value, limit=_LONGEST_VALUE) for value in each.values)]
        for each in comparison.differing
    ]
    return headers, rows


def letter(place: int) -> str:
    """Return what a side is called in tables: A is the base."""
    return chr(ord("A") + place)


def pair_name(pair: Pair) -> str:
    """Return which side a pair divides by which."""
    return f"{letter(pair.other)} / A"


def cell_span(cell: CellChange | None, figure: CellFigure) -> Span:
    """Return what became of a figure of a cell in a word, and how good that is."""
    if cell is None:
        return OPEN, None
    if cell.fails_now:
        return "fails", -1.0
    if cell.answered_now:
        return "ok now", 1.0
    if cell.base_outcome is not Outcome.OK:
        return "failed", None
    change = cell.of(figure.field)
    return (OPEN, None) if change is None else (f"{change.ratio:.2f}{MARKS[change.change]}", _goodness(change))


def heat_maps(pair: Pair, figure: CellFigure) -> list[HeatMap]:
    """Return the ratios of a figure, a map for each number of output tokens; none where no cell is known on both."""
    maps = []
    for output_tokens in sorted({cell.output_tokens for cell in pair.cells}):
        cells = {(cell.users, cell.prompt_tokens): cell for cell in pair.cells if cell.output_tokens == output_tokens}
        prompts, all_users = sorted({prompt for _, prompt in cells}), sorted({users for users, _ in cells})
        headers = ["users", *(f"{prompt} tok" for prompt in prompts)]
        rows: list[list[Span]] = [
            [(str(users), None), *(cell_span(cells.get((users, prompt)), figure) for prompt in prompts)]
            for users in (all_users if len(all_users) * len(prompts) <= MOST_PLACES else ())
        ]
        if not rows:
            headers = ["the cells lie too far apart for a grid: --format csv tells each"]
        answers = f", {output_tokens} output tokens" if output_tokens else ""
        maps.append(HeatMap(f"{figure.name}: {pair_name(pair)}{answers}", headers, rows))
    return maps


def pair_sentences(pair: Pair) -> list[str]:
    """Return what became of the cells, in sentences."""
    other = letter(pair.other)
    if not pair.cells:
        return [f"No cell is known both in A and in {other}."]
    known = "1 cell is" if len(pair.cells) == 1 else f"{len(pair.cells)} cells are"
    said = [f"{known} known in A and {other}{_known_once(pair)}."]
    fails = [_place(cell, cell.other_outcome) for cell in pair.cells if cell.fails_now]
    answered = [_place(cell, cell.base_outcome) for cell in pair.cells if cell.answered_now]
    for places, words in ((fails, "Answered in A, failed in"), (answered, "Failed in A, answered in")):
        if places:
            more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
            said.append(f"{words} {other}: {', '.join(places[:MOST_NAMED])}{more}.")
    return said


def summary_table(pair: Pair) -> tuple[list[str], list[list[str]]]:
    """Return what each figure comes to as headers and rows."""
    names = {figure.field: figure.name for figure in COMPARED}
    headers = [pair_name(pair), "cells", "median", "least", "most", *MARKS.values()]
    return headers, [[names[each.figure], *_counts(each)] for each in pair.summary]


def spread_sentences(comparison: Comparison) -> list[str]:
    """Return by what the spread of the figures is known, in a sentence."""
    found = dict.fromkeys(
        side.by
        for pair in comparison.pairs
        for cell in pair.cells
        for change in cell.figures
        for side in (change.base, change.other)
        if side.by
    )
    told = [_BY[name] for name in _BY if name in found]
    return [f"Intervals hold 95 %; they come from {', '.join(told)}."] if told else []


def _goodness(change: FigureChange) -> float:
    strength = max(_FAINTEST, min(1.0, abs(math.log(change.ratio)) / _STRONGEST))
    return {Change.BETTER: strength, Change.WORSE: -strength}.get(change.change, 0.0)


def _drawn(heat_map: HeatMap) -> Iterator[list[Span]]:
    head: list[Span] = [(text, None) for text in heat_map.headers]
    rows = [head, *heat_map.rows]
    widths = [max(len(row[place][0]) for row in rows) for place in range(len(head))]
    for row in rows:
        yield [(f" {text:>{width}} ", goodness) for (text, goodness), width in zip(row, widths, strict=True)]


def _sentences(texts: Sequence[str]) -> Iterator[list[Span]]:
    """Yield sentences as lines that the narrowest terminal shows whole."""
    for text in texts:
        yield from _plain(textwrap.wrap(text, COLUMNS, break_on_hyphens=False) or [""])


def _plain(texts: Sequence[str]) -> Iterator[list[Span]]:
    for text in texts:
        yield [(text, None)]


def _known_once(pair: Pair) -> str:
    here, there = pair.only_base, pair.only_other
    parts = [f"{here} only in A"] if here else []
    parts += [f"{there} only in {letter(pair.other)}"] if there else []
    return f" ({', '.join(parts)})" if parts else ""


def _place(cell: CellChange, outcome: Outcome) -> str:
    return f"{cell.users} × {cell.prompt_tokens} ({outcome})"


def _counts(each: FigureSummary) -> list[str]:
    ratios = [f"{value:.2f}" for value in (each.median, each.least, each.most)]
    return [str(each.cells), *ratios, *(str(count) for count in (each.better, each.worse, each.same, each.unsure))]


_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _pipe(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=aligned)
