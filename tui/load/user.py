"""Closed-loop users: each asks again as soon as it was answered. And groups that ask once: a burst, a plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tui.core.clock import NS_PER_S, now_ns
from tui.core.outcome import Outcome
from tui.load.read_batches import NEVER_NS
from tui.load.requester import Requester
from tui.load.worker_context import WorkerContext
from tui.metrics.record import RequestRecord

# Timers are as fine as a millisecond: from so long before its moment a burst looks at the clock itself.
_LOOK_NS = 2_000_000
BACK_OFF_FIRST_S = 0.25
BACK_OFF_LONGEST_S = 2.0
RETRY_AFTER_LONGEST_S = 10.0


class ClosedLoopUser:
    """One simulated user. Its clock starts when its connection is open; after a failure it waits a little."""

    __slots__ = (
        "_back_off_s",
        "_context",
        "_free_since_ns",
        "_gone",
        "_leaving",
        "_on_left",
        "_requester",
        "_timer",
        "number",
    )

    def __init__(self, context: WorkerContext, number: int, on_left: Callable[[ClosedLoopUser], None]) -> None:
        self._context = context
        self.number = number
        self._on_left = on_left
        self._requester = Requester(context, number, self._on_over)
        self._back_off_s = BACK_OFF_FIRST_S
        self._free_since_ns = 0
        self._leaving = False
        self._gone = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def requester(self) -> Requester:
        """Return its connection."""
        return self._requester

    def begin(self) -> None:
        """Open the connection, then ask without end."""
        self._context.soon(self._prepare)

    def _prepare(self) -> None:
        if not self._gone:
            self._requester.prepare(self._ask_now)

    @property
    def leaving(self) -> bool:
        """Say whether it leaves when its request is over."""
        return self._leaving

    def stay(self) -> None:
        """Do not leave after all."""
        self._leaving = False

    def leave(self, *, cut: bool) -> None:
        """Leave when the request under way is over, or at once when `cut` or when none is."""
        self._leaving = True
        if cut or not self._requester.asking:
            self._requester.end(Outcome.CANCELLED, "the user was cut")
            self._go()

    def _ask_now(self) -> None:
        self._timer = None
        if self._leaving:
            self._go()
        else:
            self._requester.ask(now_ns())

    def _ask_again(self) -> None:
        if self._leaving:
            self._go()
        else:
            self._requester.ask(self._free_since_ns)

    def _on_over(self, record: RequestRecord, retry_after_s: float | None) -> None:
        if self._leaving:
            self._go()
        elif record.outcome is Outcome.OK:
            self._back_off_s = BACK_OFF_FIRST_S
            self._free_since_ns = record.end_ns
            self._context.soon(self._ask_again)
        else:
            # So that a dead server is not hammered. The wait is the user's own: the next intended start is after it.
            wait_s = max(self._back_off_s, min(retry_after_s or 0.0, RETRY_AFTER_LONGEST_S))
            self._back_off_s = min(self._back_off_s * 2, BACK_OFF_LONGEST_S)
            self._timer = self._context.loop.call_later(wait_s, self._ask_now)

    def _go(self) -> None:
        if self._gone:
            return
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        self._requester.close()
        self._on_left(self)


class Burst:
    """So many requests at once, each on a connection that was opened before the clock starts."""

    def __init__(
        self, context: WorkerContext, users: Sequence[int], on_ready: Callable[[], None], on_over: Callable[[], None]
    ) -> None:
        self._context = context
        self.requesters = [Requester(context, user, self._on_one_over) for user in users]
        self._on_ready = on_ready
        self._on_over = on_over
        self._unready = len(self.requesters)
        self._under_way = len(self.requesters)
        self._fired = False
        self._waiting: asyncio.Handle | None = None

    def prepare(self) -> None:
        """Open the connections; `on_ready` is called when all are open or have failed."""
        for requester in self.requesters:
            requester.prepare(self._on_one_ready)

    def fire(self, at_ns: int) -> None:
        """Send all requests at `at_ns`, or at once when that has passed."""
        wait_ns, loop, readers = at_ns - now_ns(), self._context.loop, self._context.readers
        if wait_ns > 0:
            readers.due_ns = at_ns
            if wait_ns > _LOOK_NS:
                self._waiting = loop.call_later((wait_ns - _LOOK_NS) / NS_PER_S, self.fire, at_ns)
            else:
                self._waiting = loop.call_soon(self.fire, at_ns)
            return
        readers.due_ns = NEVER_NS
        self._fired = True
        for requester in self.requesters:
            requester.ask(at_ns)

    def cut(self) -> None:
        """End what is under way; a burst that was not fired is over without a request."""
        for requester in self.requesters:
            requester.end(Outcome.CANCELLED, "the burst was cut")
        if not self._fired:
            if self._waiting is not None:
                self._waiting.cancel()
                self._context.readers.due_ns = NEVER_NS
            self._on_over()

    def _on_one_ready(self) -> None:
        self._unready -= 1
        if self._unready == 0:
            self._on_ready()

    def _on_one_over(self, record: RequestRecord, retry_after_s: float | None) -> None:
        self._under_way -= 1
        if self._under_way == 0:
            for requester in self.requesters:
                requester.close()
            self._on_over()


class Plan:
    """Open loop: a request at each planned time, whatever becomes of the others."""

    def __init__(
        self,
        context: WorkerContext,
        times_ns: Sequence[int],
        *,
        spare: int,
        most: int,
        on_over: Callable[[int], None],
    ) -> None:
        """`spare`: connections opened beforehand; `most`: at once. A request for which none is left is dropped.

        `on_over` takes how many were dropped.
        """
        self._context = context
        self._times_ns = times_ns
        self._most = most
        self._on_over = on_over
        self._next = 0
        self._under_way = 0
        self._dropped = 0
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[Requester] = []
        self.requesters: list[Requester] = []
        for _ in range(min(spare, len(times_ns), most)):
            self._idle.append(self._new_requester())

    def begin(self) -> None:
        """Open the spare connections and wait for the first planned time."""
        for requester in self._idle:
            requester.prepare(_nothing)
        self._start_due()

    def cut(self) -> None:
        """End what is under way and forget what is still planned; that counts as neither started nor dropped."""
        self._next = len(self._times_ns)
        if self._timer is not None:
            self._timer.cancel()
        self._context.readers.due_ns = NEVER_NS
        for requester in self.requesters:
            requester.end(Outcome.CANCELLED, "the load was cut")
        self._judge()

    def _new_requester(self) -> Requester:
        requester: Requester

        def on_over(record: RequestRecord, retry_after_s: float | None) -> None:
            self._under_way -= 1
            self._idle.append(requester)
            self._judge()

        requester = Requester(self._context, len(self.requesters), on_over)
        self.requesters.append(requester)
        return requester

    def _start_due(self) -> None:
        self._timer = None
        readers = self._context.readers
        readers.due_ns = NEVER_NS
        while self._next < len(self._times_ns):
            planned_ns = self._times_ns[self._next]
            wait_ns = planned_ns - now_ns()
            if wait_ns > 0:
                readers.due_ns = planned_ns
                self._timer = self._context.loop.call_later(wait_ns / NS_PER_S, self._start_due)
                return
            self._next += 1
            self._start(planned_ns)
        self._judge()

    def _start(self, planned_ns: int) -> None:
        if self._idle:
            requester = self._idle.pop()
        elif len(self.requesters) < self._most:
            requester = self._new_requester()
        else:
            self._dropped += 1
            return
        self._under_way += 1
        requester.ask(planned_ns)

    def _judge(self) -> None:
        if not self._over and self._under_way == 0 and self._next >= len(self._times_ns):
            self._over = True
            for requester in self.requesters:
                requester.close()
            self._on_over(self._dropped)


def _nothing() -> None:
    pass
