"""The bench's end of the link: a unix socket in a private folder, for any number of front ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

import msgspec

from tui.core.frames import pack_frame, read_frame
from tui.core.tasks import background, report_fault
from tui.link.protocol import (
    FAREWELL,
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Command,
    Hello,
    Linger,
    Reply,
    Request,
    SnapshotFrame,
)
from tui.metrics.snapshot import Snapshot

MAX_REFRESH_HZ = 10.0
_CREDENTIALS = struct.Struct("3i")
# A front end that does not read (a stopped terminal) must cost nothing: past this much unsent, it gets no snapshot.
_UNSENT_LIMIT_BYTES = 256 * 1024

LINK_TASK = "link"
"""The task that shows front ends what is: without it there is nobody to tell anything to."""

FRONT_END: ContextVar[str] = ContextVar("front_end", default="a front end")
"""Who gives the command that is being carried out, in words."""

Execute = Callable[[Command], Awaitable[Reply]]
"""Carries a command out; the reply's number is filled in by the server."""


class _FrontEnd:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.read_only = False
        self.passing = False
        self.detached = False
        self.pushing: asyncio.Task[None] | None = None

    def send(self, body: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(pack_frame(body))


class LinkServer:
    """Serves snapshots and takes commands until closed.

    `on_empty(detached)` is called when the last front end has left that did not only pass by; `detached` says whether
    the last who might steer said so (Linger), or who only looked on after that one.
    """

    def __init__(
        self,
        path: Path,
        *,
        snapshot: Callable[[], Snapshot],
        execute: Execute,
        on_empty: Callable[[bool], None],
    ) -> None:
        self._path = path
        self._snapshot = snapshot
        self._execute = execute
        self._on_empty = on_empty
        self._server: asyncio.Server | None = None
        self._front_ends: set[_FrontEnd] = set()
        self._detached = False
        self.ever_busy = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._encoder = msgspec.msgpack.Encoder()

    @property
    def busy(self) -> bool:
        """Say whether a front end is here now that does not only pass by."""
        return any(not front_end.passing for front_end in self._front_ends)

    async def open(self) -> None:
        """Make the socket (mode 0600). The folder is private, so no moment exists in which others could connect."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._welcome, path=str(self._path))
        self._path.chmod(0o600)

    async def close(self, farewell: Reply) -> None:
        """Send every front end the last snapshot, and `farewell`, which says why and whether it is an orderly end;
        hang up, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for front_end in list(self._front_ends):
            with contextlib.suppress(Exception):  # it may be what ended the session: that has been told
                front_end.send(self._frame())
            front_end.send(self._encoder.encode(msgspec.structs.replace(farewell, number=FAREWELL)))
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await front_end.writer.drain()
            front_end.writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        front_end = _FrontEnd(writer)
        try:
            await self._serve(front_end, reader)
        except asyncio.CancelledError:
            pass
        except Exception as error:
            report_fault(asyncio.get_running_loop(), LINK_TASK, error)
        finally:
            self._tasks.discard(task)
            writer.close()
            self._part(front_end)

    def _part(self, front_end: _FrontEnd) -> None:
        if front_end.pushing is None:
            return  # it never said hello: somebody who only looked whether a bench is here
        front_end.pushing.cancel()
        self._front_ends.discard(front_end)
        if front_end.passing:
            return
        self._detached = front_end.detached or (front_end.read_only and self._detached)
        if not self.busy and self._server is not None and self._server.is_serving():
            self._on_empty(self._detached)

    async def _serve(self, front_end: _FrontEnd, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.msgpack.Decoder(Request)
        FRONT_END.set(_who(front_end.writer))
        while (body := await read_frame(reader, MAX_FRAME_BYTES)) is not None:
            try:
                request = decoder.decode(body)
            except (ValueError, msgspec.MsgspecError):
                return  # it speaks something else: hang up
            reply = await self._reply(front_end, request.command)
            front_end.send(self._encoder.encode(msgspec.structs.replace(reply, number=request.number)))
            with contextlib.suppress(ConnectionError):
                await front_end.writer.drain()

    async def _reply(self, front_end: _FrontEnd, command: Command) -> Reply:
        if isinstance(command, Hello):
            return self._greet(front_end, command)
        if front_end.pushing is None:
            return Reply(0, False, "say hello first")
        if isinstance(command, Linger):
            front_end.detached = True
            return Reply(0, True)
        if front_end.read_only:
            return Reply(0, False, "this view is read-only")
        return await self._execute(command)

    def _greet(self, front_end: _FrontEnd, hello: Hello) -> Reply:
        if hello.version != PROTOCOL_VERSION:
            return Reply(
                0,
                False,
                f"the bench speaks version {PROTOCOL_VERSION} of the protocol, this vramp speaks {hello.version}",
            )
        if front_end.pushing is None:
            front_end.read_only, front_end.passing = hello.read_only, hello.passing
            self._front_ends.add(front_end)
            self.ever_busy = self.ever_busy or not hello.passing
            period_s = 1.0 / min(max(hello.refresh_hz, 0.1), MAX_REFRESH_HZ)
            front_end.pushing = background(self._push(front_end, period_s), name=LINK_TASK)
        return Reply(0, True)

    async def _push(self, front_end: _FrontEnd, period_s: float) -> None:
        transport = front_end.writer.transport
        while not front_end.writer.is_closing():
            if transport.get_write_buffer_size() < _UNSENT_LIMIT_BYTES:
                front_end.send(self._frame())
            await asyncio.sleep(period_s)

    def _frame(self) -> bytes:
        return self._encoder.encode(SnapshotFrame(self._snapshot()))


def _who(writer: asyncio.StreamWriter) -> str:
    """Return which process is at the other end (SO_PEERCRED, unix(7))."""
    try:
        found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (OSError, AttributeError):
        return FRONT_END.get()
    return f"the front end of process {_CREDENTIALS.unpack(found)[0]}"
