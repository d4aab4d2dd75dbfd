"""A session in a line, for lists."""

from __future__ import annotations

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import users_in_words


class GridCell(msgspec.Struct, frozen=True, array_like=True):
    """One measured cell, for a small picture of the grid."""

    users: int
    prompt_tokens: int
    outcome: Outcome
    time_to_resolve_s: float | None = None


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One session in a line."""

    session_id: str
    file: str
    profile: str = ""
    started_at: str = ""
    """ISO 8601, UTC."""
    state: str = "unreadable"
    """running, ended, killed, unreadable."""
    ended_how: str = ""
    failure: str = ""
    """The class of the failure by which its server was lost before any cell was ok; empty = it was not."""
    simulated: bool | None = None
    cells_measured: int = 0
    cells_ok: int = 0
    best_users: int | None = None
    """Of the best cell: the most tokens per second of all that met their SLO, if there was one."""
    best_prompt_tokens: int | None = None
    best_tokens_per_s_total: float | None = None
    outcomes: list[str] = []
    """How its cells ended, each once."""
    note: str = ""
    """What its owner wrote about it."""
    grid: list[GridCell] = []
    """The measured cells of the mode with most of them, at most so many as a picture has room for."""
    best_ttft_p50_s: float | None = None
    best_tokens_per_s_per_user: float | None = None
    problem: str = ""
    """Why the file cannot be read."""

    @property
    def state_in_words(self) -> str:
        """The state, and what is known of its cause."""
        if self.failure:
            return f"failed: {self.failure}" + (" (still open)" if self.state == "running" else "")
        return f"{self.state}: {self.ended_how}" if self.ended_how else self.state

    @property
    def best(self) -> str:
        """The best cell in words; empty when there is none."""
        if self.best_tokens_per_s_total is None:
            return ""
        cell = f"{users_in_words(self.best_users or 0)} x {self.best_prompt_tokens} tok"
        return f"{cell}: {self.best_tokens_per_s_total:.1f} tok/s"
