"""A testbed without processes: a server that answers by a script, for tests of what the scheduler decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tui.bench.clock import SessionClock
from tui.bench.grid import Cell
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.reading import GpuReading
from tui.metrics.record import CountedBy, RequestRecord, gaps_between
from tui.metrics.snapshot import FailureReport, Phase, ServerStatus
from tui.metrics.summary import CellSummary
from tui.profile.overrides import with_arguments
from tui.profile.schema import Arrivals, LoadTable, Profile, ServerTable


class FakePool:
    """Answers at once, standing users every few ms again; of what the server dies is up to the testbed's script."""

    def __init__(self, testbed: FakeTestbed) -> None:
        self._testbed = testbed
        self.users = 0
        self.asked: list[tuple[str, int, int]] = []
        self.cuts = 0
        self.workers_lost = 0
        self.settling: list[tuple[int, int]] = []
        self.dies_unsettled = False
        self.fails = False
        """Every request is refused."""
        self.unanswered = 0
        """So many requests are under way when the load is cut."""
        self.dead_status = 500
        self.dead_words = Outcome.ENGINE_DEAD
        """What requests to a dead server end with: a front that lives may answer with an HTTP error."""
        self._answering: asyncio.Task[None] | None = None

    async def set_users(self, users: int, *, cut: bool = False) -> None:
        self.asked.append(("users", users, self._testbed.prompt_tokens))
        self._keep_asking(users)

    async def burst(self, users: int) -> int:
        self.asked.append(("burst", users, self._testbed.prompt_tokens))
        await asyncio.sleep(0)
        self._answer(users)
        return users

    async def open_loop(self, rate_per_s: float, arrivals: Arrivals, seed: int, duration_s: float) -> int:
        self.asked.append(("rate", round(rate_per_s), self._testbed.prompt_tokens))
        self._keep_asking(1)
        return 3

    async def cut(self) -> None:
        self.cuts += 1
        self._keep_asking(0)
        self._testbed.deliver([self._record(user, Outcome.CANCELLED) for user in range(self.unanswered)])
        self.unanswered = 0

    async def settled(self, users: int, prompt_tokens: int) -> None:
        self.settling.append((users, prompt_tokens))
        if self.dies_unsettled:
            self.dies_unsettled = False
            assert self._testbed.failure is not None
            self._testbed.failure.set_result(oom(users, prompt_tokens))
            await asyncio.Event().wait()

    async def peek(self) -> list[RequestRecord]:
        return []

    def _keep_asking(self, users: int) -> None:
        self.users = users
        if self._answering is not None:
            self._answering.cancel()
        self._answering = asyncio.create_task(self._answer_again_and_again(users)) if users else None

    async def _answer_again_and_again(self, users: int) -> None:
        while self._testbed.ready:
            self._answer(users)
            await asyncio.sleep(0.002)

    def _answer(self, users: int) -> None:
        report = self._testbed.script(users, self._testbed.prompt_tokens)
        if report is not None and self._testbed.failure is not None and not self._testbed.failure.done():
            if self._testbed.dies_silently:
                self._testbed.silently_dead = report
            else:
                self._testbed.failure.set_result(report)
        dead = report is not None or self._testbed.silently_dead is not None
        outcome = self.dead_words if dead else Outcome.OVERLOADED if self.fails else Outcome.OK
        self._testbed.deliver([self._record(user, outcome) for user in range(users)])

    def _record(self, user: int, outcome: Outcome) -> RequestRecord:
        end_ns = self._testbed.clock.now_ns()
        start_ns = end_ns - 3
        stamps = [end_ns - 2, end_ns - 1, end_ns]
        return RequestRecord(
            request_id=1,
            worker=1,
            user=user,
            tag=self._testbed.tag,
            intended_start_ns=start_ns,
            start_ns=start_ns,
            first_token_ns=stamps[0],
            last_token_ns=stamps[-1],
            end_ns=stamps[-1],
            prompt_tokens=self._testbed.prompt_tokens,
            output_tokens_asked=3,
            prompt_tokens_usage=self._testbed.prompt_tokens,
            output_tokens=self._testbed.output_tokens,
            events=3,
            counted_by=self._testbed.counted_by,
            **msgspec.structs.asdict(gaps_between(stamps)),
            outcome=outcome,
            http_status=self.dead_status if outcome is Outcome.HTTP_ERROR else None,
            error="" if outcome is Outcome.OK else "EngineCore encountered an issue",
        )


Script = Callable[[int, int], FailureReport | None]
"""(users, prompt_tokens) -> how the server dies of it, or None."""


