"""One load worker as its pool sees it: where it runs, what it was told, and what it has under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tui.core.clock import now_ns
from tui.core.outcome import Outcome
from tui.core.tasks import background
from tui.load import host_time
from tui.load.transport import Host, Transport
from tui.load.wire import Command, Report, StartedRequest, decode_report
from tui.metrics.record import RequestRecord

_encode = msgspec.msgpack.Encoder().encode


class WorkerHandle:
    """A worker. `on_report` gets all it says, once; `on_gone` is called once, when it has ended for any reason."""

    def __init__(
        self,
        number: int,
        host: Host,
        on_report: Callable[[WorkerHandle, Report], None],
        on_gone: Callable[[WorkerHandle], None],
    ) -> None:
        self.number = number
        self.host = host
        self._on_report = on_report
        self._on_gone = on_gone
        self._transport: Transport | None = None
        self._reading: asyncio.Task[None] | None = None
        self.seq = 0
        """The number of its last report."""
        self.told = 0
        """How many commands it was sent."""
        self._fault = ""
        self.latest: Report | None = None
        self.started: dict[int, StartedRequest] = {}
        """Requests under way, by the worker's own numbers."""
        self.sizes: dict[int, int] = {}
        """How many of them have prompts of which size."""
        self.listed: set[int] = set()
        """The closed-loop users it was last told to have."""
        self.requests_over = 0
        self.busy_ticks = 0
        self.alive = asyncio.Event()
        """Set by its first report, or by its end."""
        self.gone = False
        self.peeked: list[RequestRecord] | None = None

    async def spawn(self) -> None:
        """Start the worker on its host. Raises OSError."""
        self._transport = await self.host.open_worker(self.number)
        self._reading = background(self._read(self._transport), name=f"load-worker-{self.number}")

    @property
    def name(self) -> str:
        """Return what it is called."""
        return f"load worker {self.number}" + (f" on {self.host.name}" if self.host.name else "")

    @property
    def pid(self) -> int | None:
        """Return the process id of one on this machine."""
        return None if self._transport is None else self._transport.pid

    @property
    def in_flight(self) -> int:
        """Return the requests under way, as last told."""
        return 0 if self.latest is None else self.latest.in_flight

    def send(self, command: Command) -> None:
        """Tell the worker; nothing happens when it has ended."""
        if self._transport is None or self.gone:
            return
        self.told += 1
        clock = self.host.clock
        self._transport.send(_encode(command if clock is None else host_time.command_for(command, clock)))

    def has_heard(self, told: int) -> bool:
        """Say whether its last report was made when it had obeyed so many commands."""
        return self.latest is not None and self.latest.heard >= told

    def why_gone(self) -> str:
        """Return in words how the worker ended."""
        how = self._fault or ("was lost" if self._transport is None else self._transport.why_gone())
        return f"{self.name} {how}"

    def lost_records(self) -> list[RequestRecord]:
        """Return a record, without a number of its own, for each request that was under way when the worker ended."""
        why, ended_ns = self.why_gone(), now_ns()
        lost = [
            RequestRecord(
                request_id=0,
                worker=self.number,
                user=started.user,
                tag=started.tag,
                intended_start_ns=started.intended_start_ns,
                start_ns=started.start_ns,
                first_token_ns=None,
                last_token_ns=None,
                end_ns=ended_ns,
                prompt_tokens=started.prompt_tokens,
                output_tokens_asked=started.output_tokens_asked,
                prompt_tokens_usage=None,
                output_tokens=None,
                events=0,
                event_gaps_us=b"",
                outcome=Outcome.CLIENT_LIMIT,
                error=f"lost: {why}",
            )
            for started in self.started.values()
        ]
        self.started.clear()
        self.sizes.clear()
        self.requests_over += len(lost)
        return lost

    async def stop(self) -> None:
        """End the worker and wait until it is gone."""
        self.gone = True
        if self._transport is not None:
            await self._transport.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, transport: Transport) -> None:
        try:
            async for body in transport.frames():
                self._take(decode_report(body))
                if self._fault:
                    break
        finally:
            if not self.gone:
                self.gone = True
                await transport.close()
                self.alive.set()
                self._on_gone(self)

    def _take(self, report: Report) -> None:
        if report.seq <= self.seq:
            return  # it came twice
        if report.seq != self.seq + 1:
            self._fault = f"is given up: its report {self.seq + 1} was lost on the way"
            return
        self.seq = report.seq
        clock = self.host.clock
        if clock is not None:
            report = host_time.report_from(report, clock)
        self.latest = report
        for started in report.started:
            self.started[started.request_id] = started
            self.sizes[started.prompt_tokens] = self.sizes.get(started.prompt_tokens, 0) + 1
        for record in report.records:
            if (begun := self.started.pop(record.request_id, None)) is not None:
                left = self.sizes[begun.prompt_tokens] - 1
                if left:
                    self.sizes[begun.prompt_tokens] = left
                else:
                    del self.sizes[begun.prompt_tokens]
        self.requests_over += len(report.records)
        if report.peeked is not None:
            self.peeked = report.peeked
        self.alive.set()
        self._on_report(self, report)
