"""The form of a table that tells failures by log lines: first match from the top wins, at the first line it hits."""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tui.engines.base import Change, Diagnosis, FailureClass


@dataclass(frozen=True, slots=True)
class Rule:
    """One known failure."""

    pattern: re.Pattern[str]
    failure: FailureClass
    summary: str
    advice: str
    """May name groups of the pattern in braces, e.g. {needed}."""
    remedy: tuple[Change, ...] = ()
    """What of the advice can be done without asking."""

    def applied_to(self, found: re.Match[str]) -> Diagnosis:
        """Return the diagnosis by the message in which the pattern was found, with the numbers that it names."""
        groups = {name: value or "?" for name, value in found.groupdict().items()}
        line = found.string.strip()
        advice, summary = self.advice.format_map(groups), self.summary.format_map(groups)
        remedy = tuple(
            dataclasses.replace(change, to=change.to.format_map(groups), now=change.now.format_map(groups))
            for change in self.remedy
        )
        return Diagnosis(self.failure, line, advice, summary, remedy)


def rule(pattern: str, failure: FailureClass, summary: str, advice: str, *remedy: Change) -> Rule:
    """Return a rule of a table."""
    return Rule(re.compile(pattern), failure, summary, advice, remedy)


def first_match(
    lines: Sequence[str], rules: Iterable[Rule], message_of: Callable[[str], str | None]
) -> tuple[Rule, int, re.Match[str]] | None:
    """Return the rule that holds, the index of its line, and the match. Rules are tried in order, each on all lines.

    `message_of`: what of a line may bear a failure; None = nothing.
    """
    messages = [(at, message) for at, line in enumerate(lines) if (message := message_of(line))]
    for candidate in rules:
        for at, message in messages:
            if found := candidate.pattern.search(message):
                return candidate, at, found
    return None


FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that no program sends to itself when it fails: what its log said last is no reason for them."""


def signal_in_words(exit_code: int) -> str:
    """Return how a process ended whose exit code is negative, e.g. "signal 9 (SIGKILL)"."""
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"
