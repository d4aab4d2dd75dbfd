"""The figures of a standing cell as one would reckon them with all of its records at hand, to compare with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean, pstdev
from typing import Any

from tui.core.outcome import Outcome
from tui.metrics.concurrency import Interval
from tui.metrics.histogram import LogHistogram
from tui.metrics.percentile import percentile
from tui.metrics.record import RequestRecord
from tui.metrics.steady import is_steady
from tui.profile.schema import SloTable


def naive_figures(records: Sequence[RequestRecord], tag: int, window: Interval, slo: SloTable) -> dict[str, Any]:
    """Return some fields of the cell's result; `outcomes` instead of its outcome: how often each was met."""
    start_ns, end_ns = window
    lasting_s = (end_ns - start_ns) / 1e9
    ended = {(r.worker, r.user, r.start_ns) for r in records if r.outcome is not Outcome.RUNNING}
    records = [r for r in records if r.outcome is not Outcome.RUNNING or (r.worker, r.user, r.start_ns) not in ended]
    own = [record for record in records if record.tag == tag]
    finished = [r for r in own if start_ns <= r.end_ns <= end_ns and r.outcome is not Outcome.RUNNING]
    ok = [record for record in finished if record.ok]
    hopeful = (Outcome.OK, Outcome.RUNNING, Outcome.CANCELLED)
    beyond = [r for r in own if r.outcome is Outcome.RUNNING or r.start_ns < end_ns < r.end_ns]
    slices = _slices([*ok, *(record for record in beyond if record.outcome in hopeful)], window)
    spans = [(record.start_ns, record.end_ns) for record in records]
    itl_us = LogHistogram()
    rates: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for record in ok:
        for gap_us in record.gaps_us():
            itl_us.add(gap_us)
        if record.e2e_s:
            rates[record.worker, record.user].append(record.tokens / record.e2e_s)
    e2e = [(record.end_ns, record.e2e_s) for record in ok if record.e2e_s is not None]
    middle_ns = (start_ns + end_ns) // 2
    met = sum(_meets(record, slo) for record in finished)
    usages = [record.prompt_tokens_usage == record.prompt_tokens for record in ok if record.prompt_tokens_usage]
    itl_p50_us = itl_us.percentile(50)
    return {
        "duration_s": lasting_s,
        "requests_ok": len(ok),
        "requests_failed": sum(not r.ok and r.outcome is not Outcome.CANCELLED for r in finished),
        "tokens_per_s_total": sum(slices) / lasting_s or None,
        "tokens_per_s_per_user": fmean(map(fmean, rates.values())) if rates else None,
        "steady": is_steady(
            slices,
            [e2e_s for at_ns, e2e_s in e2e if at_ns < middle_ns],
            [e2e_s for at_ns, e2e_s in e2e if at_ns >= middle_ns],
        ),
        "ttft_p50_s": percentile([record.ttft_s for record in ok if record.ttft_s is not None], 50),
        "tpot_p50_s": percentile([record.tpot_s for record in ok if record.tpot_s is not None], 50),
        "e2e_p50_s": percentile([e2e_s for _, e2e_s in e2e], 50),
        "time_to_resolve_s": fmean([e2e_s for _, e2e_s in e2e]) if e2e else None,
        "itl_p50_s": None if itl_p50_us is None else itl_p50_us / 1e6,
        "delivered_concurrency": sum(max(0, min(end, end_ns) - max(start, start_ns)) for start, end in spans)
        / 1e9
        / lasting_s,
        "delivered_concurrency_max": max(
            (
                sum(start <= at < end for start, end in spans)
                for at in {start_ns, *(start for start, _ in spans if start_ns < start < end_ns)}
            ),
        ),
        "output_tokens_mean": fmean([record.tokens for record in ok]) if ok else None,
        "output_tokens_std": pstdev([record.tokens for record in ok]) if ok else None,
        "counted_by": " and ".join(sorted({record.counted_by for record in ok})),
        "events_packed": any(record.packed for record in ok),
        "prompt_tokens_exact": all(usages) if usages else None,
        "goodput_requests_per_s": met / lasting_s if finished else None,
        "slo_met": met >= 0.99 * len(finished) if finished else None,
        "outcomes": Counter(record.outcome for record in finished),
    }


def _slices(records: Sequence[RequestRecord], window: Interval) -> list[float]:
    slices = [0.0] * 10
    for record in records:
        if record.first_token_ns is None:
            continue
        for after_us in accumulate(record.gaps_us(), initial=0):
            into_ns = record.first_token_ns + after_us * 1_000 - window[0]
            if 0 <= into_ns < window[1] - window[0]:
                slices[into_ns * 10 // (window[1] - window[0])] += record.tokens / record.events
    return slices


def _meets(record: RequestRecord, slo: SloTable) -> bool:
    pairs = ((record.ttft_s, slo.ttft_s), (record.tpot_s, slo.tpot_s), (record.e2e_s, slo.e2e_s))
    return record.ok and all(value is None or limit is None or value <= limit for value, limit in pairs)
