"""What stands between clients and a server: lets so many requests through at once, and may hold answers back.

A thread of its own with a loop of its own. Figures (`/metrics` and other GETs) pass by at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def gateway(server_url: str, *, lets_through: int = 1_000, buffers: bool = False) -> Iterator[str]:
    """Stand before a server; yield the address to ask instead of its own."""
    loop = asyncio.new_event_loop()
    made = _Gateway(server_url, lets_through, buffers)
    thread = threading.Thread(target=loop.run_forever, name="gateway")
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(made.listen(), loop).result(10)
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(made.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Gateway:
    def __init__(self, server_url: str, lets_through: int, buffers: bool) -> None:
        address = urlsplit(server_url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._places = asyncio.Semaphore(lets_through)
        self._buffers = buffers
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                if head.startswith(b"GET"):
                    await self._pass(head + body, writer, whole=True)
                else:
                    async with self._places:
                        await self._pass(head + body, writer, whole=self._buffers)
        writer.close()
        self._tasks.discard(task)

    async def _pass(self, request: bytes, writer: asyncio.StreamWriter, *, whole: bool) -> None:
        """Hand a request on, and its answer back: as it comes, or once it is whole."""
        from_server, to_server = await asyncio.open_connection(self._host, self._port)
        try:
            to_server.write(request)
            head = await from_server.readuntil(b"\r\n\r\n")
            kept = [head]
            chunked = b"chunked" in head.lower()
            left = _length(head)
            while chunked or left:
                if chunked:
                    size = await from_server.readuntil(b"\r\n")
                    piece = size + await from_server.readexactly(int(size, 16) + 2)
                    chunked = int(size, 16) > 0
                else:
                    piece, left = await from_server.readexactly(left), 0
                kept.append(piece)
                if not whole:
                    writer.write(b"".join(kept))
                    kept = []
            writer.write(b"".join(kept))
            await writer.drain()
        finally:
            to_server.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
