"""A load worker without its process: the same code in the test's event loop, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from tui.core.address import address_of
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.engines.parts.auth import Auth
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.wire import (
    Begin,
    Configure,
    FireBurst,
    LoadTarget,
    PrepareBurst,
    PromptSource,
    Report,
    decode_report,
)
from tui.load.worker import Worker
from tui.metrics.record import RequestRecord

NO_AUTH = Auth()
IDS = PromptSource(TOKEN_IDS, pack_token_ids(range(200, 1000)))


def shape(output_tokens: int = 3, prompt_tokens: int = 7) -> RequestShape:
    return RequestShape(
        path="/v1/completions",
        headers=[("Content-Type", "application/json"), ("Accept", "text/event-stream")],
        body_head=b'{"max_tokens":%d,"prompt":' % output_tokens,
        body_tail=b"}",
        prompt_kind=TOKEN_IDS,
        dialect=openai_stream.NAME,
        prompt_tokens=prompt_tokens,
        prompt_tokens_overhead=0,
        output_tokens=output_tokens,
        exact=True,
    )


class InProcessWorker:
    """Collects reports as a pool would."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._news = asyncio.Event()
        self.worker: Worker

    # What the worker needs of a StreamWriter.

    def write(self, frame: bytes) -> None:
        self.reports.append(decode_report(frame[4:]))
        self._news.set()

    def is_closing(self) -> bool:
        return False

    # What tests need.

    @property
    def records(self) -> list[RequestRecord]:
        return [record for report in self.reports for record in report.records]

    async def until_records(self, count: int) -> list[RequestRecord]:
        while len(self.records) < count:
            await self._next_report()
        return self.records

    async def burst(self, users: int, at_ns: int) -> list[RequestRecord]:
        seen = len(self.reports)
        self.worker.obey(PrepareBurst(list(range(users))))
        while not any(report.burst_ready for report in self.reports[seen:]):
            await self._next_report()
        seen = len(self.reports)
        self.worker.obey(FireBurst(at_ns))
        while not any(report.burst_over for report in self.reports[seen:]):
            await self._next_report()
        return [record for report in self.reports[seen:] for record in report.records]

    async def _next_report(self) -> None:
        self._news.clear()
        await self._news.wait()


@asynccontextmanager
async def in_process_worker(
    base_url: str,
    *,
    request_timeout_s: float = 20.0,
    verify: bool = True,
    auth: Auth = NO_AUTH,
    of: RequestShape | None = None,
) -> AsyncIterator[InProcessWorker]:
    """Run a worker within the block, configured."""
    fake = InProcessWorker()
    target = LoadTarget(address_of(base_url), auth, verify, request_timeout_s)
    worker = fake.worker = Worker(asyncio.get_running_loop(), cast("asyncio.StreamWriter", fake), Begin(target, 1))
    try:
        await worker.start()
        worker.obey(Configure(of or shape(), IDS, 5))
        yield fake
    finally:
        worker.stop()
        await asyncio.sleep(0)
