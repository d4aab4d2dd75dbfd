"""A load worker: `python -m tui.load.worker FD`, a process of its own with few imports.

It speaks `wire` over the inherited socket FD and ends when that ends: a bench that was killed leaves no worker.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

import uvloop

from tui.core.clock import NS_PER_S, now_ns
from tui.core.known_secrets import learn, learn_environment
from tui.core.outcome import Outcome
from tui.core.secret_value import lend
from tui.core.tasks import background
from tui.load.requester import Requester
from tui.load.user import Burst, ClosedLoopUser, Plan
from tui.load.wire import (
    REPORT_PERIOD_S,
    Begin,
    ChangeUsers,
    Command,
    Configure,
    Cut,
    FireBurst,
    Peek,
    PrepareBurst,
    Report,
    Retag,
    RunPlan,
    decode_command,
    pack,
    read_frame,
)
from tui.load.worker_context import WorkerContext
from tui.metrics.record import RequestRecord

TICKS_PER_S = round(1 / REPORT_PERIOD_S)
# Of the lags between two ticks this many are kept: enough for a p99 over a second, little to sort each time.
LAGS_PER_TICK = 100
SPARE_DESCRIPTORS = 64


class Worker:
    """The users of one process and what they report."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter, begin: Begin) -> None:
        self._loop = loop
        self._writer = writer
        self._context = WorkerContext(loop, begin)
        self._users: dict[int, ClosedLoopUser] = {}
        self._burst: Burst | None = None
        self._plan: Plan | None = None
        self._memory = _Memory()
        self._ticks = 0
        self._reports = 0
        self._heard = 1  # to begin
        self._next_deadline_ns = 0
        self._resolving: asyncio.Task[None] | None = None
        self._cpu_marks: deque[tuple[int, int]] = deque(maxlen=TICKS_PER_S + 1)
        self._lags: deque[list[int]] = deque(maxlen=TICKS_PER_S)
        self._next_tick_s = loop.time() + REPORT_PERIOD_S
        self._timer = loop.call_at(self._next_tick_s, self._tick)
        self._most_connections = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS)

    async def start(self) -> None:
        """Look the server's name up and report for the first time."""
        await self._context.resolve()
        self._report()

    def stop(self) -> None:
        """Cut everything and report no more."""
        self._cut()
        self._timer.cancel()
        self._memory.close()
        self._context.readers.close()
        self._context.clock.close()

    def obey(self, command: Command) -> None:
        """Do what the pool says."""
        self._heard += 1
        match command:
            case Configure():
                self._context.configure(command)
            case Retag(number=number):
                self._context.retag(number)
            case ChangeUsers(come=come, go=go, cut=cut):
                self._change_users(come, go, cut)
            case PrepareBurst(users=users):
                self._burst = Burst(self._context, users, self._on_burst_ready, self._on_burst_over)
                self._burst.prepare()
            case FireBurst(at_ns=at_ns):
                if self._burst is not None:
                    self._burst.fire(at_ns)
                    self._report()
            case RunPlan():
                self._run_plan(command)
            case Cut():
                self._cut()
            case Peek():
                self._report(peeked=[requester.peek() for requester in self._requesters() if requester.asking])
            case Begin():
                raise ValueError("a worker begins once")

    def _change_users(self, come: list[int], go: list[int], cut: bool) -> None:
        for number in go:
            if number in self._users:
                self._users[number].leave(cut=cut)
        if cut:
            for user in [user for user in self._users.values() if user.leaving]:
                user.leave(cut=True)
        for number in come:
            if number in self._users:
                self._users[number].stay()
            else:
                user = self._users[number] = ClosedLoopUser(self._context, number, self._on_left)
                user.begin()
        self._report()

    def _run_plan(self, command: RunPlan) -> None:
        times_ns = [command.start_ns + offset_ns for offset_ns in array("q", command.offsets_ns)]
        self._plan = Plan(
            self._context,
            times_ns,
            spare=command.spare_connections,
            most=self._most_connections,
            on_over=self._on_plan_over,
        )
        self._plan.begin()

    def _cut(self) -> None:
        for user in list(self._users.values()):
            user.leave(cut=True)
        for group in (self._burst, self._plan):
            if group is not None:
                group.cut()
        self._report()

    def _on_left(self, user: ClosedLoopUser) -> None:
        del self._users[user.number]
        self._context.left.append(user.number)

    def _on_burst_ready(self) -> None:
        self._report(burst_ready=True)

    def _on_burst_over(self) -> None:
        self._burst = None
        self._report(burst_over=True)

    def _on_plan_over(self, dropped: int) -> None:
        self._plan = None
        self._report(plan_over=True, dropped=dropped)

    def _requesters(self) -> Iterator[Requester]:
        for user in list(self._users.values()):
            yield user.requester
        for group in (self._burst, self._plan):
            if group is not None:
                yield from list(group.requesters)

    def _tick(self) -> None:
        now_s = self._loop.time()
        clock = self._context.clock
        lags_ns = clock.take_lags()
        if clock.source != "kernel":
            # Without kernel stamps, how late the event loop is tells how late our own stamps may be.
            lags_ns.append(max(0, round((now_s - self._next_tick_s) * NS_PER_S)))
        self._lags.append(_thinned(lags_ns))
        self._context.readers.judge()
        self._ticks += 1
        if self._ticks % TICKS_PER_S == 0:
            clock.resync()
        if now_ns() > self._next_deadline_ns:
            self._end_overdue()
        if self._context.wants_resolving:
            self._resolving = background(self._context.resolve(), name="resolve")
        self._report(tick=True)
        self._next_tick_s = max(self._next_tick_s + REPORT_PERIOD_S, now_s)
        self._timer = self._loop.call_at(self._next_tick_s, self._tick)

    def _end_overdue(self) -> None:
        context, now = self._context, now_ns()
        told_s = context.target.request_timeout_s * context.target.time_scale
        for requester in self._requesters():
            if requester.deadline_ns is not None and now > requester.deadline_ns:
                requester.end(Outcome.TIMEOUT, f"no complete answer within {told_s:g} s")
        left = [requester.deadline_ns for requester in self._requesters() if requester.deadline_ns is not None]
        # All last equally long: what begins later is due later than what is under way.
        self._next_deadline_ns = min(left, default=now + context.timeout_ns)

    def _report(
        self,
        *,
        tick: bool = False,
        burst_ready: bool = False,
        burst_over: bool = False,
        plan_over: bool = False,
        dropped: int = 0,
        peeked: list[RequestRecord] | None = None,
    ) -> None:
        context = self._context
        tokens, events = context.tally.take()
        self._reports += 1
        report = Report(
            seq=self._reports,
            heard=self._heard,
            at_ns=now_ns(),
            tick=tick,
            users_active=len(self._users) + (len(self._burst.requesters) if self._burst else 0),
            in_flight=context.in_flight,
            tokens=tokens,
            events=events,
            cpu_share=self._cpu_share(tick),
            lag_p99_s=self._lag_p99_s(),
            stamps=context.clock.source,
            rss_bytes=self._memory.rss_bytes(),
            started=list(context.started.values()),
            records=context.records,
            left=context.left,
            burst_ready=burst_ready,
            burst_over=burst_over,
            plan_over=plan_over,
            dropped=dropped,
            peeked=peeked,
        )
        context.records = []
        context.left = []
        context.started.clear()
        if not self._writer.is_closing():
            self._writer.write(pack(report))

    def _cpu_share(self, tick: bool) -> float:
        mark = (time.process_time_ns(), now_ns())
        if tick or not self._cpu_marks:
            self._cpu_marks.append(mark)
        cpu_ns, wall_ns = mark[0] - self._cpu_marks[0][0], mark[1] - self._cpu_marks[0][1]
        return min(1.0, cpu_ns / wall_ns) if wall_ns > 0 else 0.0

    def _lag_p99_s(self) -> float | None:
        lags = sorted(chain.from_iterable(self._lags))
        return lags[min(len(lags) - 1, len(lags) * 99 // 100)] / NS_PER_S if lags else None


def _thinned(lags_ns: list[int]) -> list[int]:
    # In order, for a list of sorted runs is sorted in a third of the time.
    return sorted(lags_ns[:: len(lags_ns) // LAGS_PER_TICK + 1])


class _Memory:
    """What this process holds. The file stays open: there may be no descriptor left when it is read."""

    def __init__(self) -> None:
        self._page_bytes = resource.getpagesize()
        try:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:  # not Linux
            self._statm = -1

    def rss_bytes(self) -> int:
        if self._statm < 0:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(os.pread(self._statm, 128, 0).split()[1]) * self._page_bytes

    def close(self) -> None:
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1


def _end_by_fault(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process by a mistake of its own: its pool tells of it, where requests without an answer would not."""
    loop.default_exception_handler(context)
    error = context.get("exception")
    if error is not None and not (isinstance(error, OSError) and "transport" in context):
        os._exit(1)


async def _serve(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_by_fault)
    reader, writer = await asyncio.open_connection(sock=sock)
    body = await read_frame(reader)
    if body is None:
        return
    begin = decode_command(body)
    if not isinstance(begin, Begin):
        raise ValueError("the first command must be to begin")
    lend(begin.secrets.values)
    for secret in begin.secrets.values.values():
        learn(secret)
    worker = Worker(loop, writer, begin)
    await worker.start()
    # What is there now stays; the rest is freed by reference counts, so the collector seldom needs to look.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    while (body := await read_frame(reader)) is not None:
        worker.obey(decode_command(body))
    worker.stop()


def main() -> None:
    """Run until the socket ends."""
    learn_environment(os.environ)
    sock = socket.socket(fileno=int(sys.argv[1]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(sock))


if __name__ == "__main__":
    main()
