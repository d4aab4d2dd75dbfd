"""What the figures of a cell need of the requests that ended while it was measured. Pure; added to by one thread.

Of a request some 60 bytes are kept, in columns; its record may go.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from statistics import fmean

from tui.core.outcome import Outcome
from tui.metrics.answers import Answers
from tui.metrics.histogram import LogHistogram
from tui.metrics.record import RequestRecord
from tui.profile.schema import SloTable

MOST_WORDS = 200
"""So many ways of failing are told apart for each outcome; a server may put something of its own into each message."""


class EndedRequests:
    """Counts, and columns of exact times. A column has one value for each request that has one, in order of coming."""

    def __init__(self, slo: SloTable | None) -> None:
        self._slo = slo
        self.intended_ns = array("q")
        self.start_ns = array("q")
        self.end_ns = array("q")
        self.ttft_s = array("d")
        self.tpot_s = array("d")
        self.e2e_s = array("d")
        self.e2e_end_ns = array("q")
        """When the requests of `e2e_s` ended."""
        self.itl_us = LogHistogram()
        self.ok = 0
        self.tokens = 0
        """Output tokens of all requests that were answered in full."""
        self.failures: Counter[Outcome] = Counter()
        """By every outcome but ok."""
        self.words: defaultdict[Outcome, Counter[str]] = defaultdict(Counter)
        """How often a failure was told in which words."""
        self.met_slo = 0
        self.packed = False
        self.answers = Answers()
        self.prompt_tokens_exact: bool | None = None
        self._rates: dict[tuple[int, int], tuple[float, int]] = {}
        """Sum and number of tokens / E2E by (worker, user)."""

    def __len__(self) -> int:
        return len(self.end_ns)

    def add(self, record: RequestRecord) -> None:
        """Count a request, however it ended."""
        self.intended_ns.append(record.intended_start_ns)
        self.start_ns.append(record.start_ns)
        self.end_ns.append(record.end_ns)
        if record.ok:
            self._add_ok(record)
            return
        self.failures[record.outcome] += 1
        words, text = self.words[record.outcome], _failure_in_words(record)
        if text in words or len(words) < MOST_WORDS:
            words[text] += 1

    def tokens_per_s_per_user(self) -> float | None:
        """Return output tokens / E2E of a request, averaged over each user's requests, then over the users."""
        return fmean(total / count for total, count in self._rates.values()) if self._rates else None

    def _add_ok(self, record: RequestRecord) -> None:
        self.ok += 1
        tokens = record.tokens
        self.tokens += tokens
        ttft_s, tpot_s, e2e_s = record.ttft_s, record.tpot_s, record.e2e_s
        if ttft_s is not None:
            self.ttft_s.append(ttft_s)
        if tpot_s is not None:
            self.tpot_s.append(tpot_s)
        if e2e_s is not None:
            self.e2e_s.append(e2e_s)
            self.e2e_end_ns.append(record.end_ns)
        if e2e_s:
            total, count = self._rates.get((record.worker, record.user), (0.0, 0))
            self._rates[record.worker, record.user] = (total + tokens / e2e_s, count + 1)
        record.add_gaps_to(self.itl_us)
        self.packed |= record.packed
        self.answers.add(record)
        if record.prompt_tokens_usage is not None:
            exact = record.prompt_tokens_usage == record.prompt_tokens
            self.prompt_tokens_exact = exact and self.prompt_tokens_exact is not False
        if (slo := self._slo) is not None:
            limits = ((ttft_s, slo.ttft_s), (tpot_s, slo.tpot_s), (e2e_s, slo.e2e_s))
            self.met_slo += all(value is None or limit is None or value <= limit for value, limit in limits)


def _failure_in_words(record: RequestRecord) -> str:
    status = f"HTTP {record.http_status}" if record.http_status is not None else ""
    if status and record.error.startswith(status):
        return record.error
    return ", ".join(part for part in (status, record.error) if part) or str(record.outcome)
