"""From a cell's requests, as they end, to its result. Pure.

Latencies come from requests that were answered in full; tokens of failed requests count nowhere, so that a failure
never raises a throughput or lowers a latency. In mode burst all requests count and time runs while any is under way;
in modes steady and rate, requests that finished within the window count, and tokens by when they arrived.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.core.steps import Steps, at_once
from tui.metrics.cell import CellResult
from tui.metrics.concurrency import Interval, area_ns, busy_ns, peak
from tui.metrics.cost import cost_per_tokens, throughput
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.ended import EndedRequests
from tui.metrics.ordered import ordered, places
from tui.metrics.percentile import percentile_of_sorted
from tui.metrics.precision import Precision, RateBins, precision_of, slices, thinned
from tui.metrics.record import RequestRecord
from tui.metrics.saturation import PARTS, RateFigures, saturation
from tui.metrics.steady import is_steady
from tui.metrics.token_bins import TokenBins
from tui.profile.schema import CostTable, Mode, SloTable

SLO_SHARE = 0.99
"""A cell meets its SLO when this share of its finished requests does; failed ones do not."""
_EVIDENCE_LIMIT = 500
# Memory that gave out is what an engine dies of, one engine's death makes many kinds of failures, and a lost load
# worker spoils all; then what is most frequent. What was cancelled did not fail.
_GRAVEST = (Outcome.OOM_RUNTIME, Outcome.ENGINE_DEAD, Outcome.CLIENT_LIMIT)
_UNDER_WAY = frozenset({Outcome.RUNNING, Outcome.CANCELLED})
_OPEN_END_NS = 1 << 62
# Workers report some times a second: a bin's tokens are all in so long after its end.
_REPORT_LAG_BINS = 3
RECORDS_PER_STEP = 256
"""Of requests that were under way: 3 ms."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """The time that was measured, and what a cell's mode makes of its requests."""

    window: Interval
    duration_s: float
    tokens: float
    """Output tokens that arrived for requests which did not fail."""
    steady: bool | None = None
    under_way: int = 0
    """Requests that had not ended when the measuring did."""


@dataclass(frozen=True, slots=True)
class _Settled:
    """What takes long to make of all requests. Columns ascend."""

    measured: _Measured
    start_ns: array[int]
    end_ns: array[int]
    """Of each request, of whatever tag, that was under way."""
    area_ns: int
    peak: int
    tokens_per_s_per_user: float | None
    ttft_s: array[float]
    tpot_s: array[float]
    e2e_s: array[float]
    delay_s: array[float]
    """What the client itself was late by."""


_REFUSED = range(400, 500)


