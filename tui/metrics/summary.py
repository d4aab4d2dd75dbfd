"""From the records of a cell's requests to its result. Pure.

Latencies come from requests that were answered in full; tokens of failed requests count nowhere, so that a failure
never raises a throughput or lowers a latency. In mode burst all requests count and time runs while any is under way;
in modes steady and rate, requests that finished within the window count, and tokens by when they arrived.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Any

from tui.core.clock import NS_PER_S, NS_PER_US
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.concurrency import Interval, area_ns, busy_ns, peak
from tui.metrics.cost import cost_per_tokens
from tui.metrics.histogram import LogHistogram
from tui.metrics.outcome import Outcome
from tui.metrics.percentile import percentile_of_sorted
from tui.metrics.record import RequestRecord
from tui.metrics.steady import is_steady
from tui.profile.schema import CostTable, Mode, SloTable

SLO_SHARE = 0.99
"""A cell meets its SLO when this share of its finished requests does; failed ones do not."""
_SLICES = 10
_EVIDENCE_LIMIT = 500
# One engine's death makes many kinds of failures, and a lost load worker spoils all; then what is most frequent. What
# was cancelled did not fail.
_GRAVEST = (Outcome.ENGINE_DEAD, Outcome.CLIENT_LIMIT)
_UNDER_WAY = frozenset({Outcome.RUNNING, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class _Sample:
    """What of a cell's records counts for what."""

    finished: list[RequestRecord]
    """Ended while the cell was measured, in whatever way."""
    ok: list[RequestRecord]
    under_way: list[RequestRecord]
    """Not ended when the measuring did."""
    window: Interval
    duration_s: float
    tokens: float
    """Output tokens that arrived for requests which did not fail."""
    steady: bool | None


def summarize_cell(
    records: Sequence[RequestRecord],
    *,
    users: int,
    prompt_tokens: int,
    output_tokens: int,
    mode: Mode | str,
    measured_by: str = "sweep",
    tag: int = 0,
    window_ns: Interval | None = None,
    slo: SloTable | None = None,
    cost: CostTable | None = None,
    requests_dropped: int = 0,
) -> CellResult:
    """Return the result of a cell by its requests; readings of the server and the GPUs are for the caller to add.

    `window_ns`: what was measured after the warm-up; needed in modes steady and rate, of no meaning in mode burst.
    `records`: also those still under way at its end (outcome running, or cancelled since), for their tokens; with a
    `tag`, those of another tag count for the delivered concurrency alone.
    """
    records = _once(records)
    own = [record for record in records if not tag or record.tag == tag]
    sample = _burst(own) if mode == Mode.BURST or window_ns is None else _standing(own, window_ns)
    outcome, evidence = _outcome(sample)
    tokens_per_s = sample.tokens / sample.duration_s if sample.tokens and sample.duration_s else None
    spans = [(record.start_ns, record.end_ns) for record in records]
    lasting_s = sample.duration_s
    return CellResult(
        users=users,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        mode=str(mode),
        measured_by=measured_by,
        outcome=outcome,
        evidence=evidence,
        tag=tag,
        started_at_ns=sample.window[0],
        duration_s=sample.duration_s or None,
        tokens_per_s_total=tokens_per_s,
        tokens_per_s_per_user=_tokens_per_s_per_user(sample.ok),
        requests_ok=len(sample.ok),
        requests_failed=sum(not r.ok and r.outcome is not Outcome.CANCELLED for r in sample.finished),
        requests_dropped=requests_dropped,
        delivered_concurrency=area_ns(spans, sample.window) / NS_PER_S / lasting_s if lasting_s else None,
        delivered_concurrency_max=peak(spans, sample.window) if lasting_s else None,
        steady=sample.steady,
        events_packed=any(record.packed for record in sample.ok),
        goodput_requests_per_s=_goodput(sample, slo),
        slo_met=_slo_met(sample, slo),
        cost_per_1k_tokens=cost_per_tokens(cost.price_per_hour, tokens_per_s, 1_000) if cost else None,
        cost_per_1m_tokens=cost_per_tokens(cost.price_per_hour, tokens_per_s, 1_000_000) if cost else None,
        currency=cost.currency if cost else "",
        prompt_tokens_exact=_prompt_tokens_exact(sample.ok),
        **_latencies(sample),
    )


