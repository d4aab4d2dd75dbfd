"""The way of one token through a load worker, from the read to the tally, without sockets and without a kernel.

    python drivers/hot_path.py EVENTS

Run under callgrind by instructions.py; alone it prints the time per event.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time

from tui.engines.base import RequestShape
from tui.load.asker import Asker
from tui.load.desk import Desk
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.sockets import Address, PlainLink
from tui.load.wire import Begin, Configure, LoadTarget, PromptSource

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
    dialect="openai",
    prompt_tokens=16,
    prompt_tokens_overhead=0,
    output_tokens=TOKENS,
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Fed(PlainLink):
    """A link that reads what it is fed."""

    __slots__ = ("data",)

    def __init__(self, loop: asyncio.AbstractEventLoop, desk: Desk, receiver: Asker) -> None:
        addresses: list[Address] = []
        super().__init__(loop, desk.readers, addresses, OSError("not to be opened"), receiver, desk.clock)
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
    desk = Desk(loop, Begin(LoadTarget("http://127.0.0.1:1"), 1))
    desk.configure(Configure(SHAPE, PromptSource(TOKEN_IDS, pack_token_ids(range(200, 1200))), 1))
    asker = Asker(desk, 1, lambda record, retry_after_s: None)
    link = Fed(loop, desk, asker)
    asker._link = link
    token, end = chunk(TOKEN), chunk(USAGE) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    begun = time.perf_counter()
    for number in range(events):
        place = number % TOKENS
        if place == 0:
            asker.ask(0)
            link.data = HEAD
            link._on_readable()
        link.data = token
        link._on_readable()
        if place == TOKENS - 1:
            link.data = end
            link._on_readable()
            desk.clock.take_lags()
            record = desk.records.pop()
            assert record.events == TOKENS and record.output_tokens == TOKENS, record
    took_s = time.perf_counter() - begun
    desk.readers.close()
    desk.clock.close()
    loop.close()
    print(f"{took_s / max(1, events) * 1e6:.2f} us/event")


if __name__ == "__main__":
    main(int(sys.argv[1]))
