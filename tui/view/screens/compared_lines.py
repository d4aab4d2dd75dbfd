"""Two sides of a comparison as lines: what differs, ratios and both grids in colours, curves over each other. Pure.

Blocks stand side by side where there is room, else one below the other: the screen scrolls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.comparison import CellChange, Change, Comparison
from tui.metrics.comparison_curves import by_users, prompt_sizes
from tui.session import comparison_text
from tui.session.comparison_text import letter
from tui.view import formatting
from tui.view.plotting import plotted
from tui.view.plotting.plotted import Trace
from tui.view.widgets.heat_map import HeatScale, resolve, word
from tui.view.widgets.lines import Ink, Line, cells, cut, plain, spread, width_of, wrapped

_LABEL = 6
_RATIO_CELLS, _SPREAD_CELLS, _VALUE_CELLS = 8, 12, 8
_GAP = 3
_CHART_ROWS = 13
_LEAST_CHART = 44
MOST_ROWS, MOST_COLUMNS = 60, 40
"""Of a grid; more are counted."""
_BETTER, _WORSE = (Ink.HEAT_1, Ink.HEAT_0), (Ink.HEAT_5, Ink.HEAT_6)
"""The ends of the heat scale alone: its middle is green in some palettes."""
_HUES = {"tokens_per_s_total": Ink.TOTAL, "tokens_per_s_per_user": Ink.EACH}
_BY_LATENCY = {"ttft": Ink.TTFT, "itl_": Ink.ITL, "tpot": Ink.ITL}
_BASE_INK = Ink.STRONG
Block = list[Line]


@dataclass(frozen=True)
class Compared:
    """What the screen shows of a comparison: which figure, and at which prompt size the curves are."""

    comparison: Comparison
    figure: CellFigure
    prompt_tokens: int | None = None

    @property
    def prompt_sizes(self) -> list[int]:
        """Return those at which there are curves."""
        return prompt_sizes(self.comparison, self.figure)

    @property
    def prompt(self) -> int | None:
        """Return the size whose curves are shown: that asked for, else the first."""
        sizes = self.prompt_sizes
        return self.prompt_tokens if self.prompt_tokens in sizes else sizes[0] if sizes else None

    @property
    def _simulated(self) -> bool:
        return any(side.simulated for side in self.comparison.sides)

    def lines(self, width: int) -> list[Line]:
        """Return all lines, of at most `width` cells."""
        lines = [*self._sides(width), [], *self._conditions(width), []]
        ratios, grids = self._ratios(width), list(self._grids(width))
        together = [ratios, *grids]
        in_one_row = sum(_size(block) + _GAP for block in together) - _GAP <= width
        lines += flowing(together, width) if in_one_row else [*flowing([ratios], width), *flowing(grids, width)]
        lines += [*self._legend(width), [], *flowing(self._charts(width), width), *self._told(width)]
        return [cut(line, width) for line in lines]

    def _sides(self, width: int) -> Iterator[Line]:
        for place, said in enumerate(comparison_text.heading(self.comparison)[1:]):
            name, _, rest = said.partition(" = ")
            yield [(f"{name} = ", self._ink(place)), (plain(rest, width - 4), Ink.PLAIN)]

    def _conditions(self, width: int) -> Iterator[Line]:
        headers, rows = comparison_text.conditions(self.comparison)
        if not rows:
            yield [("Conditions: none is told otherwise.", Ink.DIM)]
        else:
            yield [("Conditions that differ", Ink.STRONG)]
            names = min(max(len(row[0]) for row in rows) + 2, width // 3)
            room = (width - names) // (len(headers) - 1)
            yield [(" " * names, Ink.PLAIN), *((cells(text, room), Ink.DIM) for text in headers[1:])]
            for name, *values in rows:
                yield [(cells(name, names), Ink.DIM), *((cells(f"{value} ", room), Ink.PLAIN) for value in values)]
        for said in comparison_text.said_of_sides(self.comparison):
            yield from wrapped(said, width, Ink.DIM)

    # -- the grids

    def _ratios(self, width: int) -> Block:
        """Return the ratios, each with its interval where all columns have room for it."""
        pair = self.comparison.pairs[0]
        known = {(cell.users, cell.prompt_tokens): cell for cell in pair.cells}
        users, prompts = _axes(known)
        roomy = _LABEL + _SPREAD_CELLS * len(prompts) <= width
        size = _SPREAD_CELLS if roomy else _RATIO_CELLS
        shown = prompts[: max(1, (width - _LABEL) // size)]
        mark = " SIMULATED" if self._simulated else ""
        title = f"{self.figure.name}: {comparison_text.pair_name(pair)}{mark}"
        block = _headed(title, shown, len(prompts), size)
        for n in users[:MOST_ROWS]:
            row = [known.get((n, prompt)) for prompt in shown]
            block.append([(f"{n:>{_LABEL - 1}} ", Ink.DIM), *(_ratio(cell, self.figure, size) for cell in row)])
            between = [_between(cell, self.figure, size) for cell in row]
            if roomy and any(text.strip() for text, _ in between):
                block.append([(" " * _LABEL, Ink.PLAIN), *between])
        return [*block, *_more(users)]

    def _grids(self, width: int) -> Iterator[Block]:
        """Yield the grid of each side, in the colours of one scale."""
        sides = [{(cell.users, cell.prompt_tokens): cell for cell in side.cells} for side in self.comparison.sides]
        answered = [cell for side in sides for cell in side.values() if cell.outcome is Outcome.OK]
        scale = HeatScale([self.figure.of(cell) for cell in answered], more_is_good=self.figure.more_is_good)
        unit = f", {self.figure.unit}" if self.figure.unit and self.figure.unit not in self.figure.name else ""
        for place, side in enumerate(sides):
            users, prompts = _axes(side)
            shown = prompts[: max(1, (width - _LABEL) // _VALUE_CELLS)]
            mark = " SIMULATED" if self.comparison.sides[place].simulated else ""
            title = f"{letter(place)}: {self.figure.name}{unit}{mark}"
            block = _headed(title, shown, len(prompts), _VALUE_CELLS)
            for n in users[:MOST_ROWS]:
                row = [self._value(side.get((n, prompt)), scale) for prompt in shown]
                block.append([(f"{n:>{_LABEL - 1}} ", Ink.DIM), *row])
            yield [*block, *_more(users)]

    def _value(self, cell: CellResult | None, scale: HeatScale) -> tuple[str, Ink]:
        if cell is None:
            return "·".rjust(_VALUE_CELLS - 1) + " ", Ink.FAINT
        value = self.figure.of(cell)
        if cell.outcome is not Outcome.OK or value is None:
            text = formatting.MISSING if cell.outcome is Outcome.OK else word(cell.outcome, _VALUE_CELLS - 1)
            ink = Ink.HEAT_OPEN if cell.outcome in (Outcome.OK, Outcome.IMPLIED) else Ink.HEAT_FAILED
            return text.rjust(_VALUE_CELLS - 1) + " ", ink
        text = resolve(value, 0) if self.figure.field == "time_to_resolve_s" else formatting.significant(value, 0)
        return f"{text:>{_VALUE_CELLS - 1}} ", scale.ink(value)

    def _legend(self, width: int) -> Iterator[Line]:
        yield from wrapped(comparison_text.LEGEND, width, Ink.DIM)

    # -- the curves

    def _charts(self, width: int) -> Iterator[Block]:
        size = (width - _GAP) // 2 if width >= 2 * _LEAST_CHART + _GAP else width
        prompt = self.prompt
        if prompt is not None:
            curves = by_users(self.comparison, self.figure, prompt)
            shown = [Trace(tuple(curve), self._ink(place), letter(place)) for place, curve in enumerate(curves)]
            chart = plotted.traces(shown, size, _CHART_ROWS, doubling=True)
            if chart:
                yield [self._titled(f"{self.figure.name} by users at {prompt:,} prompt tokens", size), *chart, []]
        sides = self.comparison.sides
        over_time = [
            Trace(tuple(side.tokens_per_s), self._ink(place, Ink.TOTAL), letter(place))
            for place, side in enumerate(sides)
        ]
        if chart := plotted.traces(over_time, size, _CHART_ROWS):
            yield [self._titled("tokens/s over each session's seconds", size), *chart, []]

    def _titled(self, words: str, size: int) -> Line:
        simulated = "SIMULATED" if self._simulated else ""
        return spread([(plain(words, size - len(simulated) - 1), Ink.STRONG)], [(simulated, Ink.WARNING)], size)

    def _ink(self, place: int, hue: Ink | None = None) -> Ink:
        """Return the base's neutral ink, or for the other the hue of the figure."""
        by_latency = _BY_LATENCY.get(self.figure.field[:4], Ink.E2E)
        return _BASE_INK if place == 0 else hue or _HUES.get(self.figure.field, by_latency)

    def _told(self, width: int) -> Iterator[Line]:
        pair = self.comparison.pairs[0]
        for said in comparison_text.pair_sentences(pair):
            yield from wrapped(said, width)
        if not pair.summary:
            return
        headers, rows = comparison_text.summary_table(pair)
        yield []
        for row in (headers, *rows):
            ink = Ink.DIM if row is headers else Ink.STRONG if row[0] == self.figure.name else Ink.PLAIN
            yield [(cells(row[0], 20), ink), *((f"{text:>8}"[:8], ink) for text in row[1:])]
        for said in comparison_text.spread_sentences(self.comparison):
            yield from wrapped(said, width, Ink.DIM)


