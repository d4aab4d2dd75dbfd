"""The nearest known word to one that was mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

_LONGEST = 100  # the search takes time that grows with the length, and names come from outside


def nearest(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most `most` of the known words, the nearest first; none that is less similar than `cutoff`, 0 to 1."""
    return difflib.get_close_matches(word[:_LONGEST], dict.fromkeys(known), n=most, cutoff=cutoff)


def did_you_mean(
    word: str,
    known: Iterable[str],
    *,
    most: int = 1,
    cutoff: float = 0.6,
    shown: Callable[[str], str] = str,
    otherwise: str = "",
) -> str:
    """Return "; did you mean X?", or `otherwise` where nothing is near; `shown` writes a word."""
    words = [shown(each) for each in nearest(word, known, most=most, cutoff=cutoff)]
    return f"; did you mean {' or '.join(words)}?" if words else otherwise
