"""A small completions server that streams vLLM's bytes at a given pace and writes down what happened to it.

Only for tests of the load: no model, no queue; asyncio, one process (the test's own).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass
class Seen:
    """One request as the server saw it."""

    at_ns: int
    connection: int
    headers: dict[str, str]
    body: dict[str, Any]
    ended_ns: int | None = None
    complete: bool = False


@dataclass
class PacedServer:
    """Streams `max_tokens` tokens, an event each `gap_s`."""

    gap_s: float = 0.0
    pack: int | None = None
    """Tokens per event; None = one, and three in each twelfth, as vLLM does under load."""
    continuous_usage: bool = True
    requests: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    in_flight_max: int = 0
    connections: int = 0
    base_url: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._on_connection, host, 0, backlog=2048)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            # One that is being accepted now must be begun before it can be ended.
            await asyncio.sleep(0.01)
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await asyncio.sleep(0.01)  # for the transports to be closed by the loop

    async def until(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < count:
            self.changed.clear()
            await self.changed.wait()

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) is not None:
                lines = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                await self._answer(Seen(time.monotonic_ns(), number, headers, body), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.requests.append(seen)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        self.changed.set()
        try:
            await self._stream(seen, writer)
            seen.complete = True
        finally:
            self.in_flight -= 1
            seen.ended_ns = time.monotonic_ns()

    async def _stream(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        asked = seen.body["max_tokens"]
        prompt = seen.body["prompt"]
        prompt_tokens = len(prompt if isinstance(prompt, list) else prompt.split())
        start = {"id": f"cmpl-{len(self.requests):016x}", "object": "text_completion", "created": 1795197172}
        start["model"] = "tiny"

        def usage(tokens: int) -> dict[str, dict[str, int]]:
            total = prompt_tokens + tokens
            return {"usage": {"prompt_tokens": prompt_tokens, "total_tokens": total, "completion_tokens": tokens}}

        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        sent = 0
        for number in count(1):
            if sent == asked:
                break
            await asyncio.sleep(self.gap_s)
            more = min(self.pack or (1 if number % 12 else 3), asked - sent)
            sent += more
            choice = {"index": 0, "text": " token" * more, "logprobs": None, "finish_reason": None, "stop_reason": None}
            choice |= {"prompt_token_ids": None, "token_ids": None}
            if sent == asked:
                choice["finish_reason"] = "length"
            if writer.is_closing():
                raise ConnectionResetError
            _write_event(writer, _json(start | {"choices": [choice]} | (usage(sent) if self.continuous_usage else {})))
        fingerprint = {"system_fingerprint": "vllm-0.32.0-e5a00e20"}
        _write_event(writer, _json(start | {"choices": []} | usage(asked) | fingerprint))
        # The request is over for the server before the client can know, so that concurrency is never counted double.
        self.in_flight -= 1
        try:
            _write_event(writer, "[DONE]")
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            self.in_flight += 1


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _write_event(writer: asyncio.StreamWriter, data: str) -> None:
    event = f"data: {data}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(event), event))


@asynccontextmanager
async def paced_server(host: str = "127.0.0.1", **settings: Any) -> AsyncIterator[PacedServer]:
    """Run a server within the block."""
    server = PacedServer(**settings)
    await server.start(host)
    try:
        yield server
    finally:
        await server.stop()
