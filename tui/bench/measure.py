"""Measuring one cell: asking in the way of its mode, and making its result of what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from tui.bench.client_limit import client_limit
from tui.bench.clock import SessionClock
from tui.bench.grid import Cell
from tui.bench.pace import OnProgress, Pace
from tui.bench.readings import Readings
from tui.bench.server_death import DiedUnsettled, ServerDied
from tui.bench.system_under_test import SystemUnderTest
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.core.steps import Steps, in_turns
from tui.core.tasks import end_task
from tui.engines.base import ServerMetrics
from tui.metrics.answers import caveats_of
from tui.metrics.cell import CellResult
from tui.metrics.failure_outcome import evidence_of, outcome_of
from tui.metrics.precision import repeats_of, unreached
from tui.metrics.record import CountedBy, RequestRecord
from tui.metrics.saturation import RateFigures
from tui.metrics.snapshot import FailureReport
from tui.metrics.summary import RECORDS_PER_STEP, CellSummary
from tui.profile.schema import LoadTable, Mode

# How long a server whose requests just failed may take to be seen dead: vLLM's API server outlives its engine by
# 0.6 to 5 s, and only its end and its log tell why.
DEATH_NOTICE_S = 8.0
SLOW_CELL_STEP_S = 0.5
TOKEN_BIN_NS = NS_PER_S // 10
"""Of the load workers' reports, on the clock."""


async def measure_burst(testbed: SystemUnderTest, cell: Cell, on_progress: OnProgress) -> CellResult:
    """Send `users` requests at once, as often as the profile says, and wait for all of them."""
    load = testbed.profile.load
    tag = await testbed.configure(cell[1])
    started_ns = testbed.clock.now_ns()
    readings = Readings.begun(testbed, cell[1], await testbed.scrape(), idle_around=True)
    died: FailureReport | None = None
    summary = CellSummary(Mode.BURST, tag=tag, slo=testbed.profile.slo)
    bursts_s: list[float] = []
    testbed.collect(summary)
    try:
        for repeat in range(load.repeats):
            assert testbed.pool is not None
            answered = summary.answered
            await _unless_died(testbed, testbed.pool.burst(cell[0]), readings)
            if (mean_s := summary.mean_e2e_s(answered)) is not None:
                bursts_s.append(mean_s)
            on_progress((repeat + 1) / load.repeats, None)
            if _may_be_dead(testbed, summary, 1):
                await _wait_for_death(testbed)
            if _no_more_bursts(load, cell[0], summary, bursts_s):
                break
        readings.after = await testbed.scrape()
    except ServerDied as error:
        died = error.report
        await _settle(testbed)
    finally:
        testbed.release(summary)
    result = await _result(testbed, cell, Mode.BURST, "sweep", summary, started_ns, readings, died)
    return msgspec.structs.replace(result, repeats=repeats_of(bursts_s, "mean E2E") if load.repeats > 1 else None)


def _no_more_bursts(load: LoadTable, users: int, summary: CellSummary, bursts_s: list[float]) -> bool:
    """Say whether the next burst would only fail again, or tell nothing that is not known well enough."""
    if summary.failures_in_a_row >= max(load.failures_in_a_row, users):
        return True
    repeats = repeats_of(bursts_s, "mean E2E")
    return bool(load.precision and repeats and repeats.error is not None and repeats.error <= load.precision)


async def measure_standing(
    testbed: SystemUnderTest,
    cell: Cell,
    mode: Mode,
    tag: int,
    ask: Callable[[], Awaitable[object]],
    by: str,
    on_progress: OnProgress,
    on_settled: Callable[[], None] | None = None,
) -> CellResult:
    """Measure what is asked by `ask` (users that stand still, or an open loop) after a warm-up, for a time.

    The load goes on when this returns; requests still under way count with the tokens they had by then.
    `on_settled`: requests of another cell may be under way; they are waited for first, and it is called when none is.
    Raises DiedUnsettled when the server dies before that.
    """
    load = testbed.profile.load
    if on_settled is not None:
        await _settle_into(testbed, cell, ask)
        on_settled()
    started_ns = testbed.clock.now_ns()
    summary = CellSummary(
        mode,
        tag=tag,
        slo=testbed.profile.slo,
        start_ns=started_ns,
        lasting_s=load.duration_s,
        bin_ns=round(TOKEN_BIN_NS * testbed.clock.time_scale),
    )
    testbed.collect(summary)
    pace = Pace(testbed, summary, cell[0], on_progress)
    readings = Readings.begun(testbed, cell[1], None)
    died: FailureReport | None = None
    try:
        if on_settled is None:
            await ask()
        await _let_stand(testbed, summary, pace, readings)
        # Begin and end are both when a reading came back, so that the server's counters span the same time as ours.
        readings.after = await testbed.scrape()
        summary.end(testbed.clock.now_ns())
        assert testbed.pool is not None
        await in_turns(add_under_way(summary, testbed.clock, await testbed.pool.peek()))
        if _may_be_dead(testbed, summary, cell[0] / 2):
            await _wait_for_death(testbed)
    except ServerDied as error:
        died = error.report
        summary.end(testbed.clock.now_ns())
        await _settle(testbed)
    finally:
        testbed.release(summary)
    result = await _result(testbed, cell, mode, by, summary, started_ns, readings, died)
    if died is None:
        result = _with_precision(result, pace, summary)
    if mode is Mode.RATE and load.rate_per_s is not None:
        result = _with_rate(result, summary.rate_figures(load.rate_per_s * cell[0]))
    return result


