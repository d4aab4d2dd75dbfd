"""The figures of the last seconds of a run, from what the load reports. Pure; fed and asked by one thread.

Everything is kept by seconds, as counts and histograms (`LogHistogram`, ≤ 1 % relative error), tokens by tenths of
them, so that memory does not grow with the load nor with the length of a run. Times are of one axis, ns. Where modelled
time runs X times faster than the clock, the window's seconds are the clock's and last X modelled ones, since what a
report needs to arrive does not shrink with the model. All figures are per modelled second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.histogram import LogHistogram, bucket_of, first_value_of
from tui.metrics.reading import SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import Figures

WINDOW_S = 10
# Tokens come all the time, requests only now and then: their rate can follow the users more closely.
TOKENS_WINDOW_S = 3
_TENTHS = 10
# Workers report some times a second: a tenth's tokens are all in so long after its end.
_REPORT_LAG_TENTHS = 3
# A rate over less than this is an accident of where it begins and ends.
_SHORTEST_TENTHS = 5


@dataclass(slots=True)
class _Second:
    """What happened in one second."""

    tokens: list[int] = field(default_factory=lambda: [0] * _TENTHS)
    """By tenths of the second."""
    ok: int = 0
    failed: int = 0
    rates_sum: float = 0.0
    """Sum of tokens / E2E over `rates` requests, tokens/s."""
    rates: int = 0
    in_flight: list[int] = field(default_factory=list)
    ttft_ns: LogHistogram = field(default_factory=LogHistogram)
    e2e_ns: LogHistogram = field(default_factory=LogHistogram)
    tpot_ns: LogHistogram = field(default_factory=LogHistogram)
    itl_us: LogHistogram = field(default_factory=LogHistogram)


@dataclass(slots=True)
class _Totals:
    """Counts since the start, and what they were at the last point of the series."""

    tokens: int = 0
    ok: int = 0
    failed: int = 0


class LiveWindow:
    """Takes tokens and finished requests as they come; gives the figures of the last ten seconds."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self._second_ns = round(NS_PER_S * time_scale)
        self._tenth_ns = self._second_ns // _TENTHS
        self._seconds: dict[int, _Second] = {}
        self._newest = 0
        self._first_token_ns: int | None = None
        self._now = _Totals()
        self._before = _Totals()
        self._before_ns: int | None = None
        self._metrics: ServerMetrics | None = None
        self._merged = LogHistogram(), LogHistogram()
        self._merged_at_ns: int | None = None

    def add_tokens(self, tokens: Iterable[tuple[int, int]]) -> None:
        """Take (bucket_start_ns, tokens) pairs of a load worker's report."""
        for start_ns, count in tokens:
            if count <= 0:
                continue
            self._second(start_ns).tokens[start_ns % self._second_ns // self._tenth_ns % _TENTHS] += count
            self._now.tokens += count
            if self._first_token_ns is None or start_ns < self._first_token_ns:
                self._first_token_ns = start_ns

    def add_records(self, records: Iterable[RequestRecord]) -> None:
        """Take finished requests. Cancelled ones did not fail, and count nowhere."""
        for record in records:
            if record.outcome is Outcome.CANCELLED:
                continue
            second = self._second(record.end_ns)
            if not record.ok:
                second.failed += 1
                self._now.failed += 1
                continue
            second.ok += 1
            self._now.ok += 1
            _take_latencies(second, record)

    def figures(self, at_ns: int) -> Figures:
        """Return the figures of the ten seconds before `at_ns`; what the sample cannot carry is None."""
        recent = self._recent(at_ns)
        ttft = _merged(second.ttft_ns for second in recent)
        itl = _merged(second.itl_us for second in recent)
        e2e, tpot = _merged(second.e2e_ns for second in recent), _merged(second.tpot_ns for second in recent)
        self._merged, self._merged_at_ns = (ttft, itl), at_ns
        rates = sum(second.rates for second in recent)
        return Figures(
            window_s=WINDOW_S * self._second_ns / NS_PER_S,
            tokens_per_s_total=self._tokens_per_s(at_ns),
            tokens_per_s_per_user=sum(second.rates_sum for second in recent) / rates if rates else None,
            ttft_p50_s=_percentile_s(ttft, 50, 1e9),
            ttft_p90_s=_percentile_s(ttft, 90, 1e9),
            ttft_p99_s=_percentile_s(ttft, 99, 1e9),
            e2e_p50_s=_percentile_s(e2e, 50, 1e9),
            e2e_p90_s=_percentile_s(e2e, 90, 1e9),
            e2e_p99_s=_percentile_s(e2e, 99, 1e9),
            tpot_p50_s=_percentile_s(tpot, 50, 1e9),
            itl_p50_s=_percentile_s(itl, 50, 1e6),
            itl_p99_s=_percentile_s(itl, 99, 1e6),
            requests_ok=sum(second.ok for second in recent),
            requests_failed=sum(second.failed for second in recent),
            requests_ok_total=self._now.ok,
            requests_failed_total=self._now.failed,
        )

    def distributions(self, at_ns: int) -> Distributions:
        """Return how often the latencies of the same ten seconds as those of `figures` were how long."""
        if self._merged_at_ns != at_ns:
            self.figures(at_ns)
        ttft, itl = self._merged
        in_us: dict[int, int] = {}
        for bucket, times in ttft.buckets().items():
            wider = bucket_of(first_value_of(bucket) // 1000)
            in_us[wider] = in_us.get(wider, 0) + times
        return Distributions(ttft=Distribution.of_us(in_us), itl=Distribution.of_us(itl.buckets()))

    def series_point(
        self,
        at_ns: int,
        *,
        users_wanted: int,
        users_active: int,
        in_flight: int,
        prompt_tokens: int,
        metrics: ServerMetrics | None = None,
        client_cpu_share: float | None = None,
        client_lag_p99_s: float | None = None,
        vram_used_share: float | None = None,
    ) -> SeriesPoint:
        """Close a second and return its point. Rates are of what came since the last point, so that each token and
        each request counts in exactly one; latencies are those of the last ten seconds."""
        self._second(at_ns).in_flight.append(in_flight)
        figures = self.figures(at_ns)
        now, before = self._now, self._before
        elapsed_s = (at_ns - self._before_ns) / NS_PER_S if self._before_ns is not None else 0.0
        alive = bool(in_flight or users_active)
        point = SeriesPoint(
            at_ns=at_ns,
            users_wanted=users_wanted,
            users_active=users_active,
            in_flight=in_flight,
            prompt_tokens=prompt_tokens,
            tokens_per_s_total=_rate(now.tokens - before.tokens, elapsed_s, alive),
            tokens_per_s_per_user=figures.tokens_per_s_per_user,
            ttft_p50_s=figures.ttft_p50_s,
            ttft_p99_s=figures.ttft_p99_s,
            e2e_p50_s=figures.e2e_p50_s,
            e2e_p99_s=figures.e2e_p99_s,
            itl_p50_s=figures.itl_p50_s,
            itl_p99_s=figures.itl_p99_s,
            requests_ok_per_s=_rate(now.ok - before.ok, elapsed_s, alive),
            requests_failed_per_s=_rate(now.failed - before.failed, elapsed_s, alive),
            server_running=metrics.running if metrics else None,
            server_waiting=metrics.waiting if metrics else None,
            kv_cache_usage=metrics.kv_cache_usage if metrics else None,
            preemptions_total=metrics.preemptions_total if metrics else None,
            server_generation_tokens_total=metrics.generation_tokens_total if metrics else None,
            prefix_cache_hits_total=metrics.prefix_cache_hits_total if metrics else None,
            server_ttft_mean_s=_server_mean_s(self._metrics, metrics, "ttft"),
            server_itl_mean_s=_server_mean_s(self._metrics, metrics, "itl"),
            client_cpu_share=client_cpu_share,
            client_lag_p99_s=client_lag_p99_s,
            vram_used_share=vram_used_share,
        )
        self._before, self._before_ns = _Totals(now.tokens, now.ok, now.failed), at_ns
        self._metrics = metrics
        return point

    def begin_anew(self, at_ns: int) -> None:
        """Let the next point of the series, and what is delivered, count from now on: until now there was nothing to
        measure."""
        for second in self._seconds.values():
            second.in_flight.clear()
        self._before, self._before_ns = _Totals(self._now.tokens, self._now.ok, self._now.failed), at_ns
        self._metrics = None

    def delivered_concurrency(self, at_ns: int) -> float | None:
        """Return the mean number of requests under way in the last ten seconds, as seen once a second."""
        seen = [in_flight for second in self._recent(at_ns) for in_flight in second.in_flight]
        return sum(seen) / len(seen) if seen else None

    def _second(self, at_ns: int) -> _Second:
        key = at_ns // self._second_ns
        if key not in self._seconds:
            self._newest = max(self._newest, key)
            # Reports of several workers come up to some tenths of a second apart; what is older counts nowhere.
            for old in [known for known in self._seconds if known < self._newest - WINDOW_S - 1]:
                del self._seconds[old]
            if key < self._newest - WINDOW_S - 1:
                return _Second()
            self._seconds[key] = _Second()
        return self._seconds[key]

    def _recent(self, at_ns: int) -> list[_Second]:
        newest = at_ns // self._second_ns
        return [second for key, second in self._seconds.items() if newest - WINDOW_S < key <= newest]

    def _tokens_per_s(self, at_ns: int) -> float | None:
        """Return tokens/s over the last three seconds whose reports are all in, or since the first token."""
        if self._first_token_ns is None:
            return None
        end = at_ns // self._tenth_ns - _REPORT_LAG_TENTHS
        start = max(end - TOKENS_WINDOW_S * _TENTHS, self._first_token_ns // self._tenth_ns)
        start_ns = max(start * self._tenth_ns, self._first_token_ns)
        if end - start < _SHORTEST_TENTHS or self._idle((end - 1) // _TENTHS):
            return None
        tokens = sum(self._tokens_of(tenth) for tenth in range(start, end))
        alive = any(any(second.in_flight) for second in self._recent(at_ns))
        return tokens * NS_PER_S / (end * self._tenth_ns - start_ns) if tokens or alive else None

    def _tokens_of(self, tenth: int) -> int:
        second = self._seconds.get(tenth // _TENTHS)
        return second.tokens[tenth % _TENTHS] if second is not None else 0

    def _idle(self, key: int) -> bool:
        """Say whether nobody asked when it was last looked, at that second or before it, and nothing has come since:
        what came earlier is no figure of now."""
        recent = [second for known in (key, key - 1) if (second := self._seconds.get(known)) is not None]
        seen = next((second.in_flight for second in recent if second.in_flight), [])
        return bool(seen) and not any(seen) and not any(any(second.tokens) for second in recent[:1])


def _merged(histograms: Iterable[LogHistogram]) -> LogHistogram:
    whole = LogHistogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _take_latencies(second: _Second, record: RequestRecord) -> None:
    if record.first_token_ns is not None:
        second.ttft_ns.add(record.first_token_ns - record.intended_start_ns)
    if record.last_token_ns is not None:
        e2e_ns = record.last_token_ns - record.intended_start_ns
        second.e2e_ns.add(e2e_ns)
        if record.output_tokens is not None and e2e_ns > 0:
            second.rates += 1
            second.rates_sum += record.output_tokens * NS_PER_S / e2e_ns
    if record.tpot_s is not None:
        second.tpot_ns.add(round(record.tpot_s * NS_PER_S))
    record.add_gaps_to(second.itl_us)


def _percentile_s(histogram: LogHistogram, q: float, per_s: float) -> float | None:
    value = histogram.percentile(q)
    return None if value is None else value / per_s


def _rate(count: int, elapsed_s: float, alive: bool) -> float | None:
    """Return a rate per second; None where there was no time, or nobody to make it more than nothing."""
    return count / elapsed_s if elapsed_s > 0 and (count or alive) else None


def _server_mean_s(before: ServerMetrics | None, after: ServerMetrics | None, name: str) -> float | None:
    """Return the mean of a server-side histogram between two scrapes; None when nothing was added or it restarted."""
    if before is None or after is None:
        return None
    sums = getattr(before, f"{name}_sum_s"), getattr(after, f"{name}_sum_s")
    counts = getattr(before, f"{name}_count"), getattr(after, f"{name}_count")
    if None in sums or None in counts or counts[1] <= counts[0] or sums[1] < sums[0]:
        return None
    return float((sums[1] - sums[0]) / (counts[1] - counts[0]))
