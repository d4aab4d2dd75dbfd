"""What lies beside the cells of a grid, a published table or an earlier session, and how far they are from it. Pure."""

from __future__ import annotations

from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import RESOLVE, CellFigure
from tui.metrics.reference import Reference, parts_from, ratio
from tui.view import formatting
from tui.view.widgets.lines import plain

Place = tuple[int, int]
"""users, prompt tokens"""


def beside_in_short(reference: Reference | None) -> str:
    """Return for the title what lies beside where it is not of the same conditions, or cannot be had."""
    if reference is None or not (reference.problem or reference.differs):
        return ""
    return f" · {'no' if reference.problem else 'other conditions in'} {plain(reference.name, 30)}"


class Beside:
    """What lies beside the cells, of one figure."""

    def __init__(self, reference: Reference | None, figure: CellFigure) -> None:
        self._figure = figure
        known = reference.cells if reference is not None else []
        self._cells = {(cell.users, cell.prompt_tokens): cell for cell in known}
        session = reference is not None and not reference.published
        self.name = plain(reference.words, 60) if reference is not None and session else "the published figure"
        self.differs = ""
        if reference is not None and reference.problem:
            self.differs = plain(reference.problem)
        elif reference is not None and reference.differs:
            self.differs = f"conditions differ: {plain('; '.join(reference.differs))}"

    def value(self, cell: CellResult) -> float | None:
        """Return the figure there; of a session from before references were kept, what its cell says of it."""
        there = self._figure.of(self._cells.get((cell.users, cell.prompt_tokens)))
        return cell.reference_s if there is None and self._figure is RESOLVE and not self._cells else there

    def at(self, place: Place) -> float | None:
        """Return the figure there of a cell that failed here."""
        return self._figure.of(self._cells.get(place))

    def parts(self, cell: CellResult | None) -> str:
        """Return how a cell ended otherwise than there; empty where it did not, or nothing is known."""
        return "" if cell is None else parts_from(cell, self._cells.get((cell.users, cell.prompt_tokens)))

    def against(self, cell: CellResult) -> str:
        """Return how far a cell's figure is from the one there: −7 %, and from twice on how many times as much: ×3.4.

        Of a cell that failed there, that it had.
        """
        if self.parts(cell):
            return "had failed"
        return _against(self._figure.of(cell), self.value(cell))


def _against(here: float | None, there: float | None) -> str:
    times = ratio(here, there)
    if times is None or not formatting.is_figure(times) or times < 0:
        return ""
    if times >= 2:
        return f"×{formatting.significant(times, 0)}"
    share = (times - 1) * 100
    sign = "+" if share > 0.5 else "−" if share < -0.5 else "±"
    return f"{sign}{formatting.fixed(abs(share), 4).strip()} %"
