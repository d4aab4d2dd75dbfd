"""A gate: a sentence of which a comparison is to say whether it holds, as "tokens_per_s_total < 0.95". Pure.

A cell fails a gate when its ratio to the base is beyond the gate's, and the spread carries a difference at all; where
the spread is not known the ratio decides alone, and that is said. A cell that the base answered and the other side does
not fails every gate. A gate that no cell can be judged by fails as well: it would guard nothing.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from tui.core.nearest import did_you_mean
from tui.core.safe_text import safe_line
from tui.metrics.cell_figures import COMPARED
from tui.metrics.comparison import CellChange, Change, Comparison, FigureChange, Pair, in_words

MOST_PLACES = 8
_GRAMMAR = re.compile(r"\s*([a-z0-9_]{1,60})\s*(<=|>=|<|>)\s*([0-9]{1,6}(?:\.[0-9]{1,9})?)\s*", re.ASCII)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure, and beyond which ratio to the base it fails."""

    figure: str
    """The field of `CellResult`."""
    sign: str
    ratio: float

    def __str__(self) -> str:
        """Return the sentence as it is written."""
        return f"{self.figure} {self.sign} {self.ratio:g}"

    def holds_of(self, change: FigureChange) -> bool:
        """Say whether a cell's figure is beyond the gate, by more than its spread."""
        return change.change is not Change.SAME and _OPERATORS[self.sign](change.ratio, self.ratio)


def parse_gate(text: str) -> Gate:
    """Return the gate that a text such as "ttft_p90_s > 1.1" says. Raises ValueError in words."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(
            f"found {safe_line(text, limit=80)!r}, expected a figure, one of < <= > >= and a ratio, "
            'as "tokens_per_s_total < 0.95"'
        )
    figures = [figure.field for figure in COMPARED]
    if found[1] not in figures:
        hint = did_you_mean(found[1], figures, otherwise=f"; the figures are {', '.join(figures)}")
        raise ValueError(f"{found[1]}: found no figure of that name{hint}")
    ratio = float(found[3])
    if not (ratio > 0 and math.isfinite(ratio)):
        raise ValueError(f"found {found[3]}, expected a ratio above 0")
    return Gate(found[1], found[2], ratio)


def failures(gate: Gate, comparison: Comparison) -> list[str]:
    """Return a sentence for each side that fails the gate; none where all pass."""
    return [said for pair in comparison.pairs if (said := _failure(gate, comparison, pair))]


def _failure(gate: Gate, comparison: Comparison, pair: Pair) -> str:
    name = comparison.sides[pair.other].name
    fails = [_place(cell, f"ended as {cell.other_outcome}") for cell in pair.cells if cell.fails_now]
    judged = [(cell, change) for cell in pair.cells if (change := cell.of(gate.figure)) is not None]
    beyond = [_place(cell, in_words(change)) for cell, change in judged if gate.holds_of(change)]
    said = []
    if beyond:
        said.append(f"holds in {len(beyond)} of {len(judged)} cells: {_places(beyond)}")
    if fails:
        cells = (
            "a cell that the base answered fails" if len(fails) == 1 else f"{len(fails)} cells that it answered fail"
        )
        said.append(f"{cells} now: {_places(fails)}")
    if not judged and not fails:
        said.append("cannot be judged: no cell has that figure both in the base and here")
    return f"{gate} fails for {name}: {'; '.join(said)}" if said else ""


def _place(cell: CellChange, what: str) -> str:
    return f"{cell.users} × {cell.prompt_tokens} {what}"


def _places(places: list[str]) -> str:
    more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
    return ", ".join(places[:MOST_PLACES]) + more
