"""A front end's end of the link: requests up, snapshots and replies down. Runs in the front end's event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import msgspec

from tui.core.errors import BenchLost
from tui.core.frames import pack_frame, read_frame
from tui.core.tasks import end_task, reason_of
from tui.link.protocol import FAREWELL, MAX_FRAME_BYTES, Command, Downward, Hello, Reply, Request
from tui.metrics.snapshot import Snapshot

# A bench that hung up and lives on, as one does that is stopping, is not waited for longer than this.
_LAST_MOMENT_S = 1.0


def is_listening(socket_path: Path) -> bool:
    """Say whether a bench listens there; a socket that nobody listens on any more is removed."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_path))
        except ConnectionRefusedError:
            socket_path.unlink(missing_ok=True)
            return False
        except OSError:
            return False
    return True


async def _take_away(socket_path: Path) -> None:
    """Remove the socket of a bench that was killed. Its connections may end a moment before it stops listening."""
    try:
        async with asyncio.timeout(_LAST_MOMENT_S):
            reader, writer = await asyncio.open_unix_connection(str(socket_path))
            try:
                await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    is_listening(socket_path)


class BenchLink:
    """One connection to a bench. Snapshots that nobody fetched are replaced by later ones; nothing queues."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket_path: Path) -> None:
        self._reader = reader
        self._socket_path = socket_path
        self._writer = writer
        self._encoder = msgspec.msgpack.Encoder()
        self._latest: Snapshot | None = None
        self._fresh = asyncio.Event()
        self._gone = False
        self.why_gone = ""
        """Why there is no bench any more; empty while there is."""
        self.farewell: Reply | None = None
        """What the bench said of its own end; None of one that is here, or was killed."""
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._listening = asyncio.create_task(self._listen(), name="bench-link")

    @classmethod
    async def connect(
        cls, socket_path: Path, *, read_only: bool = False, refresh_hz: float = 2.0, passing: bool = False
    ) -> Self:
        """Open the line and say hello, of which `protocol.Hello` says what it means.

        Raises BenchLost when nobody answers there or speaks another version.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket_path))
        except OSError as error:
            raise BenchLost(f"{socket_path}: no bench answers there ({error.strerror})") from error
        link = cls(reader, writer, socket_path)
        try:
            reply = await link.request(Hello(read_only=read_only, refresh_hz=refresh_hz, passing=passing))
        except BaseException:  # called off, or lost: the bench must not take us for one who is there
            link._listening.cancel()
            writer.close()
            raise
        if not reply.ok:
            await link.close()
            raise BenchLost(reply.message)
        return link

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield snapshots as they come, the latest only; end when the bench is gone."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            if self._latest is not None:
                snapshot, self._latest = self._latest, None
                yield snapshot
            if self._gone:
                return

    async def request(self, command: Command) -> Reply:
        """Send a command and return its reply. Raises BenchLost when the bench goes away before it answered."""
        if self._gone:
            raise BenchLost(self.why_gone)
        self._number += 1
        number = self._number
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(pack_frame(self._encoder.encode(Request(number, command))))
            await self._writer.drain()
            return await future
        except ConnectionError as error:
            raise BenchLost("the bench is gone") from error
        finally:
            self._waiting.pop(number, None)

    @property
    def took_leave(self) -> bool:
        """Say whether the bench said itself that it ends, and that all is well."""
        return self.farewell is not None and self.farewell.ok

    async def last_word(self) -> Reply | None:
        """Wait for the bench's end, and return what it said of it; None for one that was killed."""
        await asyncio.wait({self._listening})
        return self.farewell

    async def close(self) -> None:
        """Hang up; what the bench does then is the bench's to know. A killed one's socket is taken away."""
        gone = self._gone
        await end_task(self._listening)
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass
        self._end()
        if gone:
            await _take_away(self._socket_path)

    async def _listen(self) -> None:
        decoder = msgspec.msgpack.Decoder(Downward)
        try:
            while (body := await read_frame(self._reader, MAX_FRAME_BYTES)) is not None:
                message = decoder.decode(body)
                if isinstance(message, Reply) and message.number == FAREWELL:
                    self.farewell, self.why_gone = message, message.message
                elif isinstance(message, Reply):
                    future = self._waiting.get(message.number)
                    if future is not None and not future.done():
                        future.set_result(message)
                else:
                    self._latest = message.snapshot
                    self._fresh.set()
        except (ValueError, msgspec.MsgspecError) as error:
            self._end(f"the bench speaks another version of the protocol: {error}")
        except Exception as error:
            self._end(reason_of(error))
        finally:
            self._end()

    def _end(self, why: str = "the bench is gone") -> None:
        self.why_gone = self.why_gone or why
        self._gone = True
        self._fresh.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BenchLost(self.why_gone))