async def _let_stand(testbed: SystemUnderTest, summary: CellSummary, pace: Pace, readings: Readings) -> None:
    """Let the load stand through its warm-up and the window that is measured. Raises ServerDied."""
    await pace.warm_up()
    if not pace.broken:  # else what failed is the measure
        readings.before = await testbed.scrape()
        summary.begin(testbed.clock.now_ns())
        await pace.measure(readings)
    timeout_s = testbed.profile.load.request_timeout_s
    # A window that is shorter than an answer says nothing of it: go on until one has come, or has timed out. Nor is
    # a window to end in a silence, before it is known whether the server hangs.
    while (
        not summary.has_answers and _seconds_since(testbed, summary.start_ns) < timeout_s
    ) or testbed.silent_s is not None:
        await pace.stand(SLOW_CELL_STEP_S, readings)
        if pace.broken:
            break


def add_under_way(summary: CellSummary, clock: SessionClock, records: Sequence[RequestRecord]) -> Steps[None]:
    """Add what was seen under way at a cell's end, in steps."""
    for number, record in enumerate(records, 1):
        summary.add(clock.record(record))
        if number % RECORDS_PER_STEP == 0:
            yield


def _with_precision(result: CellResult, pace: Pace, summary: CellSummary) -> CellResult:
    precision = pace.precision()
    evidence = result.evidence
    if pace.broken:
        evidence = f"{evidence}; ended at once, after {summary.failures_in_a_row} failures in a row"
    said = unreached(precision) if result.outcome is Outcome.OK else ""
    return msgspec.structs.replace(
        result,
        precision=precision,
        warm_up_s=precision.warm_up_s,
        evidence=evidence,
        caveats="; ".join(filter(None, (result.caveats, said))),
    )


def _with_rate(result: CellResult, rate: RateFigures) -> CellResult:
    return msgspec.structs.replace(result, rate=rate, caveats="; ".join(filter(None, (result.caveats, rate.what))))


def why_too_long(testbed: SystemUnderTest, prompt_tokens: int) -> str:
    """Return why such prompts cannot fit, by arithmetic; "" where they may: vLLM would silently answer with fewer."""
    limit = testbed.status.max_model_len
    output_tokens = testbed.profile.load.output_tokens
    if limit is None or prompt_tokens + output_tokens <= limit:
        return ""
    return f"{prompt_tokens} prompt + {output_tokens} output tokens exceed the server's limit of {limit}"


_FATAL = frozenset({Outcome.OOM_RUNTIME, Outcome.ENGINE_DEAD, Outcome.DISCONNECTED})


def _may_be_dead(testbed: SystemUnderTest, summary: CellSummary, least: float) -> bool:
    """Say whether what came back is reason to ask whether the server still lives.

    A dead engine behind a front that lives answers whatever it likes; with errors of its own and no success behind
    `least` of them, a server of ours is asked. One that is attached to is not: it may be a gateway that has lost its
    way, and nobody launches it again.
    """
    if summary.outcomes_seen & _FATAL:
        return True
    all_fail_now = summary.failures_in_a_row >= max(least, 1)
    return all_fail_now and summary.server_errors_seen and testbed.profile.attach is None


