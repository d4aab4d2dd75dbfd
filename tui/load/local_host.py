"""The machine that the bench runs on as a host of load workers: each is a process started by exec, over a socket pair.

By exec, for multiprocessing would import the bench again in every worker.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence

from tui.core.frames import pack_frame
from tui.core.safe_text import safe_line
from tui.core.secrets import without_secrets
from tui.core.tasks import background
from tui.load.wire import read_frame

STOP_GRACE_S = 2.0
WORKER = ("-m", "tui.load.worker")
STDERR_LINES = 5


class LocalHost:
    """This machine."""

    def __init__(self, most_workers: int | None = None) -> None:
        """Take how many workers it may have at most; None = one per core."""
        self.name = ""
        self.clock = None
        self.trouble = ""
        self.cores = most_workers or max(1, os.cpu_count() or 1)

    async def open_worker(self, number: int) -> LocalTransport:
        """Start a worker process. Raises OSError."""
        return await start_worker(number)


async def start_worker(number: int, program: Sequence[str] = WORKER) -> LocalTransport:
    """Start a worker process on this machine, without the keys of its environment: what it needs it is told.

    `program`: what its Python runs. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    process: asyncio.subprocess.Process | None = None
    try:
        # -P: a folder that the operator happens to be in must not lend the worker its modules.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *program, str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=without_secrets(os.environ),
        )
        reader, writer = await asyncio.open_connection(sock=ours)
    except BaseException:  # a pool that is stopped while it grows cancels this
        ours.close()
        if process is not None:
            process.kill()
            await process.wait()
        raise
    finally:
        theirs.close()
    return LocalTransport(number, process, reader, writer)


class LocalTransport:
    """A worker process of this machine and the socket to it."""

    def __init__(
        self,
        number: int,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._said: deque[str] = deque(maxlen=STDERR_LINES)
        self._listening = background(self._listen(), name=f"load-worker-{number}-stderr")

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def send(self, body: bytes) -> None:
        """Tell the worker; nothing happens when it has ended."""
        if not self._writer.is_closing():
            self._writer.write(pack_frame(body))

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield what the worker tells; returns when its process is gone and has said its last words."""
        while (body := await read_frame(self._reader)) is not None:
            yield body
        await self._end_process()
        await asyncio.wait({self._listening}, timeout=STOP_GRACE_S)

    async def close(self) -> None:
        """End the process and wait until it is gone: it ends by itself when its socket does."""
        await self._end_process()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    def why_gone(self) -> str:
        """Return how the process ended, and what it said last."""
        code = self._process.returncode
        how = "was lost" if code is None else f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        said = safe_line(" / ".join(self._said), limit=500)
        return f"{how}{': ' if said else ''}{said}"

    async def _end_process(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._said.append(line.decode("utf-8", "replace").strip())
