"""The requests of a session as rows for CSV and as columns, many at a time: a million of them in seconds.

The same figures as `RequestRecord` tells, by the same formulas; a test compares the two.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tui.core.clock import NS_PER_S, NS_PER_US
from tui.session.meta import SessionMeta, wall_times

COLUMNS: tuple[str, ...] = (
    *("session", "profile", "simulated", "time_scale"),
    *("request_id", "tag", "users", "worker", "user", "outcome", "http_status", "error"),
    *("prompt_tokens", "prompt_tokens_usage", "output_tokens_asked", "output_tokens", "counted_by", "events"),
    *("start_at", "intended_start_at_s", "start_at_s", "first_token_at_s", "last_token_at_s", "end_at_s"),
    *("ttft_s", "e2e_s", "tpot_s", "itl_mean_s", "itl_max_s", "client_delay_s", "connect_s"),
)
# What the database is asked for in the place of a column: gaps only where nothing else tells the longest of them.
STAND_INS = {
    "event_gaps_us": "CASE WHEN gap_max_us IS NULL THEN event_gaps_us END",
    "gaps_histogram": "NULL",
}

Column = Sequence[Any]


def rows_of(
    batch: Mapping[str, Column],
    meta: SessionMeta,
    session: Sequence[object],
    users_of: Mapping[int, int],
    defused: Callable[[str], str],
) -> Iterator[tuple[object, ...]]:
    """Return the rows of a batch of requests, by `COLUMNS`; `session` is what the first four hold in each."""
    columns = columns_of(batch, meta, session, users_of, defused)
    return zip(*(columns[name] for name in COLUMNS), strict=True)


def columns_of(
    batch: Mapping[str, Column],
    meta: SessionMeta,
    session: Sequence[object],
    users_of: Mapping[int, int],
    cleaned: Callable[[str], str],
) -> dict[str, Column]:
    """Return a batch of requests as columns by name, those of `COLUMNS`; texts from outside go through `cleaned`."""
    intended, start, end = batch["intended_start_ns"], batch["start_ns"], batch["end_ns"]
    first, last = batch["first_token_ns"], batch["last_token_ns"]
    count = len(start)
    texts = {text: cleaned(text) for text in set(batch["error"])}
    return {
        **{name: [value] * count for name, value in zip(COLUMNS, session, strict=False)},
        **{name: batch[name] for name in COLUMNS if name in batch},
        "users": [users_of.get(tag) for tag in batch["tag"]],
        "error": [texts[text] for text in batch["error"]],
        "start_at": wall_times(meta, start),
        "intended_start_at_s": _since(meta.started_at_ns, intended),
        "start_at_s": _since(meta.started_at_ns, start),
        "first_token_at_s": _since(meta.started_at_ns, first),
        "last_token_at_s": _since(meta.started_at_ns, last),
        "end_at_s": _since(meta.started_at_ns, end),
        "ttft_s": _between(intended, first),
        "e2e_s": _between(intended, last),
        "tpot_s": [
            None if f is None or x is None or n is None or n < 2 else (x - f) / NS_PER_S / (n - 1)
            for f, x, n in zip(first, last, batch["output_tokens"], strict=True)
        ],
        "itl_mean_s": [
            None if f is None or x is None or n < 2 else (x - f) / (n - 1) / NS_PER_S
            for f, x, n in zip(first, last, batch["events"], strict=True)
        ],
        "itl_max_s": _longest_gaps(batch["gap_max_us"], batch["event_gaps_us"]),
        "client_delay_s": _between(intended, start),
        "connect_s": _since(0, batch["connect_ns"]),
    }


def _since(start_ns: int, moments: Column) -> Column:
    return [None if at is None else (at - start_ns) / NS_PER_S for at in moments]


def _between(before: Column, after: Column) -> Column:
    return [None if b is None else (b - a) / NS_PER_S for a, b in zip(before, after, strict=True)]


def _longest_gaps(longest_us: Column, gaps_us: Column) -> Column:
    return [
        longest * NS_PER_US / NS_PER_S if longest is not None else _longest_of(gaps) if gaps else None
        for longest, gaps in zip(longest_us, gaps_us, strict=True)
    ]


def _longest_of(packed_us: bytes) -> float:
    gaps = array("I", packed_us)
    if sys.byteorder == "big":
        gaps.byteswap()
    return max(gaps) * NS_PER_US / NS_PER_S