def oom(users: int, prompt_tokens: int) -> FailureReport:
    return FailureReport(failure="oom-runtime", summary="", line="CUDA out of memory", advice="", exit_code=0)


def crash(users: int, prompt_tokens: int) -> FailureReport:
    return FailureReport(failure="crash", summary="", line="EngineCore died", advice="", exit_code=0)


class FakeTestbed:
    """What the scheduler and the measuring use of a testbed."""

    def __init__(self, script: Script, *, launches_fail_from: int = 1_000, **load: Any) -> None:
        self.script = script
        self._launches_fail_from = launches_fail_from
        self.profile = Profile(
            name="fake",
            engine="vllm",
            server=ServerTable(model="m"),
            load=LoadTable(**{"output_tokens": 3, "warm_up_s": 0.01, "duration_s": 0.02, **load}),
        )
        self.clock = SessionClock()
        self.notice = ""
        self.users_wanted = 0
        self.references: dict[tuple[int, int], float] = {}
        self.status = ServerStatus(phase=Phase.READY, max_model_len=1_000)
        self.metrics: ServerMetrics | None = None
        self.scraped: Callable[[], ServerMetrics | None] = lambda: None
        self.progress: LoadProgress | None = None
        self.own_gpus: list[GpuReading] = []
        self.silent_s: float | None = None
        self.conditions = Conditions(launch=1)
        self.pools: dict[int, int] = {}
        """Of the KV cache of a launch, tokens, where it is not the one before's."""
        self.failure: asyncio.Future[FailureReport] | None = asyncio.get_running_loop().create_future()
        self.pool = FakePool(self)
        self.launches = 1
        self.attached_to_simulated = False
        self.dies_silently = False
        """Whether a death is only seen when the server is asked for a token."""
        self.silently_dead: FailureReport | None = None
        self.may_relaunch = asyncio.Event()
        self.may_relaunch.set()
        self.kept: list[CellResult] = []
        self.said: list[str] = []
        self.output_forced: bool | None = True
        self.output_tokens = 3
        self.counted_by = CountedBy.USAGE
        self.by_hand: list[str] = []
        """Questions in their order; "" = an end."""
        self.told_per_event: float | None = None
        self.tag = 0
        self.prompt_tokens = 0
        self._summaries: list[CellSummary] = []

    @property
    def simulated(self) -> bool:
        return self.profile.simulated or self.attached_to_simulated

    @property
    def ready(self) -> bool:
        return self.failure is not None and not self.failure.done()

    async def engine_is_dead(self) -> bool:
        assert self.failure is not None
        if self.silently_dead is not None and not self.failure.done():
            self.failure.set_result(self.silently_dead)
            self.silently_dead = None
        return self.failure.done()

    async def relaunch(self) -> None:
        await self.may_relaunch.wait()
        self.launches += 1
        if self.launches >= self._launches_fail_from:
            raise LaunchError("no more")
        self.failure = asyncio.get_running_loop().create_future()
        pool = self.pools.get(self.launches, self.conditions.kv_pool_tokens)
        self.conditions = msgspec.structs.replace(self.conditions, launch=self.launches, kv_pool_tokens=pool)

    def override(self, arguments: Mapping[str, str]) -> None:
        self.profile = with_arguments(self.profile, arguments)

    async def configure(self, prompt_tokens: int) -> int:
        self.prompt_tokens = prompt_tokens
        self.tag += 1
        return self.tag

    def collect(self, summary: CellSummary) -> None:
        self._summaries.append(summary)

    def release(self, summary: CellSummary) -> None:
        self._summaries.remove(summary)

    def deliver(self, records: list[RequestRecord]) -> None:
        for summary in self._summaries:
            for record in records:
                summary.add(record)
            summary.add_tokens([(record.end_ns, record.tokens) for record in records])

    async def scrape(self) -> ServerMetrics | None:
        self.metrics = self.scraped()
        return self.metrics

    @property
    def metrics_now(self) -> ServerMetrics | None:
        return self.metrics

    async def tokens_per_event(self) -> float | None:
        return self.told_per_event

    def ask_by_hand(self, question: str) -> None:
        self.by_hand.append(question)

    async def end_by_hand(self) -> None:
        self.by_hand.append("")

    def asked_by_hand_since(self, at_ns: int) -> bool:
        return bool(self.by_hand)

    def announce_sweep(self, cells: Sequence[Cell]) -> None:
        self.announced = list(cells)

    def keep_cell(self, result: CellResult) -> None:
        self.kept.append(result)

    def show_users_wanted(self, users: int) -> None:
        self.users_wanted = users

    def show_notice(self, text: str) -> None:
        self.notice = text

    def say(self, source: str, text: str, level: str = "info") -> None:
        self.said.append(text)