def figures_of(comparison: Comparison) -> list[CellFigure]:
    """Return the figures that a comparison of two has, tokens/s first, or that as the only one."""
    known = {each.figure for pair in comparison.pairs for each in pair.summary}
    first = comparison_text.figures_of(comparison, ["tokens_per_s_total"])
    return [*first, *(figure for figure in COMPARED if figure.field in known and figure not in first)]


def flowing(blocks: Sequence[Block] | Iterator[Block], width: int) -> Block:
    """Return blocks beside one another as far as they fit, the others below; an empty line below each row of them."""
    rows: list[list[Block]] = []
    used = 0
    for block in blocks:
        size = _size(block)
        if rows and used + _GAP + size <= width:
            rows[-1].append(block)
            used += _GAP + size
        else:
            rows.append([block])
            used = size
    lines: Block = []
    for row in rows:
        sizes = [_size(block) + _GAP for block in row]
        for number in range(max(map(len, row))):
            joined: Line = []
            for block, size in zip(row, sizes, strict=True):
                line = block[number] if number < len(block) else []
                joined += [*line, (" " * (size - width_of(line)), Ink.PLAIN)]
            lines.append(joined)
        lines.append([])
    return lines


def _size(block: Block) -> int:
    return max((width_of(line) for line in block), default=0)


