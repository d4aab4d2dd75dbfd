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
# What vLLM sends when it is asked for a usage in every event; one of so many bears several tokens, as under load.
_PACKED_EVERY, _PACKED = 12, 3
_START = b'data: {"id":"cmpl-%%016x","object":"text_completion","created":1795197172,"model":"echo","choices":['
_TOKEN = (
    _START + b'{"index":0,"text":"%b","logprobs":null,"finish_reason":%b,"stop_reason":null,"prompt_token_ids":null,'
    b'"token_ids":null}],%b}\n\n'
)
_END = _START + b'],%b,"system_fingerprint":"vllm-0.32.0-e5a00e20"}\n\n'
_USAGE = b'"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}'
_ID_BYTES = 16 - len("%016x")
"""By how much an id is longer than what stands for it."""


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body) + _ID_BYTES, body)


def _writes(tokens: int) -> list[bytes]:
    """Return what is written of one answer, event by event; each wants to be told the id, a number."""
    events: list[bytes] = []
    sent = 0
    while sent < tokens:
        more = min(tokens - sent, _PACKED if len(events) % _PACKED_EVERY == _PACKED_EVERY - 1 else 1)
        sent += more
        finish = b"null" if sent < tokens else b'"length"'
        usage = _USAGE % (PROMPT_TOKENS, PROMPT_TOKENS + sent, sent)
        events.append(_chunk(_TOKEN % (b" echo" * more, finish, usage)))
    events[-1] += _chunk(_END % usage) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    return events


class EchoServer:
    """Sends an event to every stream each `gap_s`, one write each, as a batching engine does."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._writes: list[bytes] = []
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
        self._writes = _writes(tokens)
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
        for stream in list(self._connections):
            stream.step(self._writes)
        next_s = max(due_s + self._gap_s, loop.time())
        self._rounds = loop.call_at(next_s, self._round, loop, next_s)


class _Stream(asyncio.Protocol):
    """One connection: takes a request, streams, takes the next."""

    def __init__(self, connections: set[_Stream]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._request = bytearray()
        self._sent: int | None = None
        """Events of the answer so far; None = nobody asks."""

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

    def step(self, writes: list[bytes]) -> None:
        """Send the next event, the last with the end behind it."""
        if self._sent is None or self._transport is None:
            return
        write = writes[self._sent]
        self._sent = self._sent + 1 if self._sent + 1 < len(writes) else None
        count = write.count(b"%")
        self._transport.write(write % ((id(self),) * count))

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
