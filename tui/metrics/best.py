"""Which cell of a grid is the best, and which are worth a thought at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.terms import Terms

SUCCESS_SHARE = 0.99
"""Of a cell's requests so many must have been answered for it to count."""
# However many were answered before: what ended so says nothing that could be repeated.
_NEVER = frozenset({Outcome.CLIENT_LIMIT, Outcome.ENGINE_DEAD, Outcome.OOM_RUNTIME, Outcome.CANCELLED})


def succeeded(cell: CellResult) -> bool:
    """Say whether at least 99 % of the requests were answered, those counted that were planned and never started."""
    if cell.outcome.is_open or cell.outcome is Outcome.IMPLIED or cell.outcome in _NEVER or not cell.measured:
        return False
    asked = cell.requests_ok + cell.requests_failed + cell.requests_dropped
    return cell.outcome is Outcome.OK if not asked else cell.requests_ok >= SUCCESS_SHARE * asked


def best_cell(cells: Iterable[CellResult]) -> CellResult | None:
    """Return the cell with the most goodput; where the profile has no SLO, with the most tokens per second.

    None where no cell has 99 % success and, with an SLO, a request that met it.
    """
    good = [cell for cell in cells if succeeded(cell)]
    with_slo = [cell for cell in good if cell.goodput_requests_per_s is not None]
    if with_slo:
        best = max(with_slo, key=lambda cell: cell.goodput_requests_per_s or 0.0)
        return best if best.goodput_requests_per_s else None
    counted = [cell for cell in good if cell.tokens_per_s_total]
    return max(counted, key=lambda cell: cell.tokens_per_s_total or 0.0, default=None)


def best_in_words(cells: Sequence[CellResult], terms: Terms) -> str:
    """Return which cell is the best and by what, or why none is; empty where none has ended yet."""
    slo = f" ({terms.slo})" if terms.slo else ""
    best = best_cell(cells)
    if best is not None:
        where = f"best cell: {users_in_words(best.users)} × {best.prompt_tokens:,} prompt tokens"
        if best.goodput_requests_per_s is None:
            return f"{where}, {best.tokens_per_s_total or 0:,.0f} tokens/s, the most (no SLO is asked for)"
        said = f"{where}, {best.goodput_requests_per_s:.3g} requests/s within the SLO{slo}"
        return said if best.slo_met else f"{said}, but fewer than 99 % of its requests meet it"
    if not any(cell.measured and not cell.outcome.is_open for cell in cells):
        return ""
    if terms.has_slo and any(succeeded(cell) for cell in cells):
        return f"no best cell: no request of any cell meets the SLO{slo}"
    return "no best cell: none has 99 % of its requests answered"


def pareto_front(cells: Iterable[CellResult]) -> list[CellResult]:
    """Return the cells that no other beats in both tokens/s per user and tokens/s in total, by the former, descending.

    Of cells alike in both the first is taken.
    """
    known = [cell for cell in cells if succeeded(cell) and cell.tokens_per_s_per_user and cell.tokens_per_s_total]
    known.sort(key=lambda cell: (-(cell.tokens_per_s_per_user or 0.0), -(cell.tokens_per_s_total or 0.0)))
    front: list[CellResult] = []
    for cell in known:
        if not front or (cell.tokens_per_s_total or 0.0) > (front[-1].tokens_per_s_total or 0.0):
            front.append(cell)
    return front
