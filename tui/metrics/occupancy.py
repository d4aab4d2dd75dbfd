"""What a server said, while a cell was measured, of the requests that it had. Pure.

Its gauges are read once a second: a burst of a few seconds has few readings, and what they come to depends on where in
its rise and fall they happened to be taken. Where all of its requests were answered, the server's own times tell the
means exactly: by Little's law as many requests are in a state on average as come per second, times the seconds that
each stays in it.
"""

from __future__ import annotations

import msgspec

from tui.engines.base import ServerMetrics

KV_FULL = 0.95
"""From this share on a KV cache is full: what is left are a few blocks for requests that run to grow into."""


class Occupancy(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cell; None where the server does not tell."""

    readings: int = 0
    """How often the gauges were read."""
    running_mean: float | None = None
    """Of the time in which requests were under way; of a burst that was answered whole by the server's own times."""
    running_max: float | None = None
    waiting_mean: float | None = None
    waiting_readings: int = 0
    """In so many readings some request waited."""
    full_readings: int = 0
    """In so many of those the KV cache was full (`KV_FULL`), or had no room for one more prompt of the cell."""
    highest_readings: int = 0
    """In so many of those exactly `running_max` requests ran."""
    kv_cache_usage_mean: float | None = None
    """0 to 1, of all readings."""
    prefill_mean_s: float | None = None
    """From a request's place in the batch to its first token, by the server."""
    decode_mean_s: float | None = None
    """From its first token to its last, by the server."""
    refused: float | None = None
    """Requests that a limit of the server's own queue turned away."""


class GaugeReadings:
    """Adds up readings of a server's gauges; bounded, however many there are."""

    def __init__(self, prompt_tokens: int, *, burst: bool = False) -> None:
        """`prompt_tokens`: of the requests that wait for a place; `burst`: the server is idle before and after them."""
        self._prompt_tokens = prompt_tokens
        self._burst = burst
        self._last: ServerMetrics | None = None
        self._running: list[float] = [0.0, 0.0, 0.0]
        self._waiting: list[float] = [0.0, 0.0]
        self._usage: list[float] = [0.0, 0.0]
        self._readings = 0
        self._while_waiting: dict[float | None, int] = {}
        """How many ran in readings in which some waited: how often. Few values, as a batch has a limit."""
        self._full = 0

    def take(self, metrics: ServerMetrics) -> None:
        """Take a reading; the same one again counts once, and one of before or after a burst not at all."""
        if metrics is self._last:
            return
        self._last = metrics
        if self._burst and metrics.running == 0 and not metrics.waiting:
            return
        self._readings += 1
        if metrics.running is not None:
            _add(self._running, metrics.running)
            self._running[2] = max(self._running[2], metrics.running)
        if metrics.kv_cache_usage is not None:
            _add(self._usage, metrics.kv_cache_usage)
        if metrics.waiting is None:
            return
        _add(self._waiting, metrics.waiting)
        if metrics.waiting > 0:
            self._while_waiting[metrics.running] = self._while_waiting.get(metrics.running, 0) + 1
            self._full += metrics.kv_cache_usage is not None and metrics.kv_cache_usage >= self._full_from(metrics)

    def _full_from(self, metrics: ServerMetrics) -> float:
        """Return from which share on the cache takes no more of such prompts: a long one needs many blocks at once."""
        if not metrics.kv_cache_blocks or not metrics.block_size:
            return KV_FULL
        needed = -(-self._prompt_tokens // metrics.block_size) + metrics.state_blocks
        return min(KV_FULL, 1 - needed / metrics.kv_cache_blocks)

    def occupancy(
        self,
        before: ServerMetrics | None,
        after: ServerMetrics | None,
        duration_s: float | None,
        *,
        all_answered: bool = False,
    ) -> Occupancy:
        """Return what they come to, with what the server's counters and times say of the time between two readings.

        `all_answered`: each of the requests that were under way, and none else, was answered in that time.
        """
        exact = self._burst and all_answered
        running, waiting, highest = _mean(self._running), _mean(self._waiting), self._running[2]
        prefill_s, decode_s = _per_request(before, after, "prefill"), _per_request(before, after, "decode")
        if duration_s and (running is None or exact):
            running = _either(_by_times(before, after, ("prefill", "decode"), duration_s), running)
        if duration_s and (waiting is None or exact):
            waiting = _either(_by_times(before, after, ("queue",), duration_s), waiting)
        return Occupancy(
            readings=self._readings,
            running_mean=running,
            running_max=highest if self._running[1] else None,
            waiting_mean=waiting,
            waiting_readings=sum(self._while_waiting.values()),
            full_readings=self._full,
            highest_readings=self._while_waiting.get(highest, 0) if self._running[1] else 0,
            kv_cache_usage_mean=_mean(self._usage),
            prefill_mean_s=prefill_s,
            decode_mean_s=decode_s,
            refused=_grown(before, after, "refused_total"),
        )


def _add(total: list[float], value: float) -> None:
    total[0] += value
    total[1] += 1


def _mean(total: list[float]) -> float | None:
    return total[0] / total[1] if total[1] else None


def _either(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _grown(before: ServerMetrics | None, after: ServerMetrics | None, name: str) -> float | None:
    if before is None or after is None:
        return None
    earlier, later = getattr(before, name), getattr(after, name)
    return None if earlier is None or later is None or later < earlier else float(later - earlier)


def _per_request(before: ServerMetrics | None, after: ServerMetrics | None, state: str) -> float | None:
    total_s, count = _grown(before, after, f"{state}_sum_s"), _grown(before, after, f"{state}_count")
    return total_s / count if total_s is not None and count else None


def _by_times(
    before: ServerMetrics | None, after: ServerMetrics | None, states: tuple[str, ...], duration_s: float
) -> float | None:
    totals = [_grown(before, after, f"{state}_sum_s") for state in states]
    known = [total for total in totals if total is not None]
    return sum(known) / duration_s if len(known) == len(totals) else None
