"""The way of one token through a load worker, from the read to the tally, without sockets and without a kernel.

    python drivers/hot_path.py EVENTS

Run under callgrind by instructions.py; alone it prints the time per event.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from itertools import cycle

from tui.core.address import address_of
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load.connection import Address, TcpConnection
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.requester import Requester
from tui.load.wire import Begin, Configure, LoadTarget, PromptSource
from tui.load.worker_context import WorkerContext

TOKENS = 100
# Each twelfth event bears so many tokens, as paced_server.c has it.
PACKED_EVERY, PACKED = 12, 3
PROMPT_TOKENS = 16
STREAMS = 16
READS_PER_ROUND = 16
# All stamps of an answer lie in the half second before it is read, so that none is doubtful.
FIRST_STAMP_AGO_NS, GAP_NS, JITTER_NS = 450_000_000, 4_000_000, 200_000
ID_AND_MORE = b'"id":"cmpl-%016x","object":"text_completion","created":1795197172,"model":"tiny"'
TOKEN = (
    b'data: {%b,"choices":[{"index":0,"text":"%b","logprobs":null,"finish_reason":%b,"stop_reason":null,'
    b'"prompt_token_ids":null,"token_ids":null}],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}}\n\n'
)
USAGE = (
    b'data: {%b,"choices":[],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d},'
    b'"system_fingerprint":"vllm-0.32.0-e5a00e20"}\n\n'
)
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


def stream(serial: int) -> list[bytes]:
    """Return what is read of one answer, read by read: its events, and its end."""
    name = ID_AND_MORE % serial
    sent = 0
    reads: list[bytes] = []
    while sent < TOKENS:
        more = min(TOKENS - sent, PACKED if len(reads) % PACKED_EVERY == PACKED_EVERY - 1 else 1)
        sent += more
        finish = b"null" if sent < TOKENS else b'"length"'
        counts = PROMPT_TOKENS, PROMPT_TOKENS + sent, sent
        reads.append(chunk(TOKEN % (name, b" quaquaber" * more, finish, *counts)))
    end = chunk(USAGE % (name, PROMPT_TOKENS, PROMPT_TOKENS + TOKENS, TOKENS))
    return [*reads, end + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"]


class Fed(TcpConnection):
    """A connection that reads what it is fed."""

    __slots__ = ("data", "stamp_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: WorkerContext, receiver: Requester) -> None:
        addresses: list[Address] = []
        super().__init__(loop, context.readers, addresses, OSError("not to be opened"), receiver, context.clock)
        self.data = b""
        self.stamp_ns = 0
        self.is_open = True
        self._recvmsg = self.read

    def read(
        self, most: int, ancillary_bytes: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        self.stamp_ns += GAP_NS
        seconds, ns = divmod(self.stamp_ns + len(self.data) % 3 * JITTER_NS, 1_000_000_000)
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
    streams = [stream(serial) for serial in range(1, STREAMS + 1)]
    begun = time.perf_counter()
    read = 0
    for sent in cycle(streams):
        if read >= events:
            break
        requester.ask(0)
        connection.stamp_ns = time.time_ns() - FIRST_STAMP_AGO_NS
        for number, data in enumerate([HEAD, *sent]):
            if number % READS_PER_ROUND == 0:
                context.clock.begin_batch()
            connection.data = data
            connection._on_readable()
            if number % READS_PER_ROUND == READS_PER_ROUND - 1:
                context.clock.end_batch()
        read += len(sent) - 1
        context.clock.take_lags()
        record = context.records.pop()
        assert record.events == len(sent) - 1 and record.output_tokens == TOKENS, record
    took_s = time.perf_counter() - begun
    context.readers.close()
    context.clock.close()
    loop.close()
    print(f"{took_s / max(1, read) * 1e6:.2f} us/event")


if __name__ == "__main__":
    main(int(sys.argv[1]))
