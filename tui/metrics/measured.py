"""A grid that was measured somewhere, with the circumstances it was measured in: one side of a comparison. Pure."""

from __future__ import annotations

import msgspec

from tui.metrics.cell import CellResult
from tui.metrics.circumstances import Circumstances


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one session, export, published table or result of another tool says."""

    name: str
    source: str = "session"
    """In words, what it was read from."""
    simulated: bool = False
    circumstances: Circumstances = Circumstances()
    cells: list[CellResult] = []
    """Of one mode; all measures of a cell, oldest first."""
    tokens_per_s: list[tuple[float, float] | None] = []
    """In total over the seconds since its start, in few points; None is a gap, none at all = it is not known."""
    sizes_are_means: bool = False
    """Its prompt sizes are means over requests of different sizes."""
    notes: list[str] = []
    """What must be known to read its figures rightly, a sentence each."""

    @property
    def label(self) -> str:
        """Return its name, marked where its figures are simulated."""
        return f"{self.name} (SIMULATED)" if self.simulated else self.name
