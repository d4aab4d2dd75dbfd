"""The page of a cell: its facts in blocks with headings, side by side where there is room. Pure.

Of one column below 76 cells, of two from there on, of three from 116, of four from 180.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from tui.metrics.snapshot import Snapshot
from tui.view.screens.cell_facts import CellFacts, Hue, Place, Widths, accent, grouped_facts
from tui.view.screens.fact_sheet import Fact, sheet_lines, wrapped_content

_TWO, _THREE, _FOUR = 76, 116, 180
_GAP = 3
_MOST_HISTOGRAMS = 3


@dataclass(frozen=True)
class _Block:
    """A heading and what stands below it."""

    heading: str
    facts: Sequence[Fact]
    labelled: bool = True
    """Whether labels stand left of the facts; else the heading says it."""

    def lines(self, width: int) -> list[Content]:
        """Return it in `width` cells."""
        head = [Content.styled(self.heading, "bold $accent")] if self.heading else []
        if not self.labelled:
            return [*head, *(line for fact in self.facts for one in fact.lines for line in wrapped_content(one, width))]
        return [*head, *sheet_lines(self.facts, width)]


def cell_page(place: Place, snapshot: Snapshot, width: int, hue: Hue = accent) -> Content:
    """Return the page of the cell at `place` in `width` cells."""
    columns = 4 if width >= _FOUR else 3 if width >= _THREE else 2 if width >= _TWO else 1
    pictures = min(columns, _MOST_HISTOGRAMS)
    widths = Widths(_shared(width, columns), _shared(width, pictures))
    facts = grouped_facts(place, snapshot, widths, hue)
    pages = [_side_by_side(row, width) for row in _rows(facts, columns)]
    lines: list[Content] = []
    for page in pages:
        lines += [*([Content("")] if lines else []), *page]
    return Content("\n").join(lines)


def _shared(width: int, columns: int) -> int:
    return (width - _GAP * (columns - 1)) // columns


def _rows(facts: CellFacts, columns: int) -> list[list[_Block]]:
    """Return the blocks by rows, from the top; those of which nothing is known are left out."""
    ending = _Block("", facts.ending)
    figures, latency = _Block("figures", facts.figures), _Block("latency", facts.latencies)
    server = _Block("server and KV cache", facts.server)
    conditions = _Block("conditions", facts.conditions, labelled=False)
    drawn = [fact for fact in facts.histograms if len(fact.lines) > 1]
    histograms = [_Block(f"{fact.label}, how often", [fact], labelled=False) for fact in drawn]
    missing = _Block("", [fact for fact in facts.histograms if len(fact.lines) == 1])
    requests = _Block("requests at hand, failed ones first", facts.requests, labelled=False)
    pictures = [
        histograms[start : start + max(1, min(columns, _MOST_HISTOGRAMS))]
        for start in range(0, len(histograms), max(1, min(columns, _MOST_HISTOGRAMS)))
    ]
    match columns:
        case 1:
            rows = [[ending], [figures], [latency], *pictures, [missing], [server], [conditions], [requests]]
        case 2:
            rows = [[ending], [figures, latency], *pictures, [missing], [server, conditions], [requests]]
        case 3:
            rows = [[ending], [figures, latency, server], *pictures, [missing], [conditions, requests]]
        case _:
            rows = [[ending], [figures, latency, server, conditions], *pictures, [missing], [requests]]
    known = [[block for block in row if block.facts] for row in rows]
    return [row for row in known if row]


def _side_by_side(blocks: Sequence[_Block], width: int) -> list[Content]:
    """Return blocks beside each other, each in its share of the width."""
    size = _shared(width, len(blocks))
    drawn = [block.lines(size) for block in blocks]
    lines: list[Content] = []
    for row in range(max(map(len, drawn))):
        line = Content("")
        for place, block in enumerate(drawn):
            if row < len(block):
                line = Content.assemble(line, " " * (place * (size + _GAP) - line.cell_length), block[row])
        lines.append(line)
    return lines
