"""The load: users spread over worker processes, as one. asyncio, runs in the bench; no request passes through here.

Workers are told what to do and tell five times a second what they did. One that dies takes nothing with it but the
requests it had under way: these are recorded as lost, and its users go on elsewhere. So do those of a host that is
lost with all its workers, or they ask no more until it is back, as `on_host_loss` says.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Sequence

import msgspec

from tui.core.clock import NS_PER_MS, NS_PER_S, now_ns
from tui.core.errors import UsageError, VrampError
from tui.core.safe_text import safe_text
from tui.core.secret_value import raw_secrets
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import dialect_named
from tui.load.arrivals import planned_offsets_ns
from tui.load.assignment import Assignment
from tui.load.crew import Crew
from tui.load.local_host import LocalHost
from tui.load.placement import Placement
from tui.load.progress import ProgressReport
from tui.load.prompts import PromptMaker
from tui.load.request_head import RequestHead
from tui.load.transport import Host
from tui.load.wire import (
    REPORT_PERIOD_S,
    Begin,
    Command,
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
    Secrets,
)
from tui.load.worker_handle import WorkerHandle
from tui.metrics.cell import users_in_words
from tui.metrics.reading import Event
from tui.metrics.record import RequestRecord
from tui.profile.load_hosts import OnHostLoss

__all__ = ["LoadPool", "LoadProgress", "LoadTarget", "PromptSource"]

USERS_PER_WORKER = 1500
BUSY_CPU_SHARE = 0.7
BUSY_TICKS = round(1 / REPORT_PERIOD_S)
MAX_SPARE_CONNECTIONS = 256
# What is to happen on several hosts in one moment is told so long before, besides the way there.
LEAD_NS = 50 * NS_PER_MS


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
        on_host_loss: OnHostLoss = OnHostLoss.MOVE,
    ) -> None:
        """Take the target. `hosts`: where its workers run; () = here."""
        self._target = target
        self._on_records = on_records
        self._on_event = on_event
        self._crew = Crew(list(hosts) or [LocalHost()], self)
        self._on_host_loss = on_host_loss
        self.next_request_id = first_request_id
        """For a pool that follows this one in the same session."""
        self._configured: Configure | None = None
        self._users = Placement(self._crew.handles)
        self._assignment: Assignment | None = None
        self.workers_lost = 0
        """How many workers have died by themselves."""
        self._progress = ProgressReport(self._crew, on_progress)
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Start the first worker of each host. Raises VrampError when none comes up."""
        await self._crew.grow(len(self._crew.hosts))
        if not self._handles:
            raise VrampError("no load worker could be started")

    async def stop(self) -> None:
        """End all workers at once and wait until they are gone."""
        self._progress.stop()
        await self._crew.stop()
        if self._assignment is not None:
            self._assignment.abandon()
        self._news.set()

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
        self._users.want(users)
        await self._crew.grow(self._workers_for(users))
        self._users.place(cut=cut)

    async def burst(self, users: int) -> int:
        """Send `users` requests at once on connections opened beforehand; return how many were sent.

        Returns when all are over and their records are delivered. Raises VrampError when another burst or plan runs.
        """
        await self._ready_to_ask()
        if users < 1:
            return 0
        await self._crew.grow(self._workers_for(users))
        handles = self._handles[: max(1, min(len(self._handles), users))]
        parts = [(handle, list(range(first, users, len(handles)))) for first, handle in enumerate(handles)]
        assignment = self._begin([(handle, len(part)) for handle, part in parts])
        try:
            for handle, part in parts:
                handle.send(PrepareBurst(part))
            await assignment.ready.wait()
            at_ns = now_ns() + _lead_ns(handles)
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
        start_ns = now_ns() + NS_PER_S // 5 + _lead_ns(handles)
        try:
            for handle, part in parts:
                handle.send(RunPlan(start_ns, array("q", part).tobytes(), spare))
            await assignment.over.wait()
        finally:
            self._assignment = None
        return assignment.dropped

    async def cut(self) -> None:
        """End everything in flight now (outcome cancelled), users to none; returns when that is done."""
        self._users.forget_all()
        for handle in self._handles:
            handle.send(Cut())
        await self._quiet(users_too=True)

    async def drain(self) -> None:
        """Resolve when nothing is in flight; with users that stay, that is never."""
        await self._quiet(users_too=False)

    async def settled(self, users: int, prompt_tokens: int) -> None:
        """Return once what is under way is no more than so many requests, all with prompts of this size."""
        told = {handle: handle.told for handle in self._handles}

        def is_settled() -> bool:
            if not all(handle.has_heard(told.get(handle, 0)) for handle in self._handles):
                return False
            strange = any(size != prompt_tokens for handle in self._handles for size in handle.sizes)
            return not strange and sum(handle.in_flight for handle in self._handles) <= users

        await self._until(lambda: not self._handles or is_settled())

    async def peek(self) -> list[RequestRecord]:
        """Return what has come by now of the requests under way: outcome `running`, ended now, without a number."""
        asked = list(self._handles)
        for handle in asked:
            handle.peeked = None
            handle.send(Peek())
        await self._until(lambda: all(handle.peeked is not None or handle.gone for handle in asked))
        return [record for handle in asked for record in handle.peeked or []]

    @property
    def target(self) -> LoadTarget:
        """Return whom it asks."""
        return self._target

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        return [handle.pid for handle in self._handles if handle.pid is not None]

    @property
    def _handles(self) -> list[WorkerHandle]:
        return self._crew.handles

    async def _ready_to_ask(self) -> None:
        """Wait for a worker where there is none for the moment. Raises VrampError when there is none."""
        if self._configured is None:
            raise VrampError("the load was not told what to ask")
        await self._crew.wait_for_one()
        if not self._handles:
            raise VrampError("there is no load worker left")

    def _begin(self, parts: list[tuple[WorkerHandle, int]]) -> Assignment:
        if self._assignment is not None:
            raise VrampError("a burst or plan is under way already")
        self._assignment = Assignment(parts)
        return self._assignment

    async def _quiet(self, *, users_too: bool) -> None:
        told = {handle: handle.told for handle in self._handles}

        def is_quiet(handle: WorkerHandle) -> bool:
            report = handle.latest
            if report is None or report.in_flight or not handle.has_heard(told.get(handle, 0)):
                return False
            return not (users_too and report.users_active)

        await self._until(lambda: all(is_quiet(handle) for handle in self._handles))

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, by what workers report."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    # Workers.

    def _workers_for(self, users: int) -> int:
        return min(self._crew.most, max(len(self._crew.hosts), math.ceil(users / USERS_PER_WORKER)))

    def _tell_all(self, command: Configure | Retag) -> None:
        for handle in self._handles:
            handle.send(command)

    def _relieve(self, busy: WorkerHandle) -> None:
        """Have one more worker and move there a fair share of the users of `busy`, each when its request is over."""
        if self._crew.is_growing or len(self._handles) >= self._crew.most or len(busy.listed) < 2:
            return
        self.tell(f"{busy.name} is at {BUSY_CPU_SHARE:.0%} of its core: one more is started", "info")
        self._crew.grow_beside(len(self._handles) + 1, lambda: self._users.release(busy, len(busy.listed) // 2))

    # What the crew tells.

    def first_words(self, handle: WorkerHandle) -> list[Command]:
        """Return what a worker is told that was just started."""
        begin = Begin(self._target, handle.number, Secrets(raw_secrets(self._target.auth.variables)))
        return [begin] if self._configured is None else [begin, self._configured]

    def on_report(self, handle: WorkerHandle, report: Report) -> None:
        """Take what a worker says."""
        self._progress.add(report)
        self._deliver(report.records)
        if report.left:
            self._users.on_left(handle, report.left)
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
            self._progress.tell_soon()
        self._news.set()

    def on_gone(self, handle: WorkerHandle) -> None:
        """Take it that a worker is gone: what it had under way is lost, and its users are nowhere."""
        self.workers_lost += 1
        lost = handle.lost_records()
        self.tell(f"{handle.why_gone()}; {len(lost)} requests under way are lost", "error")
        self._deliver(lost)
        assignment = self._assignment
        if assignment is not None and assignment.owes(handle):
            assignment.on_over(handle)
        self._users.on_gone(handle)
        self._progress.tell()
        self._news.set()

    def on_replaced(self) -> None:
        """Give the users of the worker that is gone to the others, the new one first."""
        self._users.place()

    def on_host_lost(self, host: Host, why: str) -> None:
        """Have the users of a lost host go on elsewhere, or ask no more."""
        homeless = len(self._users.homeless)
        if self._on_host_loss is OnHostLoss.DROP:
            self._users.drop_homeless()
        if host.name:
            its = why.removeprefix(f"{host.name} ")
            why = why if its == why else f"it {its}"
            self.tell(f"{host.name} is lost: {why}{self._what_of(homeless)}", "error")
        else:
            self.tell(f"no load worker could be started: {why}", "error")
        self._users.place()

    def _what_of(self, homeless: int) -> str:
        if not homeless:
            return ""
        dropped, one = self._on_host_loss is OnHostLoss.DROP, homeless == 1
        then = ("asks no more" if one else "ask no more") if dropped else ("goes on" if one else "go on") + " elsewhere"
        return f"; {users_in_words(homeless)} {then}"

    def on_host_back(self, host: Host) -> None:
        """Have a fair share of the users ask from a host again."""
        self.tell(f"{host.name or 'this machine'} is back: users ask from there again", "warning")
        self._users.restore()
        self._crew.grow_beside(self._workers_for(self._users.wanted), self._users.even_out)

    def tell(self, text: str, level: str) -> None:
        """Tell the operator."""
        self._on_event(Event(at_ns=now_ns(), source="load", text=text, level=level))

    # What the bench is told.

    def _deliver(self, records: list[RequestRecord]) -> None:
        if records:
            first, self.next_request_id = self.next_request_id, self.next_request_id + len(records)
            self._on_records(
                [
                    # A worker knows no secrets but those it asks with.
                    msgspec.structs.replace(record, request_id=first + place, error=safe_text(record.error))
                    if record.error
                    else msgspec.structs.replace(record, request_id=first + place)
                    for place, record in enumerate(records)
                ]
            )


def _lead_ns(handles: Sequence[WorkerHandle]) -> int:
    """Return how long before its moment a command must be told: not at all where all workers are here."""
    clocks = [handle.host.clock for handle in handles if handle.host.clock is not None]
    if not clocks:
        return 0
    now = now_ns()
    return LEAD_NS + max((clock.round_trip_ns or 0) + clock.error_ns(now) for clock in clocks)
