"""The client's own counterpart: a server that streams events at a given pace, for the client to measure itself.

It reads no JSON and answers everybody alike; it is reached by this machine only. asyncio, by callbacks.
"""

from __future__ import annotations

import asyncio
from typing import cast

from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.wire import PromptSource

MAX_REQUEST_BYTES = 1024 * 1024
PROMPT_TOKENS = 16
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
)
_TOKEN = (
    b'data: {"id":"cmpl-baefbf4a7ddaaafa","object":"text_completion","created":1795197172,"model":"echo","choices":'
    b'[{"index":0,"text":" echo","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,'
    b'"token_ids":null}]}\n\n'
)


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class EchoServer:
    """Sends one token to every stream each `gap_s`, one write each, as a batching engine does."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._tokens = 0
        self._end = b""
        self._server: asyncio.Server | None = None
        self._rounds: asyncio.TimerHandle | None = None
        self._connections: set[_Stream] = set()
        self.prompts = PromptSource(TOKEN_IDS, pack_token_ids(range(200, 1200)))

    async def start(self) -> str:
        """Listen on a port that is free; return the base URL."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Stream(self._connections), "127.0.0.1", 0, backlog=1024)
        self._round(loop, loop.time())
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close everything."""
        if self._rounds is not None:
            self._rounds.cancel()
        for stream in list(self._connections):
            stream.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def shape(self, tokens: int) -> RequestShape:
        """Return the shape of requests for so many tokens; from now on every request gets as many."""
        usage = b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (
            PROMPT_TOKENS,
            PROMPT_TOKENS + tokens,
            tokens,
        )
        end = _chunk(b'data: {"id":"cmpl-0","choices":[],"usage":%b}\n\n' % usage) + _chunk(b"data: [DONE]\n\n")
        self._tokens, self._end = tokens, end + b"0\r\n\r\n"
        return RequestShape(
            path="/v1/completions",
            headers=[("Content-Type", "application/json"), ("Accept", "text/event-stream")],
            body_head=b'{"model":"echo","stream":true,"prompt":',
            body_tail=b"}",
            prompt_kind=TOKEN_IDS,
            dialect=openai_stream.NAME,
            prompt_tokens=PROMPT_TOKENS,
            prompt_tokens_overhead=0,
            output_tokens=tokens,
        )

    def _round(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        token = _chunk(_TOKEN)
        for stream in list(self._connections):
            stream.step(token, self._tokens, self._end)
        next_s = max(due_s + self._gap_s, loop.time())
        self._rounds = loop.call_at(next_s, self._round, loop, next_s)


class _Stream(asyncio.Protocol):
    """One connection: takes a request, streams, takes the next."""

    def __init__(self, connections: set[_Stream]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._request = bytearray()
        self._sent: int | None = None
        """Tokens of the answer so far; None = nobody asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it that somebody connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take it that it has ended."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; with its last byte the stream begins."""
        self._request += data
        head, found, body = self._request.partition(b"\r\n\r\n")
        if found:
            length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
            if len(body) >= (int(length) if length.isdigit() else 0):
                self._request.clear()
                self._sent = 0
                if self._transport is not None:
                    self._transport.write(_HEAD)
        if len(self._request) > MAX_REQUEST_BYTES:
            self.close()

    def step(self, token: bytes, tokens: int, end: bytes) -> None:
        """Send the next token, and the end behind the last one."""
        if self._sent is None or self._transport is None:
            return
        self._sent += 1
        if self._sent < tokens:
            self._transport.write(token)
        else:
            self._sent = None
            self._transport.write(token + end)

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
