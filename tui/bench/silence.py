"""When a server that is asked says nothing: how long, and whether that is too long. Pure; fed by one thread."""

from __future__ import annotations

from tui.core.clock import NS_PER_S
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress

LEAST_S = 3.0
"""Shorter silences are never told of."""
TIMES_LONGEST = 4.0
"""So many times the longest gap so far is too long, scaled to what is asked now."""
TIMES_TOLD = 1.5
"""The same of a gap that was itself too long: such a one need not be told again, but it makes no server a slow one."""
UNKNOWN_S = 30.0
"""The limit before any token has come: a first request may compile and load for long."""


class SilenceWatch:
    """Measures how long no token has come while requests were under way, by what the load workers report.

    A client that reports nothing proves nothing of the server: silence lasts up to the latest report, never to now.
    Times are of one axis, ns; `least_s` is on it as well.
    """

    def __init__(self, *, least_s: float = LEAST_S, most_s: float) -> None:
        """`most_s`: a silence that is longer is always too long (the bound of a whole request)."""
        self._least_s = least_s
        self._most_s = most_s
        self._since_ns: int | None = None
        self._latest_ns = 0
        self._longest_s: float | None = None
        self._expected_s: float | None = None
        self._expected_of = 1
        self._asked = 1
        self._patience = 1.0
        self.in_flight = 0

    def ask(self, users: int, prompt_tokens: int) -> None:
        """Take it that so many users ask with prompts of this size from now on: it is for them to wait longer."""
        self._asked = max(1, users * prompt_tokens)

    def take(self, progress: LoadProgress) -> None:
        """Take a report of the load workers."""
        self._latest_ns, self.in_flight = progress.at_ns, progress.in_flight
        if not progress.in_flight:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = progress.at_ns
        elif progress.events:
            self._end_at(progress.at_ns)

    def heard(self) -> None:
        """Take it that a request has ended, in whatever way: a server that refuses is not silent."""
        if self._since_ns is not None:
            self._since_ns = self._latest_ns

    def begin_anew(self) -> None:
        """Forget the silence under way: there is another server."""
        self._since_ns, self._patience = None, 1.0

    def wait_longer(self) -> None:
        """Double the limit of the silence under way: the server was seen to work."""
        self._patience *= 2.0

    @property
    def silent_s(self) -> float:
        """For how long no token has come, s; 0 when nothing is asked."""
        return 0.0 if self._since_ns is None else (self._latest_ns - self._since_ns) / NS_PER_S

    @property
    def longest_s(self) -> float | None:
        """The longest silence that ended with a token, s; None before the first token."""
        return self._longest_s

    @property
    def limit_s(self) -> float:
        """How long a silence may last before it is told of, s."""
        scale = self._least_s / LEAST_S
        usual_s = UNKNOWN_S * scale
        if self._expected_s is not None:
            usual_s = self._expected_s * max(1.0, self._asked / self._expected_of)
        return self._patience * min(max(self._least_s, usual_s), self._most_s)

    def _end_at(self, at_ns: int) -> None:
        assert self._since_ns is not None
        gap_s = (at_ns - self._since_ns) / NS_PER_S
        self._longest_s = max(gap_s, self._longest_s or 0.0)
        # What was long enough to be judged and was not seen to be work is no measure of the server: a second silence
        # of a server that hung would be told of far too late.
        if gap_s <= 2 * self.limit_s:
            expected_s = gap_s * (TIMES_LONGEST if gap_s <= self.limit_s else TIMES_TOLD)
            if self._expected_s is None or expected_s > self._expected_s:
                self._expected_s, self._expected_of = expected_s, self._asked
        self._since_ns, self._patience = at_ns, 1.0


def has_worked(before: ServerMetrics | None, after: ServerMetrics | None) -> bool:
    """Say whether a server's own counters of tokens grew between two readings; False where it tells none."""
    if before is None or after is None:
        return False
    pairs = (
        (before.prompt_tokens_total, after.prompt_tokens_total),
        (before.generation_tokens_total, after.generation_tokens_total),
    )
    return any(one is not None and other is not None and other > one for one, other in pairs)
