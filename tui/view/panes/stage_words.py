"""What an audience is told in place of the bench's own notices, which are for who steers. Pure."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.metrics.snapshot import Snapshot
from tui.view.panes.memory_end import people

_ENDS = {
    Outcome.TOO_LONG: "too long a question",
    Outcome.TIMEOUT: "too slow",
    Outcome.OVERLOADED: "turned away",
    Outcome.ENGINE_DEAD: "the server died",
    Outcome.HTTP_ERROR: "turned away",
    Outcome.DISCONNECTED: "cut off",
    Outcome.MALFORMED: "no proper answer",
    Outcome.CLIENT_LIMIT: "more than we can ask",
}


def end_for_all(outcome: Outcome) -> str:
    """Return how asking ended that was not answered, but for memory that gave out."""
    return _ENDS.get(outcome, "not answered")


def news_for_all(snapshot: Snapshot, words_per_token: float | None = None) -> str:
    """Return what is to be told now, in a sentence; empty where that is nothing. `words_per_token` tells words."""
    if snapshot.unkept:
        return "From now on nothing is written down."
    if snapshot.sweep.failed:
        return "Measuring has stopped."
    load = snapshot.load
    asked = (cell.outcome for cell in snapshot.grid.cells if cell.prompt_tokens == load.prompt_tokens)
    if not load.users_active and Outcome.TOO_LONG in asked:
        return "Questions of this length are too long for the model."
    if not snapshot.sweep.looks_for_edge:
        return ""
    edge = next((one for one in reversed(snapshot.edges) if one.known), None)
    if edge is None:
        return ""
    size = edge.prompt_tokens * (words_per_token or 1.0)
    noun = "tokens" if words_per_token is None else "words"
    who = f"{people(edge.users)} {'is' if edge.users == 1 else 'are'}" if edge.users else "Nobody is"
    return f"{who} served well at once, with questions of {size:,.0f} {noun}."
