"""When a run says nothing of its server, because it was never really asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult

# As `metrics.summary` writes evidence. Too many requests, and a time-out by the server, are ways to answer a load.
_REFUSED = re.compile(r"\d+ of \d+ requests: HTTP (4\d\d)\b")
_OF_THE_LOAD = frozenset({408, 425, 429})
_REFUSALS = frozenset({Outcome.HTTP_ERROR, Outcome.OVERLOADED, Outcome.MALFORMED, Outcome.DISCONNECTED})
_BY_AWS = re.compile(r"request signature|security token|Missing Authentication Token|Signature (?:expired|not yet)")
_OTHER_ENDPOINT = {"completions": "chat", "chat": "completions"}


def why_nothing_was_asked(cells: Sequence[CellResult], endpoint: str) -> str:
    """Return why cells are of no use since our own requests were refused, and what to do; empty = they are of use.

    So it is when every request of a cell was refused as wrong (HTTP 4xx), or a whole run has nothing but refusals.
    """
    wrong = [cell for cell in cells if _status_of(cell) is not None]
    if wrong:
        what = "1 cell" if len(wrong) == 1 else f"{len(wrong)} cells"
        return f"{what} could not be measured, since the server refuses what is asked: {_told(wrong[0], endpoint)}"
    asked = [cell for cell in cells if cell.measured]
    if asked and all(cell.outcome in _REFUSALS and not cell.requests_ok for cell in asked):
        return f"not one request was answered: {_told(asked[0], endpoint)}"
    return ""


def _status_of(cell: CellResult) -> int | None:
    if cell.outcome is not Outcome.HTTP_ERROR or cell.requests_ok:
        return None
    found = _REFUSED.match(cell.evidence)
    status = int(found[1]) if found else 0
    return status if status and status not in _OF_THE_LOAD else None


def _told(cell: CellResult, endpoint: str) -> str:
    return f"{cell.evidence}{hint_for(_status_of(cell), cell.evidence, endpoint)}"


def hint_for(status: int | None, text: str, endpoint: str) -> str:
    """Return what may help with a request that was refused, after a semicolon; empty where nothing is known."""
    if status == 403 and _BY_AWS.search(text):
        return "; it is asked with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for a role, AWS_SESSION_TOKEN"
    if status in (401, 403):
        return "; name the variable that holds its key: api_key_env in [attach], or --api-key-env"
    if status in (404, 405, 501) and not re.search(r"\bmodel\b", text, re.IGNORECASE):
        return f'; it may know only the other way to ask: endpoint = "{_OTHER_ENDPOINT[endpoint]}" in [load]'
    if status == 400 and endpoint == "chat" and re.search(r"chat.?template", text, re.IGNORECASE):
        return '; the model has no chat template: endpoint = "completions" in [load]'
    return ""
