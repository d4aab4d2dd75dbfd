"""The exceptions that a Python program logged, and which of them is the cause. Pure.

A traceback is a headline, indented frames, and the exception at the left margin. Where one exception was raised for
another, Python prints the earlier first and a sentence between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_HEADLINE = re.compile(r"^(?:  \+ )?(?:Exception Group )?Traceback \(most recent call last\):")
_EXCEPTION = re.compile(
    r"^(?P<name>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning|Timeout|Failure|Abort))(?::|$| )"
)
# A class that is named otherwise is still an exception where it follows the frames.
_ANY_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:: |:?$)")
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception"
_WHILE_HANDLING = "During handling of the above exception, another exception occurred"
_FRAME = re.compile(r"^\s{2,}\S|^\s*[~^]+\s*$|^$")
# Lines of other parts of the program may stand between those of one traceback.
_LONGEST_TRACEBACK = 400


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception in a log."""

    at: int
    """The index of its line."""
    text: str
    """Its line, without what the log puts before it."""


def root_exception(
    lines: Sequence[str], message_of: Callable[[str], tuple[str, str] | None], is_consequence: Callable[[str], bool]
) -> Raised | None:
    """Return the first cause of the last traceback that is no mere consequence of another; None where there is none.

    `message_of` returns who wrote a line (processes log between each other's lines) and what it says, or None for a
    line that bears nothing. `is_consequence` tells exceptions that only report that another process has failed.
    """
    streams: dict[str, list[tuple[int, str]]] = {}
    for at, line in enumerate(lines):
        if (found := message_of(line)) is not None:
            streams.setdefault(found[0], []).append((at, found[1]))
    roots = [root for stream in streams.values() for root in _roots(stream, is_consequence)]
    return max(roots, key=lambda root: root.at, default=None)


def _roots(stream: Sequence[tuple[int, str]], is_consequence: Callable[[str], bool]) -> list[Raised]:
    """Return the root of each chain of tracebacks in the lines of one process."""
    chains: list[list[Raised]] = []
    joined = False
    place = 0
    while place < len(stream):
        text = stream[place][1]
        if _DIRECT_CAUSE in text or _WHILE_HANDLING in text:
            joined = bool(chains)
        elif _HEADLINE.match(text):
            raised, place = _exception_after(stream, place + 1)
            if raised is not None:
                if joined:
                    chains[-1].append(raised)
                else:
                    chains.append([raised])
                joined = False
            continue
        place += 1
    roots = []
    for chain in chains:
        causes = [raised for raised in chain if not is_consequence(raised.text)]
        if causes:
            roots.append(causes[0])
    return roots


def _exception_after(stream: Sequence[tuple[int, str]], place: int) -> tuple[Raised | None, int]:
    """Return the exception that ends the traceback whose frames begin at `place`, and where to go on."""
    for here in range(place, min(place + _LONGEST_TRACEBACK, len(stream))):
        at, text = stream[here]
        if _HEADLINE.match(text):
            return None, here
        if _EXCEPTION.match(text) or (here > place and not _FRAME.match(text) and _ANY_EXCEPTION.match(text)):
            return Raised(at, text.strip()), here + 1
    return None, min(place + _LONGEST_TRACEBACK, len(stream))
