"""The load: users spread over worker processes, as one. asyncio, runs in the bench; no request passes through here.

Workers are told what to do and tell five times a second what they did. One that dies takes nothing with it but the
requests it had under way: these are recorded as lost, and its users go on elsewhere.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

import msgspec

from tui.core.clock import NS_PER_S, now_ns
from tui.core.errors import UsageError, VrampError
from tui.core.tasks import background, end_task
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import dialect_named
from tui.load.arrivals import planned_offsets_ns
from tui.load.assignment import Assignment
from tui.load.local_host import LocalHost
from tui.load.prompts import PromptMaker
from tui.load.request_head import RequestHead
from tui.load.transport import Host
from tui.load.wire import (
    REPORT_PERIOD_S,
    Begin,
    ChangeUsers,
    Configure,
    Cut,
    FireBurst,
    LoadProgress,
    LoadTarget,
    Peek,
    PrepareBurst,
    PromptSource,
    Report,
    Retag,
    RunPlan,
)
from tui.load.worker_handle import WorkerHandle
from tui.metrics.reading import Event
from tui.metrics.record import RequestRecord

__all__ = ["LoadPool", "LoadProgress", "LoadTarget", "PromptSource"]

USERS_PER_WORKER = 1500
BUSY_CPU_SHARE = 0.7
BUSY_TICKS = round(1 / REPORT_PERIOD_S)
START_TIMEOUT_S = 30.0
MAX_SPARE_CONNECTIONS = 256
# A worker that dies again and again has a cause that one more will not remove.
DEATHS_BEFORE_GIVING_UP = 5
DEATHS_WITHIN_S = 10.0


class LoadPool:
    """All workers of a bench. Callbacks are called in the event loop and must be quick."""

    def __init__(
        self,
        target: LoadTarget,
        *,
        on_records: Callable[[list[RequestRecord]], None],
        on_progress: Callable[[LoadProgress], None],
        on_event: Callable[[Event], None],
        first_request_id: int = 1,
        hosts: Sequence[Host] = (),
    ) -> None:
        """Take the target. `hosts`: where its workers run, which the pool closes when it stops; () = here."""
        self._target = target
        self._on_records = on_records
        self._on_progress = on_progress
        self._on_event = on_event
        self._hosts: list[Host] = list(hosts) or [LocalHost()]
        self.next_request_id = first_request_id
        """For a pool that follows this one in the same session."""
        self._numbers = count(1)
        self._handles: list[WorkerHandle] = []
        self._configured: Configure | None = None
        self._wanted = 0
        self._placed: dict[int, WorkerHandle] = {}
        self._assignment: Assignment | None = None
        self._deaths_ns: list[int] = []
        self.workers_lost = 0
        """How many workers have died by themselves."""
        self._tokens: Counter[int] = Counter()
        self._events = 0
        self._news = asyncio.Event()
        self._spawning = asyncio.Lock()
        self._growing: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the first worker of each host. Raises VrampError when none comes up."""
        await self._grow(len(self._hosts))
        if not self._handles:
            raise VrampError("no load worker could be started")

    async def stop(self) -> None:
        """End all workers at once and wait until they are gone."""
        self._stopping = True
        if self._growing is not None:
            await end_task(self._growing)
        await asyncio.gather(*(handle.stop() for handle in self._handles))
        self._handles.clear()
        await asyncio.gather(*(host.close() for host in self._hosts))
        if self._assignment is not None:
            self._assignment.abandon()
        self._pulse()

    async def configure(self, shape: RequestShape, prompts: PromptSource, tag: int) -> None:
        """Give the shape of the requests that start from now on. Raises UsageError for one that cannot be made.

        Where only the tag is new, workers are told just that: to make new prompts would hold up what they read.
        """
        before, configured = self._configured, Configure(shape, prompts, tag)
        if before is not None and (before.shape, before.prompts) == (shape, prompts):
            self._configured = configured
            self._tell_all(Retag(tag))
            return
        try:
            PromptMaker(shape, prompts)
            dialect_named(shape.dialect)
            RequestHead(self._target, shape)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self._configured = configured
        self._tell_all(configured)

    async def set_users(self, users: int, *, cut: bool = False) -> None:
        """Have so many closed-loop users. New ones start at once; leaving ones finish their request, or are cut."""
        if users == 0 and self._configured is None:
            return  # nobody has asked yet
        await self._ready_to_ask()
        self._wanted = users
        await self._grow(self._workers_for(users))
        self._place(cut=cut)

    async def burst(self, users: int) -> int:
        """Send `users` requests at once on connections opened beforehand; return how many were sent.

        Returns when all are over and their records are delivered. Raises VrampError when another burst or plan runs.
        """
        await self._ready_to_ask()
        if users < 1:
            return 0
        await self._grow(self._workers_for(users))
        handles = self._handles[: max(1, min(len(self._handles), users))]
        parts = [(handle, list(range(first, users, len(handles)))) for first, handle in enumerate(handles)]
        assignment = self._begin([(handle, len(part)) for handle, part in parts])
        try:
            for handle, part in parts:
                handle.send(PrepareBurst(part))
            await assignment.ready.wait()
            at_ns = now_ns()
            for handle in handles:
                handle.send(FireBurst(at_ns))
            await assignment.over.wait()
        finally:
            self._assignment = None
        return assignment.sent

    async def open_loop(self, rate_per_s: float, arrivals: str, seed: int, duration_s: float) -> int:
        """Start requests at planned times, whatever becomes of the earlier ones; return how many had to be dropped.

        Returns when the plan has passed and all its requests are over (`cut` ends them). Raises UsageError for a plan
        that cannot be made, VrampError when another burst or plan runs.
        """
        await self._ready_to_ask()
        try:
            offsets_ns = planned_offsets_ns(rate_per_s, arrivals, seed, duration_s)
        except ValueError as error:
            raise UsageError(str(error)) from error
        handles = list(self._handles)
        parts = [(handle, offsets_ns[first :: len(handles)]) for first, handle in enumerate(handles)]
        assignment = self._begin([(handle, len(part)) for handle, part in parts])
        spare = min(MAX_SPARE_CONNECTIONS, math.ceil(rate_per_s / len(handles)))
        # Time to open the spare connections before the first request is due.
        start_ns = now_ns() + NS_PER_S // 5
        try:
            for handle, part in parts:
                handle.send(RunPlan(start_ns, array("q", part).tobytes(), spare))
            await assignment.over.wait()
        finally:
            self._assignment = None
        return assignment.dropped

    async def cut(self) -> None:
        """End everything in flight now (outcome cancelled), users to none; returns when that is done."""
        self._wanted = 0
        asked_ns = now_ns()
        for handle in self._handles:
            handle.listed = set()
            handle.send(Cut())
        await self._quiet(asked_ns, users_too=True)

    async def drain(self) -> None:
        """Resolve when nothing is in flight; with users that stay, that is never."""
        await self._quiet(now_ns(), users_too=False)

    async def settled(self, users: int, prompt_tokens: int) -> None:
        """Return once what is under way is no more than so many requests, all with prompts of this size."""
        asked_ns = now_ns()

        def is_settled() -> bool:
            reports = [handle.latest for handle in self._handles]
            if any(report is None or report.at_ns <= asked_ns for report in reports):
                return False
            strange = any(
                started.prompt_tokens != prompt_tokens
                for handle in self._handles
                for started in handle.started.values()
            )
            return not strange and sum(handle.in_flight for handle in self._handles) <= users

        while self._handles and not is_settled():
            self._news.clear()
            await self._news.wait()

    async def peek(self) -> list[RequestRecord]:
        """Return what has come by now of the requests under way: outcome `running`, ended now, without a number."""
        asked = list(self._handles)
        for handle in asked:
            handle.peeked = None
            handle.send(Peek())
        while any(handle.peeked is None and not handle.gone for handle in asked):
            self._news.clear()
            await self._news.wait()
        return [record for handle in asked for record in handle.peeked or []]

    @property
    def target(self) -> LoadTarget:
        """Return whom it asks."""
        return self._target

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        return [handle.pid for handle in self._handles if handle.pid is not None]

    async def _ready_to_ask(self) -> None:
        """Wait for the worker that takes the place of a lone one that died. Raises VrampError when there is none."""
        if self._configured is None:
            raise VrampError("the load was not told what to ask")
        if not self._handles and self._growing is not None:
            await asyncio.wait({self._growing})
        if not self._handles:
            raise VrampError("there is no load worker left")

    def _begin(self, parts: list[tuple[WorkerHandle, int]]) -> Assignment:
        if self._assignment is not None:
            raise VrampError("a burst or plan is under way already")
        self._assignment = Assignment(parts)
        return self._assignment

    async def _quiet(self, since_ns: int, *, users_too: bool) -> None:
        def is_quiet(handle: WorkerHandle) -> bool:
            report = handle.latest
            if report is None or report.at_ns <= since_ns or report.in_flight:
                return False
            return not (users_too and report.users_active)

        while self._handles and not all(is_quiet(handle) for handle in self._handles):
            self._news.clear()
            await self._news.wait()

    # Workers.

    def _workers_for(self, users: int) -> int:
        return min(self._most_workers, max(len(self._hosts), math.ceil(users / USERS_PER_WORKER)))

    @property
    def _most_workers(self) -> int:
        return sum(host.cores for host in self._hosts)

    def _host_of_next(self) -> Host | None:
        """Return the host with the fewest workers that can have one more."""
        workers = Counter(handle.host for handle in self._handles)
        free = [host for host in self._hosts if workers[host] < host.cores]
        return min(free, key=lambda host: workers[host], default=None)

    async def _grow(self, workers: int) -> None:
        async with self._spawning:
            await self._spawn_up_to(workers)

    async def _spawn_up_to(self, workers: int) -> None:
        while len(self._handles) < workers and not self._stopping and (host := self._host_of_next()) is not None:
            handle = WorkerHandle(next(self._numbers), host, self._on_report, self._on_gone)
            try:
                await handle.spawn()
            except OSError as error:
                self._tell(f"no load worker could be started: {error}", "error")
                return
            self._handles.append(handle)
            handle.send(Begin(self._target, handle.number))
            if self._configured is not None:
                handle.send(self._configured)
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await handle.alive.wait()
            except TimeoutError:
                self._tell(f"load worker {handle.number} did not answer within {START_TIMEOUT_S:g} s", "error")
                self._handles.remove(handle)
                await handle.stop()
                return
            if handle.gone:
                return

    def _tell_all(self, command: Configure | Retag) -> None:
        for handle in self._handles:
            handle.send(command)

    def _place(self, *, cut: bool = False) -> None:
        """Give every wanted user a worker and tell each worker its users. One that is leaving stays where it is."""
        if not self._handles:
            return
        shares = Counter(dict.fromkeys(self._handles, 0))
        for user in range(self._wanted):
            if user in self._placed:
                shares[self._placed[user]] += 1
        for user in range(self._wanted):
            if user not in self._placed:
                handle = min(self._handles, key=lambda each: shares[each])
                self._placed[user] = handle
                shares[handle] += 1
        for handle in self._handles:
            listed = {user for user in range(self._wanted) if self._placed[user] is handle}
            come, go = sorted(listed - handle.listed), sorted(handle.listed - listed)
            if come or go or cut:
                handle.listed = listed
                handle.send(ChangeUsers(come, go, cut))

    def _relieve(self, busy: WorkerHandle) -> None:
        """Have one more worker and move there a fair share of the users of `busy`, each when its request is over."""
        if self._growing is not None and not self._growing.done():
            return
        if len(self._handles) >= self._most_workers or len(busy.listed) < 2:
            return
        self._tell(f"load worker {busy.number} is at {BUSY_CPU_SHARE:.0%} of its core: one more is started", "info")
        self._growing = background(self._move_half(busy), name="load-pool")

    async def _move_half(self, busy: WorkerHandle) -> None:
        await self._grow(len(self._handles) + 1)
        # Told without them, the worker says when each has left; only then does it start elsewhere (`_on_left`).
        go = sorted(busy.listed)[len(busy.listed) // 2 :]
        busy.listed = busy.listed.difference(go)
        busy.send(ChangeUsers([], go))

    # What workers tell.

    def _on_report(self, handle: WorkerHandle, report: Report) -> None:
        for bucket_ns, tokens in report.tokens:
            self._tokens[bucket_ns] += tokens
        self._events += report.events
        self._deliver(report.records)
        if report.left:
            self._on_left(handle, report.left)
        assignment = self._assignment
        if assignment is not None and assignment.owes(handle):
            if report.burst_ready:
                assignment.on_ready(handle)
            if report.burst_over or report.plan_over:
                assignment.on_over(handle, report.dropped)
        handle.busy_ticks = handle.busy_ticks + 1 if report.cpu_share > BUSY_CPU_SHARE else 0
        if handle.busy_ticks >= BUSY_TICKS:
            handle.busy_ticks = 0
            self._relieve(handle)
        if report.tick:
            self._on_progress(self._progress())
        self._pulse()

    def _on_left(self, handle: WorkerHandle, users: list[int]) -> None:
        for user in users:
            # One that is listed again was begun again by the same worker.
            if self._placed.get(user) is handle and user not in handle.listed:
                del self._placed[user]
        if any(user < self._wanted and user not in self._placed for user in users):
            self._place()

    def _on_gone(self, handle: WorkerHandle) -> None:
        if handle not in self._handles:
            return
        self._handles.remove(handle)
        self.workers_lost += 1
        why = handle.why_gone()
        lost = handle.lost_records()
        self._tell(f"{why}; {len(lost)} requests under way are lost", "error")
        self._deliver(lost)
        assignment = self._assignment
        if assignment is not None and assignment.owes(handle):
            assignment.on_over(handle)
        for user in [user for user, where in self._placed.items() if where is handle]:
            del self._placed[user]
        self._on_progress(self._progress())
        self._pulse()
        self._deaths_ns = [at for at in self._deaths_ns if now_ns() - at < DEATHS_WITHIN_S * NS_PER_S] + [now_ns()]
        if len(self._deaths_ns) > DEATHS_BEFORE_GIVING_UP:
            self._tell("load workers die again and again: no more are started", "error")
        elif not self._stopping:
            self._growing = background(self._replace(), name="load-pool")

    async def _replace(self) -> None:
        async with self._spawning:
            await self._spawn_up_to(len(self._handles) + 1)
        self._place()

    # What the bench is told.

    def _deliver(self, records: list[RequestRecord]) -> None:
        if records:
            first, self.next_request_id = self.next_request_id, self.next_request_id + len(records)
            self._on_records(
                [msgspec.structs.replace(record, request_id=first + place) for place, record in enumerate(records)]
            )

    def _progress(self) -> LoadProgress:
        reports = [handle.latest for handle in self._handles if handle.latest is not None]
        lags = [report.lag_p99_s for report in reports if report.lag_p99_s is not None]
        tokens, self._tokens = sorted(self._tokens.items()), Counter()
        events, self._events = self._events, 0
        return LoadProgress(
            at_ns=now_ns(),
            users_active=sum(report.users_active for report in reports),
            in_flight=sum(report.in_flight for report in reports),
            tokens=tokens,
            events=events,
            cpu_share=max((report.cpu_share for report in reports), default=0.0),
            lag_p99_s=max(lags, default=None),
            workers=len(reports),
            stamps="kernel" if reports and all(report.stamps == "kernel" for report in reports) else "client",
            rss_bytes=sum(report.rss_bytes for report in reports),
        )

    def _tell(self, text: str, level: str) -> None:
        self._on_event(Event(at_ns=now_ns(), source="load", text=text, level=level))

    def _pulse(self) -> None:
        self._news.set()
