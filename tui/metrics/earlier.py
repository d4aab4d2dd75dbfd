"""What a cell came to when it was measured before. Pure."""

from __future__ import annotations

import msgspec

from tui.core.outcome import Outcome


class EarlierMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """The latest of a cell's earlier measures; what it did not have is None."""

    count: int = 1
    """How many earlier measures there are."""
    tag: int = 0
    """The number that its requests bear."""
    outcome: Outcome
    launch: int = 0
    """On which launch of the session's server; 0 = not known."""
    time_to_resolve_s: float | None = None
    ttft_p50_s: float | None = None
    tokens_per_s_total: float | None = None
