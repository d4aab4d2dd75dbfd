"""Load workers that are only played: their reports are made beforehand, in the form that they have on the wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.load.wire import BUCKET_NS, REPORT_PERIOD_S, Report, StartedRequest
from tui.metrics.record import RequestRecord, gaps_between

TICKS_PER_S = round(1 / REPORT_PERIOD_S)
KINDS = 64
TOKENS = 100
PROMPT_TOKENS = 50


@dataclass
class PlayedWorker:
    """The way to a worker that is only played: what is put in comes up as its frames."""

    number: int
    pid: int | None = None
    seq: int = 0
    heard: int = 1
    given: int = 0
    users: list[int] = field(default_factory=list)
    _frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    def send(self, body: bytes) -> None:
        self.heard += 1
        if self.seq == 0:
            self.put(self.body())

    async def frames(self) -> AsyncIterator[bytes]:
        while (body := await self._frames.get()) is not None:
            yield body

    async def close(self) -> None:
        self._frames.put_nowait(None)

    def why_gone(self) -> str:
        return "was ended"

    def body(
        self,
        *,
        at_ns: int = 0,
        records: Sequence[RequestRecord] = (),
        started: Sequence[StartedRequest] = (),
        tokens: Sequence[tuple[int, int]] = (),
        events: int = 0,
    ) -> bytes:
        self.seq += 1
        report = Report(
            seq=self.seq,
            heard=self.heard,
            at_ns=at_ns,
            tick=True,
            users_active=len(self.users),
            in_flight=len(self.users),
            tokens=[*tokens],
            events=events,
            cpu_share=0.3,
            lag_p99_s=0.0004,
            stamps="kernel",
            rss_bytes=60_000_000,
            started=[*started],
            records=[*records],
            left=[],
        )
        return msgspec.msgpack.encode(report)

    def put(self, body: bytes) -> None:
        self.given += 1
        self._frames.put_nowait(body)


class PlayedHost:
    """A host whose workers are played."""

    clock = None
    trouble = ""

    def __init__(self, name: str, cores: int, workers: list[PlayedWorker]) -> None:
        self.name = name
        self.cores = cores
        self._workers = workers

    async def open_worker(self, number: int) -> PlayedWorker:
        self._workers.append(PlayedWorker(number))
        return self._workers[-1]

    async def close(self) -> None:
        pass


class Made:
    """Makes a worker's report of one tick: those of its users whose turn it is end their request and begin another."""

    def __init__(self, rate: float) -> None:
        dice = random.Random(5)
        self.rate = rate
        self.ticks_each = max(1, round(TOKENS / rate * TICKS_PER_S))
        self._ids = 0
        self._answers = []
        for _ in range(KINDS):
            stamps_ns = [0]
            for _ in range(TOKENS - 1):
                stamps_ns.append(stamps_ns[-1] + round(NS_PER_S / rate * 0.95 * dice.uniform(0.8, 1.2)))
            self._answers.append((gaps_between(stamps_ns), stamps_ns[-1]))

    def under_way(self, worker: PlayedWorker, user: int, now_ns: int, tag: int) -> RequestRecord:
        """Return what a worker tells of a user whose request is under way when a cell ends."""
        gaps, lasting_ns = self._answers[user % KINDS]
        first_ns = now_ns - lasting_ns
        return RequestRecord(
            request_id=0,
            worker=worker.number,
            user=user,
            tag=tag,
            intended_start_ns=first_ns,
            start_ns=first_ns,
            first_token_ns=first_ns,
            last_token_ns=now_ns,
            end_ns=now_ns,
            prompt_tokens=PROMPT_TOKENS,
            output_tokens_asked=TOKENS,
            prompt_tokens_usage=None,
            output_tokens=None,
            events=TOKENS,
            event_gaps_us=gaps.event_gaps_us,
            outcome=Outcome.RUNNING,
            gaps_histogram=gaps.gaps_histogram,
            gap_max_us=gaps.gap_max_us,
        )

    def of_tick(self, worker: PlayedWorker, tick: int, now_ns: int, tag: int) -> tuple[bytes, int, int]:
        """Return a frame's body, how many requests and how many events are in it."""
        slot, records, started = tick % self.ticks_each, [], []
        for user in worker.users[slot :: self.ticks_each]:
            gaps, lasting_ns = self._answers[(user + tick) % KINDS]
            last_ns = now_ns - user % 997 * 200_000
            first_ns = last_ns - lasting_ns
            start_ns = first_ns - round(0.04 * NS_PER_S)
            self._ids += 1
            records.append(
                RequestRecord(
                    request_id=self._ids,
                    worker=worker.number,
                    user=user,
                    tag=tag,
                    intended_start_ns=start_ns,
                    start_ns=start_ns,
                    first_token_ns=first_ns,
                    last_token_ns=last_ns,
                    end_ns=last_ns,
                    prompt_tokens=PROMPT_TOKENS,
                    output_tokens_asked=TOKENS,
                    prompt_tokens_usage=PROMPT_TOKENS,
                    output_tokens=TOKENS,
                    events=TOKENS,
                    event_gaps_us=gaps.event_gaps_us,
                    outcome=Outcome.OK,
                    http_status=200,
                    gaps_histogram=gaps.gaps_histogram,
                    gap_max_us=gaps.gap_max_us,
                )
            )
            started.append(StartedRequest(self._ids + 10**9, user, tag, last_ns, last_ns, PROMPT_TOKENS, TOKENS))
        events = round(len(worker.users) * self.rate / TICKS_PER_S)
        bucket = now_ns // BUCKET_NS * BUCKET_NS
        tokens = [(bucket - BUCKET_NS, events // 2), (bucket, events - events // 2)]
        body = worker.body(records=records, started=started, tokens=tokens, events=events, at_ns=now_ns)
        return body, len(records), events
