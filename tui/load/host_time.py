"""Reports of another host on our time axis, and commands on its. The only two places where a host's clock is applied.

All times of one report are moved by one offset, so that what lies between two of them (TTFT, the gaps between tokens,
the time to resolve) stays exactly what the host measured; where they lie on our axis is as sure as the offset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from tui.load.host_clock import HostClock
from tui.load.wire import BUCKET_NS, Command, FireBurst, Report, RunPlan, StartedRequest
from tui.metrics.record import RequestRecord


def report_from(report: Report, clock: HostClock) -> Report:
    """Return a report on our axis."""
    at_ns = clock.to_ours(report.at_ns)
    shift_ns = at_ns - report.at_ns
    return msgspec.structs.replace(
        report,
        at_ns=at_ns,
        tokens=_buckets(report.tokens, shift_ns),
        started=[_started(each, shift_ns) for each in report.started],
        records=[_record(each, shift_ns) for each in report.records],
        peeked=None if report.peeked is None else [_record(each, shift_ns) for each in report.peeked],
    )


def command_for(command: Command, clock: HostClock) -> Command:
    """Return a command on the host's axis."""
    match command:
        case FireBurst(at_ns=at_ns):
            return FireBurst(clock.to_host(at_ns))
        case RunPlan(start_ns=start_ns):
            return msgspec.structs.replace(command, start_ns=clock.to_host(start_ns))
        case _:
            return command


def _buckets(tokens: Iterable[tuple[int, int]], shift_ns: int) -> list[tuple[int, int]]:
    """Return tokens by our buckets: what came in one of the host's is shared by time between the two that it lies in.

    So hosts whose buckets begin at different moments do not make as many buckets of each.
    """
    ours: Counter[int] = Counter()
    for start_ns, count in tokens:
        bucket, into_ns = divmod(start_ns + shift_ns, BUCKET_NS)
        later = round(count * into_ns / BUCKET_NS)
        if count > later:
            ours[bucket * BUCKET_NS] += count - later
        if later:
            ours[(bucket + 1) * BUCKET_NS] += later
    return sorted(ours.items())


def _started(started: StartedRequest, shift_ns: int) -> StartedRequest:
    return msgspec.structs.replace(
        started, intended_start_ns=started.intended_start_ns + shift_ns, start_ns=started.start_ns + shift_ns
    )


def _record(record: RequestRecord, shift_ns: int) -> RequestRecord:
    first_ns, last_ns = record.first_token_ns, record.last_token_ns
    return msgspec.structs.replace(
        record,
        intended_start_ns=record.intended_start_ns + shift_ns,
        start_ns=record.start_ns + shift_ns,
        first_token_ns=None if first_ns is None else first_ns + shift_ns,
        last_token_ns=None if last_ns is None else last_ns + shift_ns,
        end_ns=record.end_ns + shift_ns,
    )
