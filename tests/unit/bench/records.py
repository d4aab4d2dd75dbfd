"""Records for tests."""

from tui.core.outcome import Outcome
from tui.metrics.record import RequestRecord


def record(
    *,
    start_ns: int = 0,
    first_token_ns: int | None = None,
    last_token_ns: int | None = None,
    event_gaps_us: bytes = b"",
    gaps_histogram: bytes = b"",
    gap_max_us: int | None = None,
    outcome: Outcome = Outcome.OK,
    tag: int = 1,
) -> RequestRecord:
    return RequestRecord(
        request_id=1,
        worker=0,
        user=0,
        tag=tag,
        intended_start_ns=start_ns,
        start_ns=start_ns,
        first_token_ns=first_token_ns,
        last_token_ns=last_token_ns,
        end_ns=last_token_ns or start_ns,
        prompt_tokens=31,
        output_tokens_asked=100,
        prompt_tokens_usage=31,
        output_tokens=100,
        events=1 + len(event_gaps_us) // 4,
        event_gaps_us=event_gaps_us,
        outcome=outcome,
        gaps_histogram=gaps_histogram,
        gap_max_us=gap_max_us,
    )