async def _unless_died(testbed: SystemUnderTest, work: Awaitable[object], readings: Readings | None) -> None:
    """Wait for `work`, taking readings each second; raise ServerDied when the server dies first."""
    assert testbed.failure is not None
    task = asyncio.ensure_future(work)
    try:
        while True:
            both: set[asyncio.Future[Any]] = {task, testbed.failure}
            done, _ = await asyncio.wait(both, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if readings is not None:
                readings.take(testbed)
            if testbed.failure in done:
                raise ServerDied(testbed.failure.result())
            if task in done:
                await task
                return
    finally:
        if not task.done():
            await end_task(task)


async def _settle_into(testbed: SystemUnderTest, cell: Cell, ask: Callable[[], Awaitable[object]]) -> None:
    ended = CellSummary(Mode.STEADY)
    testbed.collect(ended)
    try:
        await ask()
        assert testbed.pool is not None
        await _unless_died(testbed, testbed.pool.settled(*cell), None)
        if ended.outcomes_seen & _FATAL:  # nothing is under way, since the server has dropped it all
            await _wait_for_death(testbed)
    except ServerDied as error:
        await _settle(testbed)
        raise DiedUnsettled(error.report) from None
    finally:
        testbed.release(ended)


def _seconds_since(testbed: SystemUnderTest, at_ns: int) -> float:
    return (testbed.clock.now_ns() - at_ns) / NS_PER_S


async def _wait_for_death(testbed: SystemUnderTest) -> None:
    """Give a server whose streams broke the time to be seen dead, then ask it; raise ServerDied when it is."""
    assert testbed.failure is not None
    done, _ = await asyncio.wait({testbed.failure}, timeout=DEATH_NOTICE_S)
    if done or await testbed.engine_is_dead():
        raise ServerDied(await testbed.failure)


async def _settle(testbed: SystemUnderTest) -> None:
    """End what is still asked of a dead server, so that its requests have their records."""
    if testbed.pool is not None:
        await testbed.pool.cut()


async def _result(
    testbed: SystemUnderTest,
    cell: Cell,
    mode: Mode,
    by: str,
    summary: CellSummary,
    started_ns: int,
    readings: Readings,
    died: FailureReport | None,
) -> CellResult:
    readings.take(testbed)
    await in_turns(summary.settle())
    before, after = readings.before, None if died is not None else readings.after
    profile = testbed.profile
    result = summary.result(
        users=cell[0],
        prompt_tokens=cell[1],
        output_tokens=profile.load.output_tokens,
        measured_by=by,
        cost=profile.cost,
    )
    energy_j = readings.energy.joules(result.duration_s)
    changes: dict[str, object] = {
        "started_at_ns": started_ns,
        "warm_up_s": None if mode is Mode.BURST else profile.load.warm_up_s,
        "simulated": testbed.simulated,
        "server_output_tokens": _difference(before, after, "generation_tokens_total"),
        "server_waiting_max": readings.server_waiting_max,
        "kv_cache_usage_max": readings.kv_cache_usage_max,
        "vram_used_max_bytes": readings.vram_used_max_bytes,
        "energy_j": energy_j,
        "energy_per_token_j": _per_token(energy_j, result),
        "client_cpu_share": max(readings.cpu_shares, default=None),
        "client_lag_p99_s": max(readings.lags_p99_s, default=None),
        "preemptions": _difference(before, after, "preemptions_total"),
        "occupancy": readings.gauges.occupancy(
            before, after, result.duration_s, all_answered=result.outcome is Outcome.OK
        ),
        "conditions": readings.conditions(testbed),
        "server_ttft_mean_s": _mean(before, after, "ttft"),
        "server_itl_mean_s": _mean(before, after, "itl"),
        "server_queue_mean_s": _mean(before, after, "queue"),
        "server_prefix_hit_share": _share(before, after, "prefix_cache_hits_total", "prefix_cache_queries_total"),
        "reference_s": testbed.references.get(cell),
        "output_forced": testbed.output_forced,
    }
    if died is not None:
        changes |= {"outcome": outcome_of(died), "evidence": evidence_of(died)}
    elif result.outcome is Outcome.OK and (
        why := client_limit(readings.cpu_shares, readings.lags_p99_s, result.itl_p50_s)
    ):
        changes |= {"outcome": Outcome.CLIENT_LIMIT, "evidence": why}
    if died is None and CountedBy.EVENTS in result.counted_by:
        changes["tokens_per_event"] = await testbed.tokens_per_event()
    result = msgspec.structs.replace(result, **changes)
    caveats = caveats_of(result)
    if readings.silent_s is not None and died is None:
        caveats.append(f"no token came for {readings.silent_s:.0f} s while it was measured")
    if testbed.asked_by_hand_since(started_ns):
        caveats.append("a question by hand was asked beside it")
    return msgspec.structs.replace(result, caveats="; ".join(caveats))


def _per_token(energy_j: float | None, result: CellResult) -> float | None:
    tokens = (result.tokens_per_s_total or 0.0) * (result.duration_s or 0.0)
    return energy_j / tokens if energy_j is not None and tokens else None


def _difference(before: ServerMetrics | None, after: ServerMetrics | None, name: str) -> float | None:
    if before is None or after is None:
        return None
    earlier, later = getattr(before, name), getattr(after, name)
    return None if earlier is None or later is None or later < earlier else later - earlier


def _mean(before: ServerMetrics | None, after: ServerMetrics | None, name: str) -> float | None:
    """Return the mean of a server-side histogram over the cell: difference of sums / difference of counts."""
    return _share(before, after, f"{name}_sum_s", f"{name}_count")


def _share(before: ServerMetrics | None, after: ServerMetrics | None, part: str, whole: str) -> float | None:
    """Return by how much one counter grew for each 1 that another grew."""
    more, by = _difference(before, after, part), _difference(before, after, whole)
    return more / by if more is not None and by else None
