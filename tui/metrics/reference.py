"""What lies beside a live grid: a published table or an earlier session, and how its conditions differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult


class ReferenceCell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cell of a reference. Of a published table, the time to resolve is all there is."""

    users: int
    prompt_tokens: int
    ok: bool = True
    """False = it failed there."""
    time_to_resolve_s: float | None = None
    tokens_per_s_per_user: float | None = None
    tokens_per_s_total: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    goodput_requests_per_s: float | None = None
    cost_per_1m_tokens: float | None = None
    energy_per_token_j: float | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A grid measured elsewhere, or before."""

    name: str
    """The table's name, or the session's id."""
    published: bool = False
    """A published table; else an earlier session."""
    source: str = ""
    """In words, where it is neither: an export, the results of another tool."""
    simulated: bool = False
    differs: list[str] = []
    """How its conditions differ from those here, one after the other, in words."""
    cells: list[ReferenceCell] = []
    problem: str = ""
    """Why it cannot be laid beside, in a sentence; empty = it can."""

    @property
    def words(self) -> str:
        """What it is, in words."""
        simulated = " (SIMULATED)" if self.simulated else ""
        kind = "the published table" if self.published else f"the {self.source}" if self.source else "session"
        return f"{kind} {self.name}{simulated}"


_FIGURES = tuple(name for name in ReferenceCell.__struct_fields__ if name not in ("users", "prompt_tokens", "ok"))
SILENT = frozenset({Outcome.CANCELLED, Outcome.CLIENT_LIMIT, Outcome.IMPLIED})
"""Cells that ended so say nothing of the server."""


def cells_of_session(cells: Iterable[CellResult]) -> list[ReferenceCell]:
    """Return an earlier session's cells; those that say nothing of the server are left out."""
    return [
        ReferenceCell(
            users=cell.users,
            prompt_tokens=cell.prompt_tokens,
            ok=cell.outcome is Outcome.OK,
            **({name: getattr(cell, name) for name in _FIGURES} if cell.outcome is Outcome.OK else {}),
        )
        for cell in cells
        if not cell.outcome.is_open and cell.outcome not in SILENT
    ]


def ratio(here: float | None, there: float | None) -> float | None:
    """Return how many times as much it is here; None where one is missing or the other is 0."""
    return here / there if here is not None and there else None


def parts_from(cell: CellResult | None, there: ReferenceCell | None) -> str:
    """Return how a cell ended otherwise than there: "failed" (it was measured there), "measured" (it failed there)."""
    if cell is None or there is None or cell.outcome.is_open or cell.outcome in SILENT:
        return ""
    ok = cell.outcome is Outcome.OK
    return "" if ok == there.ok else "measured" if ok else "failed"
