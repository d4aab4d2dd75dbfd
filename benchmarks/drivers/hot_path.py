"""The way of one token through a load worker, from the read to the tally, without sockets and without a kernel.

    python drivers/hot_path.py EVENTS

Run under callgrind by instructions.py; alone it prints the time per event.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time

from tui.core.address import address_of
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load.connection import Address, TcpConnection
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.requester import Requester
from tui.load.wire import Begin, Configure, LoadTarget, PromptSource
from tui.load.worker_context import WorkerContext

TOKENS = 100
TOKEN = (
    b'data: {"id":"cmpl-baefbf4a7ddaaafa","object":"text_completion","created":1795197172,"model":"tiny","choices":'
    b'[{"index":0,"text":" quaquaber","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,'
    b'"token_ids":null}]}\n\n'
)
USAGE = b'data: {"id":"0","choices":[],"usage":{"prompt_tokens":16,"total_tokens":116,"completion_tokens":100}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
SHAPE = RequestShape(
    path="/v1/completions",
    headers=[("Content-Type", "application/json")],
    body_head=b'{"max_tokens":100,"prompt":',
    body_tail=b"}",
    prompt_kind=TOKEN_IDS,
    dialect=openai_stream.NAME,
    prompt_tokens=16,
    prompt_tokens_overhead=0,
    output_tokens=TOKENS,
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Fed(TcpConnection):
    """A connection that reads what it is fed."""

    __slots__ = ("data",)

    def __init__(self, loop: asyncio.AbstractEventLoop, context: WorkerContext, receiver: Requester) -> None:
        addresses: list[Address] = []
        super().__init__(loop, context.readers, addresses, OSError("not to be opened"), receiver, context.clock)
        self.data = b""
        self.is_open = True
        self._recvmsg = self.read

    def read(self, most: int, ancillary_bytes: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        seconds, ns = divmod(time.time_ns() - 5_000, 1_000_000_000)
        return self.data, [(1, 35, struct.pack("@ll", seconds, ns))], 0, None

    def send(self, buffers: list[bytes]) -> None:
        pass


def main(events: int) -> None:
    loop = asyncio.new_event_loop()
    context = WorkerContext(loop, Begin(LoadTarget(address_of("http://127.0.0.1:1")), 1))
    context.configure(Configure(SHAPE, PromptSource(TOKEN_IDS, pack_token_ids(range(200, 1200))), 1))
    requester = Requester(context, 1, lambda record, retry_after_s: None)
    connection = Fed(loop, context, requester)
    requester._connection = connection
    token, end = chunk(TOKEN), chunk(USAGE) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    begun = time.perf_counter()
    for number in range(events):
        place = number % TOKENS
        if place == 0:
            requester.ask(0)
            connection.data = HEAD
            connection._on_readable()
        connection.data = token
        connection._on_readable()
        if place == TOKENS - 1:
            connection.data = end
            connection._on_readable()
            context.clock.take_lags()
            record = context.records.pop()
            assert record.events == TOKENS and record.output_tokens == TOKENS, record
    took_s = time.perf_counter() - begun
    context.readers.close()
    context.clock.close()
    loop.close()
    print(f"{took_s / max(1, events) * 1e6:.2f} us/event")


if __name__ == "__main__":
    main(int(sys.argv[1]))
