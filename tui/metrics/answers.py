"""How the answers of a cell were: how long, by whose count, and whether they came as a stream. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from tui.core.clock import NS_PER_MS
from tui.metrics.cell import CellResult
from tui.metrics.record import CountedBy, RequestRecord

# Between the first and the last of several tokens lies a step of the model at least, and no model makes one so quickly.
IN_ONE_READ_NS = NS_PER_MS
# Fewer come in one event of a busy server now and then.
FEWEST_TOKENS = 4
# A tokenizer may cut a text otherwise here and there than the model made it.
AS_ONE = 0.05
BUFFERED_SHARE = 0.5
"""From this share of a cell's answers on, what holds them back is not chance."""


class Answers:
    """Sums up the answers that were given in full."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()
        self._counted_by: set[CountedBy] = set()
        self._in_one_read = 0

    def add(self, record: RequestRecord) -> None:
        """Count one."""
        self._lengths[record.tokens] += 1
        self._counted_by.add(record.counted_by)
        self._in_one_read += came_in_one_read(record)

    def figures(self) -> dict[str, Any]:
        """Return the fields of a cell's result that tell of them."""
        count = self._lengths.total()
        if not count:
            return {}
        mean = sum(length * times for length, times in self._lengths.items()) / count
        squares = sum(times * (length - mean) ** 2 for length, times in self._lengths.items())
        return {
            "output_tokens_mean": mean,
            "output_tokens_std": math.sqrt(squares / count),
            "counted_by": " and ".join(sorted(self._counted_by)),
            "requests_in_one_read": self._in_one_read,
        }


def came_in_one_read(record: RequestRecord) -> bool:
    """Say whether an answer of several tokens came all at once, as through a gateway that buffers streams."""
    if record.first_token_ns is None or record.last_token_ns is None or record.tokens < FEWEST_TOKENS:
        return False
    took_ns = record.last_token_ns - record.first_token_ns
    return took_ns < IN_ONE_READ_NS and took_ns * 10 < record.first_token_ns - record.start_ns


def caveats_of(cell: CellResult) -> list[str]:
    """Return what must be known to read the figures of a cell rightly, a sentence each; none where all is as asked."""
    found = []
    if (length := _other_length(cell)) is not None:
        forced = "" if cell.output_forced else ": the server was not made to give so many"
        found.append(f"answers have {length} tokens, {cell.output_tokens} were asked for{forced}")
    if CountedBy.EVENTS in cell.counted_by:
        found.append(f"the server told no count: tokens are counted by events, {_tokens_in_each(cell)}")
    if cell.requests_in_one_read > BUFFERED_SHARE * cell.requests_ok:
        found.append("each answer came in one read, as through a gateway that buffers: TTFT and TPOT are its own")
    return found


def _other_length(cell: CellResult) -> str | None:
    """Return how long the answers were, in words; None where they were as long as asked."""
    mean, spread, asked = cell.output_tokens_mean, cell.output_tokens_std or 0.0, cell.output_tokens
    if mean is None or (mean == asked and not spread):
        return None
    packed = cell.tokens_per_event
    if packed is None or abs(packed - 1) <= AS_ONE:
        return f"{mean:.1f} ± {spread:.1f}" if spread else f"{mean:g}"
    mean, spread = mean * packed, spread * packed
    if abs(mean - asked) <= AS_ONE * asked and spread <= AS_ONE * asked:
        return None
    return f"about {mean:.1f} ± {spread:.1f}"


def _tokens_in_each(cell: CellResult) -> str:
    found = cell.tokens_per_event
    if found is None:
        return "one in each"
    if abs(found - 1) <= AS_ONE:
        return "one in each, as its tokenizer confirms by one answer"
    return f"but by its tokenizer one holds {found:.2f}: tokens/s are {found:.2f} times as many, TPOT is 1/{found:.2f}"