def _once(records: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Return the records without those of requests seen under way that finished while they were looked at."""
    ended = {(r.worker, r.user, r.start_ns) for r in records if r.outcome is not Outcome.RUNNING}
    return [r for r in records if r.outcome is not Outcome.RUNNING or (r.worker, r.user, r.start_ns) not in ended]


def _burst(records: list[RequestRecord]) -> _Sample:
    # Between two repeats nothing is under way, so that the time in which something is, is the bursts' together.
    spans = [(record.intended_start_ns, record.end_ns) for record in records]
    window = (min((start for start, _ in spans), default=0), max((end for _, end in spans), default=0))
    ok = [record for record in records if record.ok]
    tokens = float(sum(_tokens(record) for record in ok))
    return _Sample(records, ok, [], window, busy_ns(spans) / NS_PER_S, tokens, None)


def _standing(records: list[RequestRecord], window: Interval) -> _Sample:
    start_ns, end_ns = window
    finished = [r for r in records if start_ns <= r.end_ns <= end_ns and r.outcome is not Outcome.RUNNING]
    under_way = [r for r in records if r.outcome is Outcome.RUNNING or (r.start_ns < end_ns < r.end_ns)]
    ok = [record for record in finished if record.ok]
    # What arrived within the window counts, also of answers that were not complete by its end, unless they fail later.
    arrived = [*ok, *(r for r in under_way if r.ok or r.outcome in _UNDER_WAY)]
    slices = _tokens_by_slice(arrived, window)
    middle_ns = (start_ns + end_ns) // 2
    steady = is_steady(
        slices,
        [r.e2e_s for r in ok if r.e2e_s is not None and r.end_ns < middle_ns],
        [r.e2e_s for r in ok if r.e2e_s is not None and r.end_ns >= middle_ns],
    )
    return _Sample(finished, ok, under_way, window, (end_ns - start_ns) / NS_PER_S, sum(slices), steady)


def _tokens(record: RequestRecord) -> int:
    """Return the output tokens by the server's count, else one per event that bore some."""
    return record.events if record.output_tokens is None else record.output_tokens


def _tokens_by_slice(records: Iterable[RequestRecord], window: Interval) -> list[float]:
    """Return the tokens that arrived in each slice of the window; an answer's tokens are spread over its events."""
    start_ns, end_ns = window
    edges = [start_ns + (end_ns - start_ns) * at // _SLICES for at in range(_SLICES + 1)]
    slices = [0.0] * _SLICES
    for record in records:
        if record.first_token_ns is None or not record.events:
            continue
        per_event = _tokens(record) / record.events
        arrivals_us = list(accumulate(record.gaps_us(), initial=0))
        places = [bisect_left(arrivals_us, -(-(edge - record.first_token_ns) // NS_PER_US)) for edge in edges]
        for at in range(_SLICES):
            slices[at] += (places[at + 1] - places[at]) * per_event
    return slices


def _outcome(sample: _Sample) -> tuple[Outcome, str]:
    counts = Counter(record.outcome for record in sample.finished if not record.ok)
    if not counts:
        if sample.ok:
            return Outcome.OK, ""
        if sample.under_way:
            waiting = f"{len(sample.under_way)} under way"
            return Outcome.TIMEOUT, f"no request finished within the {sample.duration_s:.1f} s measured, {waiting}"
        return Outcome.CANCELLED, "no request was sent"
    worst = next((outcome for outcome in _GRAVEST if outcome in counts), None)
    if worst is None:
        # By name where equally frequent, so that a cell ends the same way whatever the order of its records.
        worst = max(sorted(counts), key=lambda outcome: (outcome is not Outcome.CANCELLED, counts[outcome]))
    words = Counter(_failure_in_words(record) for record in sample.finished if record.outcome is worst)
    text, _ = words.most_common(1)[0]
    evidence = f"{counts[worst]} of {len(sample.finished)} requests: {text}"
    return worst, safe_line(evidence, limit=_EVIDENCE_LIMIT)


def _failure_in_words(record: RequestRecord) -> str:
    status = f"HTTP {record.http_status}" if record.http_status is not None else ""
    return ", ".join(part for part in (status, record.error) if part) or str(record.outcome)


def _latencies(sample: _Sample) -> dict[str, Any]:
    itl_us = LogHistogram()
    for record in sample.ok:
        itl_us.add_many(record.gaps_us())
    figures: dict[str, Any] = {}
    for name, measure in _MEASURES.items():
        ordered = sorted(value for record in sample.ok if (value := measure(record)) is not None)
        for q in (50, 90, 99):
            figures[f"{name}_p{q}_s"] = percentile_of_sorted(ordered, q)
        if name in _MEANS:
            figures[_MEANS[name]] = fmean(ordered) if ordered else None
    for q in (50, 90, 99):
        value_us = itl_us.percentile(q)
        figures[f"itl_p{q}_s"] = None if value_us is None else value_us / 1e6
    delays = sorted(record.client_delay_s for record in sample.finished)
    figures["client_delay_p99_s"] = percentile_of_sorted(delays, 99)
    return figures


_MEASURES: dict[str, Callable[[RequestRecord], float | None]] = {
    "ttft": lambda record: record.ttft_s,
    "tpot": lambda record: record.tpot_s,
    "e2e": lambda record: record.e2e_s,
}


_MEANS = {"ttft": "ttft_mean_s", "e2e": "time_to_resolve_s"}


def _tokens_per_s_per_user(ok: list[RequestRecord]) -> float | None:
    """Return output tokens / E2E of a request, averaged over each user's requests, then over the users."""
    rates: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for record in ok:
        if record.e2e_s:
            rates[record.worker, record.user].append(_tokens(record) / record.e2e_s)
    return fmean(fmean(own) for own in rates.values()) if rates else None


def _meets(record: RequestRecord, slo: SloTable) -> bool:
    limits = ((record.ttft_s, slo.ttft_s), (record.tpot_s, slo.tpot_s), (record.e2e_s, slo.e2e_s))
    return record.ok and all(value is None or limit is None or value <= limit for value, limit in limits)


def _goodput(sample: _Sample, slo: SloTable | None) -> float | None:
    """Return requests per second that met the SLO: goodput as in DistServe (OSDI 2024)."""
    if slo is None or not sample.duration_s or not sample.finished:
        return None
    return sum(_meets(record, slo) for record in sample.finished) / sample.duration_s


def _slo_met(sample: _Sample, slo: SloTable | None) -> bool | None:
    if slo is None or not sample.finished:
        return None
    return sum(_meets(record, slo) for record in sample.finished) >= SLO_SHARE * len(sample.finished)


def _prompt_tokens_exact(ok: list[RequestRecord]) -> bool | None:
    told = [record for record in ok if record.prompt_tokens_usage is not None]
    return all(record.prompt_tokens_usage == record.prompt_tokens for record in told) if told else None