class CellSummary:
    """Sums a cell up while its requests end, so that none of their records is kept.

    In mode burst all that is added counts. Else what ended before `start_ns` counts for nothing, and what ends after
    the end counts as under way. Such records are kept until the result: one for each user, and what else comes in
    until then.
    """

    def __init__(
        self,
        mode: Mode | str,
        *,
        tag: int = 0,
        slo: SloTable | None = None,
        start_ns: int = 0,
        lasting_s: float = 10.0,
        bin_ns: int = NS_PER_S // 10,
    ) -> None:
        """`lasting_s`: how long it is meant to be measured, which only the slices of a standing cell go by.

        `bin_ns`: in bins of which length the load workers report tokens.
        """
        self._bin_ns = bin_ns
        self._mode = mode
        self._lasting_ns = round(lasting_s * NS_PER_S)
        self._tag = tag
        self._slo = slo
        self.outcomes_seen: set[Outcome] = set()
        """Of all records ever added."""
        self.server_errors_seen = False
        """Whether any of them was answered by an error of the server's own that says no more: 5xx, or within a 200."""
        self.begin(start_ns)

    def begin(self, start_ns: int) -> None:
        """Begin to measure, as after a warm-up: what was added before counts only in `outcomes_seen`."""
        self.start_ns = start_ns
        self._end_ns = _OPEN_END_NS
        self._rates = RateBins(start_ns, self._bin_ns)
        self._last_ok_ns = 0
        self._failed_since_ns: list[int] = []
        """The ends of what failed behind the last success."""
        self._ended = EndedRequests(self._slo)
        self._arrivals = TokenBins(start_ns, self._lasting_ns)
        self._others_start_ns, self._others_end_ns = array("q"), array("q")
        self._late: list[RequestRecord] = []
        self._settled: _Settled | None = None

    @property
    def failures_in_a_row(self) -> int:
        """Return how many have failed since the last success, in the order of their ends: each worker tells its own."""
        return len(self._failed_since_ns)

    def end(self, end_ns: int) -> None:
        """Say when the measuring ended; said again later, it ended later."""
        self._end_ns = end_ns
        self._settled = None

    @property
    def has_answers(self) -> bool:
        """Say whether some request of the cell has ended since the measuring began."""
        return len(self._ended) > 0

    def add(self, record: RequestRecord) -> None:
        """Take in a request that ended, or was seen under way (outcome running) after the end.

        With a `tag`, one of another tag counts for the delivered concurrency alone.
        """
        self._settled = None
        self.outcomes_seen.add(record.outcome)
        if record.outcome is Outcome.HTTP_ERROR and record.http_status not in _REFUSED:
            self.server_errors_seen = True
        if record.outcome is Outcome.RUNNING or record.end_ns > self._end_ns:
            self._late.append(record)
        elif record.end_ns >= self.start_ns:
            self._add_ended(record)

    def add_tokens(self, tokens: Sequence[tuple[int, int]]) -> None:
        """Take (start of a bin in ns, tokens) pairs as the load workers report them."""
        self._rates.add(tokens)

    def token_rates(self, now_ns: int) -> list[float]:
        """Return tokens/s in bins of equal length since the measuring began, as far as all reports are in."""
        return self._rates.rates(min(now_ns, self._end_ns) - _REPORT_LAG_BINS * self._bin_ns)

    @property
    def answered(self) -> int:
        """Return how many answers have a latency so far."""
        return len(self._ended.e2e_s)

    @property
    def cancelled(self) -> int:
        """Return how many of its requests were cut by vramp itself."""
        return self._ended.failures[Outcome.CANCELLED]

    def mean_e2e_s(self, since: int) -> float | None:
        """Return the mean E2E latency of all answers but the first `since`, s."""
        column = self._ended.e2e_s[since:]
        return fmean(column) if column else None

    def rate_figures(self, asked_per_s: float) -> RateFigures:
        """Return what became of a planned rate of requests."""
        settled = self._settled or at_once(self.settle())
        lasting_ns = self._end_ns - self.start_ns
        edges = [self.start_ns + lasting_ns * place // PARTS for place in range(1, PARTS + 1)]
        under_way = [bisect_right(settled.start_ns, edge) - bisect_left(settled.end_ns, edge) for edge in edges]
        return saturation(asked_per_s, self._ended.ok * NS_PER_S / max(1, lasting_ns), under_way, self._ended.ttft_s)

    def precision(
        self,
        now_ns: int,
        *,
        asked: float | None,
        warm_up_s: float | None = None,
        warm_up_ended: bool | None = None,
    ) -> Precision:
        """Return how sure tokens/s and the median latency are by now."""
        rates = self.token_rates(now_ns)
        latencies_s = thinned(self._ended.e2e_s)
        middle = len(latencies_s) // 2
        lasting_s = (min(now_ns, self._end_ns) - self.start_ns) / NS_PER_S
        means = slices(rates)
        steady = is_steady(means, latencies_s[:middle], latencies_s[middle:]) if means else None
        return precision_of(
            rates,
            latencies_s,
            asked=asked,
            steady=steady,
            lasting_s=lasting_s,
            warm_up_s=warm_up_s,
            warm_up_ended=warm_up_ended,
        )

    def settle(self) -> Steps[_Settled]:
        """Do in steps what takes long of `result` and `rate_figures`, which do it themselves where nobody did.

        Nothing may be added until it is done.
        """
        yield from self._settle_late()
        ended, late = self._ended, self._late
        starts_ns, ends_ns = ended.start_ns + self._others_start_ns, ended.end_ns + self._others_end_ns
        for place in places(len(late)):
            starts_ns.extend(record.start_ns for record in late[place])
            ends_ns.extend(record.end_ns for record in late[place])
            yield
        starts_ns, ends_ns = (yield from ordered(starts_ns)), (yield from ordered(ends_ns))
        measured = yield from self._burst() if self._mode == Mode.BURST else self._standing()
        delays_s = array("d")
        for place in places(len(ended)):
            both = zip(ended.intended_ns[place], ended.start_ns[place], strict=True)
            delays_s.extend((start_ns - intended_ns) / NS_PER_S for intended_ns, start_ns in both)
            yield
        area = area_ns(starts_ns, ends_ns, measured.window)
        yield
        per_user = ended.tokens_per_s_per_user()
        yield
        self._settled = _Settled(
            measured=measured,
            start_ns=starts_ns,
            end_ns=ends_ns,
            area_ns=area,
            tokens_per_s_per_user=per_user,
            peak=(yield from peak(starts_ns, ends_ns, measured.window)),
            ttft_s=(yield from ordered(ended.ttft_s)),
            tpot_s=(yield from ordered(ended.tpot_s)),
            e2e_s=(yield from ordered(ended.e2e_s)),
            delay_s=(yield from ordered(delays_s)),
        )
        return self._settled

    def result(
        self,
        *,
        users: int,
        prompt_tokens: int,
        output_tokens: int,
        measured_by: str = "sweep",
        cost: CostTable | None = None,
    ) -> CellResult:
        """Return the result of the cell; readings of the server and the GPUs are for the caller to add."""
        settled = self._settled or at_once(self.settle())
        ended, measured = self._ended, settled.measured
        outcome, evidence = _outcome(ended, measured)
        lasting_s = measured.duration_s
        tokens_per_s = measured.tokens / lasting_s if measured.tokens and lasting_s else None
        slo_known = self._slo is not None and len(ended) > 0
        asked_and_answered = prompt_tokens + measured.tokens / ended.ok if measured.tokens and ended.ok else 0.0
        processed_per_s = throughput(ended.ok, asked_and_answered, lasting_s)
        return CellResult(
            users=users,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            mode=str(self._mode),
            measured_by=measured_by,
            outcome=outcome,
            evidence=evidence,
            tag=self._tag,
            started_at_ns=measured.window[0],
            duration_s=lasting_s or None,
            tokens_per_s_total=tokens_per_s,
            tokens_per_s_per_user=settled.tokens_per_s_per_user,
            requests_ok=ended.ok,
            requests_failed=ended.failures.total() - ended.failures[Outcome.CANCELLED],
            delivered_concurrency=settled.area_ns / NS_PER_S / lasting_s if lasting_s else None,
            delivered_concurrency_max=settled.peak if lasting_s else None,
            steady=measured.steady,
            events_packed=ended.packed,
            goodput_requests_per_s=ended.met_slo / lasting_s if slo_known and lasting_s else None,
            slo_met=ended.met_slo >= SLO_SHARE * len(ended) if slo_known else None,
            cost_per_1k_tokens=cost_per_tokens(cost.price_per_hour, processed_per_s, 1_000) if cost else None,
            cost_per_1m_tokens=cost_per_tokens(cost.price_per_hour, processed_per_s, 1_000_000) if cost else None,
            currency=cost.currency if cost else "",
            prompt_tokens_exact=ended.prompt_tokens_exact,
            **ended.answers.figures(),
            **_latencies(ended, settled),
        )

    def _add_ended(self, record: RequestRecord) -> None:
        if not self._is_own(record):
            self._others_start_ns.append(record.start_ns)
            self._others_end_ns.append(record.end_ns)
            return
        if record.ok:
            if record.end_ns > self._last_ok_ns:
                self._last_ok_ns = ok_ns = record.end_ns
                self._failed_since_ns = [end_ns for end_ns in self._failed_since_ns if end_ns >= ok_ns]
        elif record.outcome is not Outcome.CANCELLED and record.end_ns >= self._last_ok_ns:
            self._failed_since_ns.append(record.end_ns)
        self._ended.add(record)
        if record.ok and self._mode != Mode.BURST:
            self._arrivals.add(record)

    def _is_own(self, record: RequestRecord) -> bool:
        return not self._tag or record.tag == self._tag

    def _settle_late(self) -> Steps[None]:
        """Count each late record once, and those that ended by the end, should that have been moved, as ended.

        A request may have been seen under way and have ended while it was looked at.
        """
        late, self._late = self._late, []
        ended = {(r.worker, r.user, r.start_ns) for r in late if r.outcome is not Outcome.RUNNING}
        for place in places(len(late)):
            for record in late[place]:
                running = record.outcome is Outcome.RUNNING
                if not running and record.end_ns <= self._end_ns:
                    self.add(record)
                elif not running or (record.worker, record.user, record.start_ns) not in ended:
                    self._late.append(record)
            yield

    def _burst(self) -> Steps[_Measured]:
        # Between two repeats nothing is under way, so that the time in which something is, is the bursts' together.
        starts, ends = (yield from ordered(self._ended.intended_ns)), (yield from ordered(self._ended.end_ns))
        window = (starts[0], ends[-1]) if starts else (0, 0)
        return _Measured(window, busy_ns(starts, ends) / NS_PER_S, float(self._ended.tokens))

    def _standing(self) -> Steps[_Measured]:
        start_ns, end_ns = window = (self.start_ns, self._end_ns)
        # What arrived within the window counts, also of answers not complete by its end, unless they fail later.
        unfinished, under_way = TokenBins(start_ns, self._lasting_ns), 0
        for number, record in enumerate(self._late, 1):
            if self._is_own(record) and (record.outcome is Outcome.RUNNING or record.start_ns < end_ns):
                under_way += 1
                if record.ok or record.outcome in _UNDER_WAY:
                    unfinished.add(record, before_ns=end_ns)
            if number % RECORDS_PER_STEP == 0:
                yield
        both = zip(self._arrivals.slices(end_ns), unfinished.slices(end_ns), strict=True)
        slices = [of_finished + of_others for of_finished, of_others in both]
        steady = is_steady(slices, *(yield from self._e2e_by_halves((start_ns + end_ns) // 2)))
        return _Measured(window, (end_ns - start_ns) / NS_PER_S, sum(slices), steady, under_way)

    def _e2e_by_halves(self, middle_ns: int) -> Steps[tuple[array[float], array[float]]]:
        halves = array("d"), array("d")
        ended = self._ended
        for place in places(len(ended.e2e_s)):
            for e2e_s, end_ns in zip(ended.e2e_s[place], ended.e2e_end_ns[place], strict=True):
                halves[end_ns >= middle_ns].append(e2e_s)
            yield
        return halves


def _outcome(ended: EndedRequests, measured: _Measured) -> tuple[Outcome, str]:
    counts = ended.failures
    if not counts:
        if ended.ok:
            return Outcome.OK, ""
        if measured.under_way:
            waiting = f"{measured.under_way} under way"
            return Outcome.TIMEOUT, f"no request finished within the {measured.duration_s:.1f} s measured, {waiting}"
        return Outcome.CANCELLED, "no request was sent"
    worst = next((outcome for outcome in _GRAVEST if outcome in counts), None)
    # By name where equally frequent, so that a cell ends the same way whatever the order of its records.
    if worst is None:
        worst = max(sorted(counts), key=lambda outcome: (outcome is not Outcome.CANCELLED, counts[outcome]))
    words = ended.words[worst]
    text = max(sorted(words), key=lambda text: words[text])
    return worst, safe_line(f"{counts[worst]} of {len(ended)} requests: {text}", limit=_EVIDENCE_LIMIT)


def _latencies(ended: EndedRequests, settled: _Settled) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, column in (("ttft", settled.ttft_s), ("tpot", settled.tpot_s), ("e2e", settled.e2e_s)):
        for q in (50, 90, 99):
            figures[f"{name}_p{q}_s"] = percentile_of_sorted(column, q)
    if ended.ok:
        figures["distributions"] = Distributions(
            ttft=Distribution.of_ordered_s(settled.ttft_s),
            itl=Distribution.of_us(ended.itl_us.buckets()),
            e2e=Distribution.of_ordered_s(settled.e2e_s),
        )
    figures["ttft_mean_s"] = fmean(ended.ttft_s) if ended.ttft_s else None
    figures["time_to_resolve_s"] = fmean(ended.e2e_s) if ended.e2e_s else None
    for q in (50, 90, 99):
        value_us = ended.itl_us.percentile(q)
        figures[f"itl_p{q}_s"] = None if value_us is None else value_us / 1e6
    figures["client_delay_p99_s"] = percentile_of_sorted(settled.delay_s, 99)
    return figures
