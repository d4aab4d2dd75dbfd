"""An aside: what a person asks the loaded model by hand, beside the load and outside of all figures. Pure."""

from __future__ import annotations

import msgspec

MAX_QUESTION_CHARS = 2000
MAX_ANSWER_CHARS = 4000


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A question by hand and what has come of it. Text from outside, cleaned; its latest part where it is long."""

    question: str
    answer: str = ""
    users: int = 0
    """How many users asked beside it when it was asked."""
    asked_at_ns: int = 0
    ttft_s: float | None = None
    """Session s from the asking to the first text."""
    tokens: int = 0
    """Of the answer so far: by the server's count where it tells one, else one per event."""
    tokens_per_s: float | None = None
    """Tokens / session s from the asking to the last of them, as a user's; None before the first."""
    over: str = ""
    """How it ended, in words; empty = it is under way."""
    failed: bool = False
