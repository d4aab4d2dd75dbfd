"""Whether a server that was launched again is the one from before: one earlier cell is measured again. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult, users_in_words

DRIFTED = 0.05
"""From this share on, cells of the two launches are not quite comparable; a standing cell is known to about as much."""


def control_cell(results: Iterable[CellResult], launch: int) -> CellResult | None:
    """Return the cell that is to be measured again on this launch of the server, the quickest that was ok before.

    None where no cell was ok on an earlier launch, or one was measured again on this one already.
    """
    earlier = []
    for cell in results:
        if cell.conditions is None or cell.outcome is not Outcome.OK:
            continue
        if cell.conditions.launch == launch and cell.conditions.control_of:
            return None
        if 0 < cell.conditions.launch < launch and cell.duration_s and cell.time_to_resolve_s:
            earlier.append(cell)
    return min(earlier, key=lambda cell: (cell.duration_s or 0.0, cell.users, cell.prompt_tokens), default=None)


def drift(earlier: CellResult, again: CellResult) -> str:
    """Return, in words, how far a cell that was measured again is from before; "" where a figure is missing."""
    before_s, now_s = earlier.time_to_resolve_s, again.time_to_resolve_s
    if not before_s or now_s is None or earlier.conditions is None:
        return ""
    share = (now_s - before_s) / before_s
    cell = f"{users_in_words(again.users)} x {again.prompt_tokens:,} tokens"
    found = "the launches differ" if abs(share) >= DRIFTED else "the launches agree"
    return (
        f"control: {cell} took {now_s:.3g} s, {before_s:.3g} s on launch {earlier.conditions.launch} "
        f"({share:+.1%}): {found}"
    )
