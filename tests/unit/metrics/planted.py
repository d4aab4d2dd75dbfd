"""A closed loop of users around the simulator's model, without clocks or sockets: a cell of it, with a planted limit.

What a bench reads is read here too: gauges once a modelled second, counters and times before and after.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.occupancy import GaugeReadings
from tui.metrics.record import CountedBy, RequestRecord, gaps_between
from tui.metrics.summary import CellSummary
from tui.profile.schema import Mode
from tui.profile.simulator_table import SimulatorTable
from tui.simulator.model import Engine, OutOfMemory, Sequence

READ_EVERY_S = 1.0
WARM_UP_S = 5.0
MEASURED_S = 30.0
_TOTALS = tuple(f"{name}_{part}" for name in ("ttft", "queue", "prefill", "decode") for part in ("sum_s", "count"))


@dataclass
class Way:
    """What stands between the client and the server."""

    lets_through: int = 10**9
    """Requests at once: a gateway's queue holds the others."""
    delay_s: float = 0.0
    """Each way."""
    buffers: bool = False


@dataclass
class _Job:
    user: int
    intended_s: float
    sequence: Sequence
    arrived_s: float = 0.0
    admitted_s: float | None = None
    first_s: float = 0.0
    tokens_s: list[float] = field(default_factory=list)


@dataclass
class _World:
    table: SimulatorTable
    way: Way
    users: int
    prompt_tokens: int
    output_tokens: int
    now_s: float = 0.0
    totals: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TOTALS, 0.0))

    def __post_init__(self) -> None:
        self.engine = Engine(self.table)
        self.jobs: dict[Sequence, _Job] = {}
        self.before: list[tuple[float, int, _Job]] = []
        """On their way, by when they arrive."""
        self.held: list[_Job] = []
        self.numbers = count()

    def send(self, user: int, at_s: float) -> None:
        job = _Job(user, at_s, Sequence(self.prompt_tokens, self.output_tokens))
        heapq.heappush(self.before, (at_s + self.way.delay_s, next(self.numbers), job))

    def arrive(self) -> None:
        while self.before and self.before[0][0] <= self.now_s:
            self.held.append(heapq.heappop(self.before)[2])
        while self.held and len(self.jobs) < self.way.lets_through:
            job = self.held.pop(0)
            job.arrived_s = self.now_s
            self.jobs[job.sequence] = job
            self.engine.add(job.sequence)

    def step(self) -> list[_Job]:
        """Compute one step; return what ended."""
        self.arrive()
        if not self.engine.has_work:
            self.now_s = self.before[0][0]
            return []
        step = self.engine.begin_step()
        for sequence, _ in step.scheduled:
            if self.jobs[sequence].admitted_s is None:
                self.jobs[sequence].admitted_s = self.now_s
        self.now_s += step.duration_s
        ended = []
        for sequence in self.engine.finish_step(step):
            job = self.jobs[sequence]
            job.tokens_s.append(self.now_s)
            if sequence.generated == 1:
                job.first_s = self.now_s
                self.count("ttft", self.now_s - job.arrived_s)
            if sequence.finished:
                del self.jobs[sequence]
                assert job.admitted_s is not None
                self.count("queue", job.admitted_s - job.arrived_s)
                self.count("prefill", job.first_s - job.admitted_s)
                self.count("decode", self.now_s - job.first_s)
                ended.append(job)
        return ended

    def count(self, name: str, seconds: float) -> None:
        self.totals[f"{name}_sum_s"] += seconds
        self.totals[f"{name}_count"] += 1

    def metrics(self) -> ServerMetrics:
        figures: dict[str, Any] = {**self.totals, "refused_total": 0.0}
        return ServerMetrics(
            running=len(self.engine.running),
            waiting=len(self.engine.waiting),
            kv_cache_usage=self.engine.kv_usage,
            preemptions_total=self.engine.preemptions_total,
            kv_cache_blocks=self.table.kv_cache_tokens // self.table.block_size,
            block_size=self.table.block_size,
            **figures,
        )

    def record(self, job: _Job, number: int) -> RequestRecord:
        def ns(seconds: float) -> int:
            return round(seconds * NS_PER_S)

        last_s = self.now_s + self.way.delay_s
        tokens_s = [last_s if self.way.buffers else token_s + self.way.delay_s for token_s in job.tokens_s]
        first_s = tokens_s[0] if tokens_s else last_s
        return RequestRecord(
            request_id=number,
            worker=1,
            user=job.user,
            tag=1,
            intended_start_ns=ns(job.intended_s),
            start_ns=ns(job.intended_s),
            first_token_ns=ns(first_s),
            last_token_ns=ns(last_s),
            end_ns=ns(last_s),
            prompt_tokens=self.prompt_tokens,
            output_tokens_asked=self.output_tokens,
            prompt_tokens_usage=self.prompt_tokens,
            output_tokens=self.output_tokens,
            events=len(tokens_s),
            **msgspec.structs.asdict(gaps_between([ns(token_s) for token_s in tokens_s])),
            counted_by=CountedBy.USAGE,
            outcome=Outcome.OK,
            http_status=200,
        )


