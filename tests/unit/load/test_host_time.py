"""Reports of another host come on our axis; what lies between two times of one stays as the host measured it."""

from __future__ import annotations

from array import array

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.load.test_worker_handle import report
from tui.core.outcome import Outcome
from tui.load.host_clock import HostClock
from tui.load.host_time import command_for, report_from
from tui.load.wire import BUCKET_NS, Cut, FireBurst, Report, RunPlan, StartedRequest, decode_report
from tui.metrics.record import RequestRecord

RECORD = RequestRecord(
    request_id=1,
    worker=1,
    user=2,
    tag=3,
    intended_start_ns=5_000_000_000,
    start_ns=5_000_100_000,
    first_token_ns=5_200_000_000,
    last_token_ns=6_000_000_123,
    end_ns=6_000_000_456,
    prompt_tokens=10,
    output_tokens_asked=5,
    prompt_tokens_usage=10,
    output_tokens=5,
    events=5,
    event_gaps_us=array("I", [200_000] * 4).tobytes(),
    outcome=Outcome.OK,
)


def clock_of(offset_ns: int) -> HostClock:
    """A clock whose offset is known to the nanosecond."""
    clock = HostClock()
    clock.take(10**9, 10**9 + offset_ns, 10**9)
    return clock


def far_report(**changes: object) -> Report:
    made = decode_report(report(1, 0))
    return msgspec.structs.replace(made, **changes)


@given(st.integers(-(10**15), 10**15))
def test_what_lies_between_two_times_is_exact(offset_ns: int) -> None:
    failed = msgspec.structs.replace(RECORD, first_token_ns=None, last_token_ns=None, outcome=Outcome.TIMEOUT)
    started = StartedRequest(7, 1, 3, 5_900_000_000, 5_900_000_100, 10, 5)
    shifted = report_from(
        far_report(at_ns=6_100_000_000 + offset_ns, records=[RECORD, failed], started=[started], peeked=[RECORD]),
        clock_of(offset_ns),
    )
    good, bad = shifted.records
    assert (good.ttft_s, good.e2e_s, good.tpot_s, good.client_delay_s) == (
        RECORD.ttft_s,
        RECORD.e2e_s,
        RECORD.tpot_s,
        RECORD.client_delay_s,
    )
    assert good.event_gaps_us == RECORD.event_gaps_us
    assert (bad.first_token_ns, bad.end_ns - bad.start_ns) == (None, RECORD.end_ns - RECORD.start_ns)
    moved_ns = good.start_ns - RECORD.start_ns
    assert {bad.intended_start_ns - RECORD.intended_start_ns, good.end_ns - RECORD.end_ns} == {moved_ns}
    assert shifted.started[0].start_ns - started.start_ns == moved_ns
    assert shifted.started[0].intended_start_ns - started.intended_start_ns == moved_ns
    assert shifted.peeked == [good]
    # Without drift known, it may be out by what a second or so of the worst drift makes.
    assert abs(moved_ns + offset_ns) < 10_000_000
    assert shifted.at_ns - (6_100_000_000 + offset_ns) == moved_ns


@given(
    st.integers(-(10**15), 10**15),
    st.dictionaries(st.integers(40, 60), st.integers(1, 100_000), max_size=8),
)
def test_no_token_is_lost_between_two_buckets(offset_ns: int, counts: dict[int, int]) -> None:
    tokens = [(bucket * BUCKET_NS, count) for bucket, count in sorted(counts.items())]
    ours = report_from(far_report(at_ns=10**9, tokens=tokens), clock_of(offset_ns)).tokens
    assert sum(count for _, count in ours) == sum(counts.values())
    assert all(start_ns % BUCKET_NS == 0 and count > 0 for start_ns, count in ours)
    assert [start_ns for start_ns, _ in ours] == sorted({start_ns for start_ns, _ in ours})
    assert len(ours) <= 2 * len(tokens)
    if tokens:
        # The middle of all tokens moves by the offset, within the rounding of each bucket.
        total = sum(counts.values())
        before = sum(start_ns * count for start_ns, count in tokens) / total
        after = sum(start_ns * count for start_ns, count in ours) / total
        assert abs(after - before + offset_ns) <= BUCKET_NS * (len(tokens) / total) + 10_000_000


def test_what_is_to_happen_at_a_moment_is_said_by_the_hosts_clock() -> None:
    clock = clock_of(5_000)
    assert command_for(FireBurst(10**9), clock) == FireBurst(10**9 + 5_000)
    assert command_for(RunPlan(10**9, b"", 3), clock) == RunPlan(10**9 + 5_000, b"", 3)
    assert command_for(Cut(), clock) == Cut()
