"""Makes request records from seconds, as people reckon."""

from __future__ import annotations

from itertools import count

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.record import RequestRecord, gaps_between

_ids = count()


def ns(at_s: float) -> int:
    return round(at_s * NS_PER_S)


def answered(
    start_s: float,
    token_times_s: list[float],
    *,
    user: int = 0,
    tag: int = 1,
    delay_s: float = 0.0,
    end_s: float | None = None,
    tokens: int | None = -1,
    outcome: Outcome = Outcome.OK,
    prompt_usage: int | None = 31,
    error: str = "",
    status: int | None = 200,
) -> RequestRecord:
    """A request whose token-bearing events arrived at those times; `tokens` -1 = one per event."""
    stamps = [ns(at_s) for at_s in token_times_s]
    last_s = token_times_s[-1] if token_times_s else start_s
    return RequestRecord(
        request_id=next(_ids),
        worker=0,
        user=user,
        tag=tag,
        intended_start_ns=ns(start_s),
        start_ns=ns(start_s + delay_s),
        first_token_ns=stamps[0] if stamps else None,
        last_token_ns=stamps[-1] if stamps else None,
        end_ns=ns(last_s if end_s is None else end_s),
        prompt_tokens=31,
        output_tokens_asked=len(stamps),
        prompt_tokens_usage=prompt_usage,
        output_tokens=len(stamps) if tokens == -1 else tokens,
        events=len(stamps),
        **msgspec.structs.asdict(gaps_between(stamps)),
        outcome=outcome,
        http_status=status,
        error=error,
    )


def failed(start_s: float, end_s: float, outcome: Outcome, error: str = "", status: int | None = None) -> RequestRecord:
    return answered(start_s, [], end_s=end_s, outcome=outcome, error=error, status=status, tokens=None)
