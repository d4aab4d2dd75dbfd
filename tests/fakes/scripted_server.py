"""A server that does exactly as it is told to each connection: the bad ones among them."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: object) -> bytes:
    return chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


TOKEN = event({"choices": [{"index": 0, "text": "a", "finish_reason": None}]})
DONE = chunk(b"data: [DONE]\n\n")
END = b"0\r\n\r\n"


def usage(tokens: int) -> bytes:
    return event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})


GOOD = HEAD + 3 * TOKEN + usage(3) + DONE + END


@dataclass(frozen=True)
class ReadRequest:
    """Wait for a whole request."""


@dataclass(frozen=True)
class Close:
    """End the connection properly."""


@dataclass(frozen=True)
class Reset:
    """End it with a RST."""


@dataclass(frozen=True)
class Stall:
    """Say nothing more and keep it open until the client ends it."""


@dataclass(frozen=True)
class Drip:
    """Send byte by byte."""

    data: bytes
    every_s: float


@dataclass(frozen=True)
class Repeat:
    """Send the same for ever."""

    data: bytes


Step = bytes | ReadRequest | Close | Reset | Stall | Drip | Repeat
READ, CLOSE, RESET, STALL = ReadRequest(), Close(), Reset(), Stall()


class ScriptedServer:
    """Plays `scripts[n]` to its n-th connection, the last script to all further ones."""

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.scripts = scripts
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        self.open += 1
        try:
            for step in script:
                await self._play(step, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            self.open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _play(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case ReadRequest():
                head = await reader.readuntil(b"\r\n\r\n")
                _, has_body, length = head.lower().partition(b"content-length: ")
                self.requests.append(head + await reader.readexactly(int(length.split(b"\r\n")[0]) if has_body else 0))
            case Close():
                writer.close()
                await writer.wait_closed()
            case Reset():
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            case Stall():
                await reader.read()
            case Drip(data=data, every_s=every_s):
                for at in range(len(data)):
                    writer.write(data[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(every_s)
            case Repeat(data=data):
                while True:
                    writer.write(data)
                    await writer.drain()


@asynccontextmanager
async def scripted_server(
    *scripts: Sequence[Step], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, ScriptedServer]]:
    """Run a server within the block; yields its base URL too."""
    scripted = ScriptedServer(scripts)
    playing: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.ensure_future(scripted.serve(reader, writer))
        playing.add(task)
        task.add_done_callback(playing.discard)

    server = await asyncio.start_server(on_connection, host, 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{name}:{scripted.port}", scripted
    finally:
        # asyncio loses a connection that it is accepting when its server closes: accept no more, then let that finish.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        await asyncio.sleep(0.01)
        server.close()
        for task in list(playing):
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        for writer in writers:  # a task that was ended before its first step closed nothing
            writer.transport.abort()
        await asyncio.sleep(0.01)  # for the transports to be closed by the loop
