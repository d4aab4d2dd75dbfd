"""What runs on another host: `python -m tui.hosts.agent`. It starts load workers there and passes on what they say.

It speaks `wire` over its standard input and output. When its input ends, or nothing comes for `DEAF_S`, it ends, and
all workers with it; when it is killed, they end because their sockets do. So nothing is left on a host, whatever
became of the bench or the way to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tui import __version__
from tui.core.clock import now_ns
from tui.core.frames import read_frame
from tui.core.safe_text import safe_line
from tui.core.tasks import background
from tui.gpu.node import SAMPLER
from tui.hosts.wire import (
    DEAF_S,
    MARK,
    MARKED,
    MAX_BYTES,
    MOST_WORKERS,
    Bye,
    EndWorker,
    FromAgent,
    Hello,
    Ping,
    Pong,
    StartSampler,
    StartWorker,
    ToAgent,
    Welcome,
    WorkerEnded,
    decode_to_agent,
    pack,
    pack_message,
    tongue,
    unpack,
)
from tui.load.local_host import WORKER, start_worker
from tui.load.transport import Transport

# A bench that does not take what is said is gone, or out of reach.
MOST_UNSENT_BYTES = 256 * 1024 * 1024


class Agent:
    """The workers of one host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._workers: dict[int, Transport | None] = {}
        """None = it is starting; what is for it waits in `_early`."""
        self._early: dict[int, list[bytes]] = {}
        self._passing: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Do what the bench says until it says no more; then end all workers."""
        try:
            while (body := await self._next()) is not None:
                _, worker, said = unpack(body)
                if worker:
                    self._hand_on(worker, said)
                elif isinstance(message := decode_to_agent(said), Bye):
                    return
                else:
                    self._obey(message)
        finally:
            await self._end_all()

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(DEAF_S):
                return await read_frame(self._reader, MAX_BYTES)
        except TimeoutError:
            return None

    def _obey(self, message: ToAgent) -> None:
        match message:
            case Hello():
                self._say(Welcome(__version__, tongue(), max(1, os.cpu_count() or 1), machine()))
            case Ping(sent_ns=sent_ns):
                self._say(Pong(sent_ns, now_ns()))
            case StartWorker(number=number) | StartSampler(number=number):
                if not 0 < number < 1 << 16 or number in self._passing or len(self._passing) >= MOST_WORKERS:
                    self._say(
                        WorkerEnded(number, "was not started: it has no number of its own, or there are too many")
                    )
                    return
                self._early[number] = []
                self._passing[number] = background(
                    self._pass_on(number, WORKER if isinstance(message, StartWorker) else SAMPLER),
                    name=f"worker-{number}",
                )
            case EndWorker(number=number):
                if number in self._passing:
                    self._passing[number].cancel()

    def _hand_on(self, number: int, body: bytes) -> None:
        transport = self._workers.get(number)
        if transport is not None:
            transport.send(body)
        elif number in self._early:
            self._early[number].append(body)

    async def _pass_on(self, number: int, program: Sequence[str]) -> None:
        """Have a worker, from its start to its end."""
        why = "was told to end"
        transport: Transport | None = None
        try:
            transport = self._workers[number] = await start_worker(number, program)
            for body in self._early.pop(number):
                transport.send(body)
            async for body in transport.frames():
                self._write(pack(0, number, body))
            why = transport.why_gone()
        except OSError as error:
            why = f"could not be started: {error.strerror or error}"
        finally:
            self._early.pop(number, None)
            self._workers.pop(number, None)
            if transport is not None:
                await transport.close()
            self._passing.pop(number, None)
            self._say(WorkerEnded(number, safe_line(why, limit=600)))

    def _say(self, message: FromAgent) -> None:
        self._write(pack_message(0, message))

    def _write(self, frame: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(frame)
        if self._writer.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self._writer.transport.abort()
            self._reader.feed_eof()

    async def _end_all(self) -> None:
        passing = list(self._passing.values())
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        with contextlib.suppress(OSError):
            self._writer.close()


def machine() -> str:
    """Return what is the same for all processes that reach each other on the loopback address, and for no others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/net').readlink()}"
    except OSError:
        return f"{os.uname().nodename} {os.uname().sysname}"


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
    agent = Agent(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    serving = background(agent.serve(), name="agent")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> None:
    """Serve one bench."""
    if MARKED in sys.argv[1:]:
        sys.stdout.buffer.write(MARK)
        sys.stdout.buffer.flush()
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