def measured(
    table: SimulatorTable,
    users: int,
    prompt_tokens: int,
    output_tokens: int = 100,
    *,
    mode: Mode = Mode.STEADY,
    way: Way | None = None,
    tells_limit: bool = True,
    tells_metrics: bool = True,
) -> CellResult:
    """Return the cell as a bench would have measured it, without its verdict."""
    world = _World(table, way or Way(), users, prompt_tokens, output_tokens)
    for user in range(users):
        world.send(user, 0.0)
    summary = CellSummary(mode, lasting_s=MEASURED_S)
    burst = mode is Mode.BURST
    gauges = GaugeReadings(prompt_tokens, burst=burst)
    before = world.metrics() if burst else None
    begun_s, read_s, waiting_max, usage_max = 0.0, 0.0, 0.0, 0.0
    died = False
    for number in count(1):
        try:
            ended = world.step()
        except OutOfMemory:
            died = True
            break
        if not burst and before is None and world.now_s >= WARM_UP_S:
            before, begun_s = world.metrics(), world.now_s
            summary.begin(round(begun_s * NS_PER_S))
        for job in ended:
            summary.add(world.record(job, number))
            if not burst:
                world.send(job.user, world.now_s + 2 * world.way.delay_s)
        if burst and len(world.jobs) + len(world.held) + len(world.before) == 0:
            break
        if before is not None and world.now_s - read_s >= READ_EVERY_S:
            read_s = world.now_s
            reading = world.metrics()
            gauges.take(reading)
            waiting_max, usage_max = max(waiting_max, reading.waiting or 0), max(usage_max, reading.kv_cache_usage or 0)
        if not burst and before is not None and world.now_s >= begun_s + MEASURED_S and summary.has_answers:
            break
    summary.end(round(world.now_s * NS_PER_S))
    under_way = [*world.jobs.values(), *world.held, *(job for _, _, job in world.before)]
    for job in [] if burst or died else under_way:
        summary.add(_under_way(world, job))
    result = summary.result(users=users, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    after = world.metrics()
    if died:
        result = msgspec.structs.replace(result, outcome=Outcome.OOM_RUNTIME, evidence="CUDA out of memory")
    blocks = table.kv_cache_tokens // table.block_size
    conditions = Conditions(
        launch=1,
        kv_pool_tokens=blocks * table.block_size,
        kv_pool_blocks=blocks,
        block_size=table.block_size,
        max_num_seqs=table.max_num_seqs if tells_limit else None,
    )
    if not tells_metrics or before is None:
        return result
    told = gauges.occupancy(before, after, result.duration_s, all_answered=result.outcome is Outcome.OK)
    return msgspec.structs.replace(
        result,
        conditions=conditions,
        occupancy=told,
        preemptions=(after.preemptions_total or 0) - (before.preemptions_total or 0),
        server_queue_mean_s=_mean(before, after, "queue"),
        server_ttft_mean_s=_mean(before, after, "ttft"),
        server_waiting_max=waiting_max if told.readings else None,
        kv_cache_usage_max=usage_max if told.readings else None,
    )


def _under_way(world: _World, job: _Job) -> RequestRecord:
    record = world.record(job, 0)
    return msgspec.structs.replace(
        record, outcome=Outcome.RUNNING, output_tokens=job.sequence.generated, first_token_ns=None
    )


def _mean(before: ServerMetrics, after: ServerMetrics, name: str) -> float | None:
    times = getattr(after, f"{name}_count") - getattr(before, f"{name}_count")
    return (getattr(after, f"{name}_sum_s") - getattr(before, f"{name}_sum_s")) / times if times else None