def _axes(known: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    places = list(known)
    return sorted({users for users, _ in places}), sorted({prompt for _, prompt in places})[:MOST_COLUMNS]


def _headed(title: str, shown: Sequence[int], count: int, size: int) -> Block:
    more = f" +{count - len(shown)} more" if count > len(shown) else ""
    head: Line = [("users".rjust(_LABEL - 1) + " ", Ink.DIM)]
    head += [(f"{prompt:>{size - 1}} "[-size:], Ink.DIM) for prompt in shown]
    return [[(title, Ink.STRONG)], [*head, (more, Ink.FAINT)]]


def _more(users: Sequence[int]) -> Block:
    left = len(users) - MOST_ROWS
    return [[(f"and {left:,} more numbers of users: `vramp compare` tells all", Ink.DIM)]] if left > 0 else []


def _ratio(cell: CellChange | None, figure: CellFigure, size: int) -> tuple[str, Ink]:
    text, goodness = comparison_text.cell_span(cell, figure)
    return f"{text:>{size - 1}} ", _ground(cell, goodness)


def _ground(cell: CellChange | None, goodness: float | None) -> Ink:
    if cell is None:
        return Ink.FAINT
    if cell.fails_now:
        return Ink.HEAT_FAILED
    if not goodness:
        return Ink.HEAT_OPEN if goodness is None else Ink.PLAIN
    steps = _BETTER if goodness > 0 else _WORSE
    return steps[min(len(steps) - 1, int(abs(goodness) * len(steps)))]


def _between(cell: CellChange | None, figure: CellFigure, size: int) -> tuple[str, Ink]:
    change = None if cell is None else cell.of(figure.field)
    _, goodness = comparison_text.cell_span(cell, figure)
    text = ""
    if change is not None and change.low is not None and change.change is not Change.UNSURE:
        text = f"{change.low:.2f}–{'∞' if change.high is None else f'{change.high:.2f}'}"
        text = text if len(text) < size else ""
    return f"{text:>{size - 1}} ", _ground(cell, goodness)
