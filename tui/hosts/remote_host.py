"""Another host as the bench sees it: the way to its agent, its clock, and its workers. asyncio, runs in the bench."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from tui import __version__
from tui.core.clock import now_ns
from tui.core.tasks import background, end_task
from tui.hosts.line import Line
from tui.hosts.wire import (
    PING_S,
    SAMPLER_NUMBER,
    Bye,
    EndWorker,
    Gone,
    Hello,
    Ping,
    Pong,
    StartSampler,
    StartWorker,
    Welcome,
    WorkerEnded,
    decode_from_agent,
    tongue,
)
from tui.load.host_clock import HostClock

# After so many pings without any word from it a host is lost. Pings are counted, not seconds: a bench that was itself
# held up sends none meanwhile.
MOST_UNANSWERED = 10
FIRST_PINGS = 8
"""Before the first worker starts: the shortest of a few round trips tells the offset well."""
CONNECT_TIMEOUT_S = 40.0
END_TIMEOUT_S = 3.0


class RemoteHost:
    """One host. The line to it is opened with its first worker, and again when a worker is wanted after it was lost."""

    def __init__(
        self,
        name: str,
        open_line: Callable[[], Awaitable[Line]],
        *,
        place: int = 0,
        shared: bool,
        connect_timeout_s: float | None = None,
    ) -> None:
        """`open_line` raises OSError in words; `place`: which host of its line; `shared`: others are on it, too."""
        self.name = name
        self._connect_timeout_s = connect_timeout_s or CONNECT_TIMEOUT_S
        self.cores = 1
        self.clock = HostClock()
        self.machine = ""
        """Of its agent's welcome."""
        self._open_line = open_line
        self._place = place
        self._shared = shared
        self._line: Line | None = None
        self._workers: dict[int, RemoteTransport] = {}
        self._welcome: asyncio.Future[Welcome] | None = None
        self._unanswered = 0
        self._pings: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._pong = asyncio.Event()
        self._why_lost = ""
        self._ending: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Have a line to it. Raises OSError that says why there is none."""
        async with self._opening:
            if self._line is None:
                try:
                    async with asyncio.timeout(self._connect_timeout_s):
                        await self._connect()
                except TimeoutError:
                    said = f", but: {self._line.greeting}" if self._line is not None and self._line.greeting else ""
                    await self.close()
                    raise OSError(f"{self.name} did not answer within {self._connect_timeout_s:g} s{said}") from None
                except BaseException:
                    await self.close()
                    raise

    @property
    def trouble(self) -> str:
        """Return why there is no line to it, in a sentence; empty where there is one."""
        return "" if self._line is not None else f"{self.name} {self._why_lost or 'was not reached yet'}"

    async def open_worker(self, number: int) -> RemoteTransport:
        """Start a worker there. Raises OSError."""
        await self.connect()
        assert self._line is not None
        transport = self._workers[number] = RemoteTransport(self, number)
        self._line.say(self._place, StartWorker(number))
        return transport

    async def open_sampler(self) -> RemoteTransport:
        """Have its GPUs read there, a frame of `gpu.wire` each way. Raises OSError."""
        await self.connect()
        assert self._line is not None
        transport = self._workers[SAMPLER_NUMBER] = RemoteTransport(self, SAMPLER_NUMBER)
        self._line.say(self._place, StartSampler(SAMPLER_NUMBER))
        return transport

    async def close(self) -> None:
        """Leave nothing there, as far as it can be reached; its agent ends by itself else."""
        self._lose("was left")
        for task in list(self._ending):
            await asyncio.wait({task})

    # What its line tells.

    def hear(self, worker: int, body: bytes) -> None:
        """Take a frame."""
        self._unanswered = 0
        if worker:
            transport = self._workers.get(worker)
            if transport is not None:
                transport.take(body)
            return
        match decode_from_agent(body):
            case Pong(sent_ns=sent_ns, host_ns=host_ns):
                self.clock.take(sent_ns, host_ns, now_ns())
                self._pong.set()
            case Welcome() as welcome:
                if self._welcome is not None and not self._welcome.done():
                    self._welcome.set_result(welcome)
            case WorkerEnded(number=number, why=why):
                if number in self._workers:
                    self._workers.pop(number).end(why)
            case Gone(why=why):
                self._lose(why)

    def hear_no_more(self, why: str) -> None:
        """Take it that the line has ended."""
        self._lose(why)

    # What its workers ask.

    def send(self, worker: int, body: bytes) -> None:
        """Send a worker's frame."""
        if self._line is not None:
            self._line.send(self._place, worker, body)

    def end_worker(self, number: int) -> None:
        """End a worker."""
        if self._line is not None:
            self._line.say(self._place, EndWorker(number))

    async def _connect(self) -> None:
        self._line = line = await self._open_line()
        self._welcome = asyncio.get_running_loop().create_future()
        self._unanswered = 0
        self.clock = HostClock()  # that of an agent that was started again may be another machine's
        line.listen_at(self._place, self)
        line.say(self._place, Hello())
        welcome = await self._welcome
        if welcome.tongue != tongue():
            raise OSError(
                f"{self.name} has vramp {welcome.version}, this machine {__version__}, and their load workers do not "
                "understand each other: install the same version there"
            )
        self.cores, self.machine = welcome.cores, welcome.machine
        for _ in range(FIRST_PINGS):
            self._pong.clear()
            line.say(self._place, Ping(now_ns()))
            await self._pong.wait()
            if self._line is not line:
                raise OSError(f"{self.name} {self._why_lost}")
        self._pings = background(self._ping(line), name=f"ping-{self.name}")

    async def _ping(self, line: Line) -> None:
        while self._unanswered < MOST_UNANSWERED:
            self._unanswered += 1
            line.say(self._place, Ping(now_ns()))
            await asyncio.sleep(PING_S)
        self._lose(f"said nothing for {MOST_UNANSWERED * PING_S:g} s")

    def _lose(self, why: str) -> None:
        line, self._line = self._line, None
        self._why_lost = why
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(OSError(f"{self.name} {why}"))
            self._welcome.exception()  # whoever waits is told; there may be nobody any more
        self._pong.set()
        workers, self._workers = self._workers, {}
        for transport in workers.values():
            transport.end(f"was lost: {self.name} {why}")
        if line is not None:
            ending = background(self._let_go(line), name=f"leave-{self.name}")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _let_go(self, line: Line) -> None:
        if self._pings is not None:
            await end_task(self._pings)
            self._pings = None
        line.forget(self._place)
        if self._shared:
            line.say(self._place, Bye())
        else:
            await line.close()


class RemoteTransport:
    """One worker of another host."""

    pid = None

    def __init__(self, host: RemoteHost, number: int) -> None:
        self._host = host
        self._number = number
        self._come: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._why = ""

    def send(self, body: bytes) -> None:
        """Tell the worker; nothing happens when it is gone."""
        if not self._ended.is_set():
            self._host.send(self._number, body)

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield what the worker tells; returns when it is gone, or out of reach."""
        while (body := await self._come.get()) is not None:
            yield body

    async def close(self) -> None:
        """End the worker and wait until the agent says so, or is out of reach."""
        if not self._ended.is_set():
            self._host.end_worker(self._number)
            try:
                async with asyncio.timeout(END_TIMEOUT_S):
                    await self._ended.wait()
            except TimeoutError:
                self.end("did not end when it was told to")

    def why_gone(self) -> str:
        """Return why."""
        return self._why or "was lost"

    # What its host tells.

    def take(self, body: bytes) -> None:
        """Take a frame of the worker's."""
        self._come.put_nowait(body)

    def end(self, why: str) -> None:
        """Take it that the worker is gone."""
        if not self._ended.is_set():
            self._why = why
            self._ended.set()
            self._come.put_nowait(None)
