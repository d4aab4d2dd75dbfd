"""Figures of all sides of a comparison by users, to be drawn over each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import CellFigure
from tui.metrics.comparison import Comparison

Curve = list[tuple[int, float]]
"""Users and a figure, in the order of the users."""


def prompt_sizes(comparison: Comparison, figure: CellFigure) -> list[int]:
    """Return the prompt sizes of the base at which some other side has the figure as well; all of the base else."""
    own = {cell.prompt_tokens for cell in comparison.base.cells if _known(cell, figure)}
    shared = {cell.prompt_tokens for pair in comparison.pairs for cell in pair.cells if cell.of(figure.field)}
    return sorted(own & shared or own)


def by_users(comparison: Comparison, figure: CellFigure, prompt_tokens: int) -> list[Curve]:
    """Return the figure of each side at a prompt size of the base; where a side has sizes that are means, its nearest.

    A cell that was measured several times is told by its latest measure, with the smallest answers where there are
    several sizes of them.
    """
    curves = [_of_cells(comparison.base.cells, figure, prompt_tokens)]
    for pair in comparison.pairs:
        points = dict(_of_cells(comparison.sides[pair.other].cells, figure, prompt_tokens))
        for cell in pair.cells:
            change = cell.of(figure.field)
            if cell.prompt_tokens == prompt_tokens and change is not None:
                points.setdefault(cell.users, change.other.value)
        curves.append(sorted(points.items()))
    return curves


def _of_cells(cells: Sequence[CellResult], figure: CellFigure, prompt_tokens: int) -> Curve:
    known = [cell for cell in cells if cell.prompt_tokens == prompt_tokens and _known(cell, figure)]
    known.sort(key=lambda cell: -cell.output_tokens)  # stable: the latest measure of the smallest stays
    return sorted({cell.users: value for cell in known if (value := figure.of(cell)) is not None}.items())


def _known(cell: CellResult, figure: CellFigure) -> bool:
    return cell.outcome is Outcome.OK and figure.of(cell) is not None
