"""What the view shows of one finished request: the same live and in a replay."""

from __future__ import annotations

from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import LatencyPoint, RequestRow


def latency_point(record: RequestRecord) -> LatencyPoint:
    """Return a request as a point."""
    return LatencyPoint(record.end_ns, record.ttft_s, record.e2e_s, record.ok)


def request_row(record: RequestRecord, users: int) -> RequestRow:
    """Return a request as a line; `users`: how many were wanted at the time."""
    e2e_s = record.e2e_s
    return RequestRow(
        request_id=record.request_id,
        at_ns=record.end_ns,
        outcome=record.outcome,
        users=users,
        prompt_tokens=record.prompt_tokens,
        output_tokens=record.output_tokens,
        ttft_s=record.ttft_s,
        e2e_s=e2e_s,
        tokens_per_s=record.output_tokens / e2e_s if record.output_tokens and e2e_s else None,
        error=record.error,
    )
