"""One load worker as its pool sees it: a process started by exec, the socket to it, and what it has under way."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable

from tui.core.clock import now_ns
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.core.tasks import background
from tui.load.wire import Command, Report, StartedRequest, decode_report, pack, read_frame
from tui.metrics.record import RequestRecord

STOP_GRACE_S = 2.0
STDERR_LINES = 5


class WorkerHandle:
    """A worker process. `on_report` gets all it says; `on_gone` is called once, when it has ended for any reason."""

    def __init__(
        self, number: int, on_report: Callable[[WorkerHandle, Report], None], on_gone: Callable[[WorkerHandle], None]
    ) -> None:
        self.number = number
        self._on_report = on_report
        self._on_gone = on_gone
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.latest: Report | None = None
        self.started: dict[int, StartedRequest] = {}
        """Requests under way, by the worker's own numbers."""
        self.listed: set[int] = set()
        """The closed-loop users it was last told to have."""
        self.requests_over = 0
        self.busy_ticks = 0
        self.alive = asyncio.Event()
        """Set by its first report, or by its end."""
        self.gone = False
        self.peeked: list[RequestRecord] | None = None

    async def spawn(self) -> None:
        """Start the process. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            # -P: a folder that the operator happens to be in must not lend the worker its modules.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tui.load.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:  # a pool that is stopped while it grows cancels this
            ours.close()
            if self._process is not None:
                self._process.kill()
                await self._process.wait()
            raise
        finally:
            theirs.close()
        self._tasks = [
            background(self._read(reader), name=f"load-worker-{self.number}"),
            background(self._read_stderr(), name=f"load-worker-{self.number}-stderr"),
        ]

    @property
    def pid(self) -> int | None:
        """Return the process id."""
        return None if self._process is None else self._process.pid

    @property
    def in_flight(self) -> int:
        """Return the requests under way, as last told."""
        return 0 if self.latest is None else self.latest.in_flight

    def send(self, command: Command) -> None:
        """Tell the worker; nothing happens when it has ended."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(pack(command))

    def why_gone(self) -> str:
        """Return in words how the process ended."""
        code = None if self._process is None else self._process.returncode
        how = "was lost" if code is None else f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        said = safe_line(" / ".join(self._stderr), limit=500)
        return f"load worker {self.number} {how}{': ' if said else ''}{said}"

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
        self.requests_over += len(lost)
        return lost

    async def stop(self) -> None:
        """End the process and wait until it is gone: it ends by itself when its socket does."""
        await self._end_process()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (body := await read_frame(reader)) is not None:
                self._take(decode_report(body))
        finally:
            if not self.gone:
                await self._end()

    async def _end(self) -> None:
        await self._end_process()
        await asyncio.wait(self._tasks[1:], timeout=STOP_GRACE_S)  # its last words
        self.alive.set()
        self._on_gone(self)

    async def _end_process(self) -> None:
        self.gone = True
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(STOP_GRACE_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _read_stderr(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._stderr.append(line.decode("utf-8", "replace").strip())

    def _take(self, report: Report) -> None:
        self.latest = report
        for started in report.started:
            self.started[started.request_id] = started
        for record in report.records:
            self.started.pop(record.request_id, None)
        self.requests_over += len(report.records)
        if report.peeked is not None:
            self.peeked = report.peeked
        self.alive.set()
        self._on_report(self, report)
