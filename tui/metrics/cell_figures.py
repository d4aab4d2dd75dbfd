"""The figures by which cells are compared, each with its unit and which way is good. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui.metrics.cell import CellResult
from tui.metrics.reference import ReferenceCell


@dataclass(frozen=True, slots=True)
class CellFigure:
    """One figure of a cell."""

    field: str
    """Of `CellResult`, and of the same name in a reference."""
    name: str
    unit: str
    more_is_good: bool = False

    def of(self, cell: CellResult | ReferenceCell | None) -> float | None:
        """Return its value; None where there is none that is finite."""
        value: float | None = getattr(cell, self.field, None)
        return value if value is not None and math.isfinite(value) else None


RESOLVE = CellFigure("time_to_resolve_s", "time to resolve", "s")
FIGURES = (
    RESOLVE,
    CellFigure("tokens_per_s_per_user", "tokens/s per user", "tokens/s", more_is_good=True),
    CellFigure("tokens_per_s_total", "tokens/s total", "tokens/s", more_is_good=True),
    CellFigure("ttft_p50_s", "TTFT p50", "s"),
    CellFigure("ttft_p90_s", "TTFT p90", "s"),
    CellFigure("goodput_requests_per_s", "goodput", "requests/s", more_is_good=True),
    CellFigure("cost_per_1m_tokens", "cost per million tokens", ""),
    CellFigure("energy_per_token_j", "energy per output token", "J"),
)
"""In the order in which a key goes through them; the unit of the cost is the profile's currency."""
COMPARED = (
    *FIGURES,
    CellFigure("ttft_p99_s", "TTFT p99", "s"),
    CellFigure("ttft_mean_s", "TTFT mean", "s"),
    CellFigure("tpot_p50_s", "TPOT p50", "s"),
    CellFigure("tpot_p90_s", "TPOT p90", "s"),
    CellFigure("tpot_p99_s", "TPOT p99", "s"),
    CellFigure("itl_p50_s", "ITL p50", "s"),
    CellFigure("itl_p90_s", "ITL p90", "s"),
    CellFigure("itl_p99_s", "ITL p99", "s"),
    CellFigure("e2e_p50_s", "E2E p50", "s"),
    CellFigure("e2e_p90_s", "E2E p90", "s"),
    CellFigure("e2e_p99_s", "E2E p99", "s"),
)
"""All by which whole sessions are compared; what only some of them have is compared where it is."""
