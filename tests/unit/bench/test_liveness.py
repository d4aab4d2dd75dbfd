"""What is made of a server that is silent, and of one whose requests failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.fakes.testbed import FakeTestbed
from tests.unit.bench.records import record
from tui.bench import liveness as liveness_module
from tui.bench import measure
from tui.bench.liveness import NO_ANSWER, Liveness
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.engines.base import FailureClass, ServerMetrics
from tui.load.wire import LoadProgress
from tui.metrics.snapshot import FailureReport
from tui.metrics.summary import CellSummary
from tui.profile.schema import Mode

PATIENCE_S = 20.0


class Server:
    """A supervisor's part in it."""

    def __init__(self, *, healthy: bool = True, by_log: str | None = None) -> None:
        self.healthy = healthy
        self.by_log = by_log
        self.tokens: Iterator[float] = iter(())
        self.failure: asyncio.Future[FailureReport] = asyncio.get_running_loop().create_future()
        self.said: list[str] = []

    async def is_healthy(self) -> bool:
        return self.healthy

    async def read_metrics(self) -> ServerMetrics | None:
        tokens = next(self.tokens, None)
        return None if tokens is None else ServerMetrics(generation_tokens_total=tokens)

    def told_by_log(self) -> FailureReport | None:
        return self.by_log and FailureReport(failure="oom-runtime", summary=self.by_log, line="", advice="")  # type: ignore[return-value]

    def outlive_log(self) -> None:
        self.said.append("its log is outlived")

    def declare_dead(self, report: FailureReport) -> None:
        self.failure.set_result(report)

    def minded(self, *, request_timeout_s: float = 300.0) -> Liveness:
        return Liveness(
            cast(Any, self),
            lambda text, level: self.said.append(text),
            lambda: None,
            time_scale=1.0,
            request_timeout_s=request_timeout_s,
        )


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_module, "SILENCE_PERIOD_S", 0.001)


def report(liveness: Liveness, at_s: float, *, events: int = 0, in_flight: int = 2) -> None:
    at_ns = round(at_s * NS_PER_S)
    liveness.watch.take(LoadProgress(at_ns=at_ns, users_active=2, in_flight=in_flight, events=events))


async def until_said(server: Server, words: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not any(words in text for text in server.said):
            await asyncio.sleep(0.001)


async def silent_for(liveness: Liveness, server: Server, seconds: float) -> None:
    """Let a server that gave tokens each tenth of a second be silent, first for as long as is told of."""
    for tenth in range(1, 11):
        report(liveness, tenth / 10, events=2)
    liveness.begin()
    report(liveness, 1.0)
    report(liveness, 4.5)
    await until_said(server, "no token for 4 s with 2 requests under way")  # 3.5 s, and two more digits than are known
    assert liveness.silent_s == 3.5
    report(liveness, 1.0 + seconds)


@pytest.mark.parametrize(
    ("healthy", "failure", "words"),
    [
        (True, FailureClass.HUNG, "its health check answers, but nothing else does"),
        (False, FailureClass.CRASH, "its health check does not answer"),
    ],
)
async def test_a_silence_twice_as_long_as_the_limit_is_a_death(
    healthy: bool, failure: FailureClass, words: str
) -> None:
    server = Server(healthy=healthy)
    liveness = server.minded()
    await silent_for(liveness, server, 7.0)
    async with asyncio.timeout(PATIENCE_S):
        told = await server.failure
    assert told.failure == failure and words in told.summary and "no token for 7 s" in told.summary
    await liveness.end()
    assert liveness.silent_s is None


async def test_a_server_whose_own_counters_grow_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.tokens = iter([100.0, 101.0, 101.0, 101.0])
    liveness = server.minded()
    await silent_for(liveness, server, 7.0)
    await until_said(server, "waited for twice as long")
    report(liveness, 12.9)
    await asyncio.sleep(0.05)
    assert not server.failure.done()
    report(liveness, 13.1)
    async with asyncio.timeout(PATIENCE_S):
        assert "no token for 12 s" in (await server.failure).summary
    await liveness.end()


async def test_tokens_that_come_again_end_a_silence() -> None:
    server = Server()
    liveness = server.minded()
    await silent_for(liveness, server, 4.0)
    report(liveness, 5.1, events=2)
    await until_said(server, "tokens come again")
    assert liveness.silent_s is None and not server.failure.done()
    await liveness.end()


@pytest.mark.parametrize("timeout_s", [4.0, 20.0, 60.0])
async def test_a_silence_is_judged_before_its_requests_are_given_up(timeout_s: float) -> None:
    server = Server()
    liveness = server.minded(request_timeout_s=timeout_s)
    liveness.begin()
    report(liveness, 0.0)
    report(liveness, 0.48 * timeout_s)
    await until_said(server, "none came before")
    report(liveness, 0.97 * timeout_s)
    async with asyncio.timeout(PATIENCE_S):
        assert (await server.failure).failure == FailureClass.HUNG
    await liveness.end()


@pytest.mark.parametrize(
    ("why", "healthy", "by_log", "dead", "words"),
    [
        ("HTTP 400: EngineCore encountered an issue.", True, None, True, "though its health check answers"),
        ("HTTP 500: Internal Server Error", False, None, True, "Its engine is dead"),
        ("HTTP 400: EngineCore encountered an issue.", True, "CUDA out of memory", True, "CUDA out of memory"),
        ("", False, None, False, "it gives one, so it goes on"),
        (NO_ANSWER, True, None, False, "its silence will tell"),
    ],
)
async def test_a_token_decides_whatever_the_health_check_says(
    monkeypatch: pytest.MonkeyPatch, why: str, healthy: bool, by_log: str | None, dead: bool, words: str
) -> None:
    server = Server(healthy=healthy, by_log=by_log)
    liveness = server.minded()

    async def no_token() -> str:
        return why

    monkeypatch.setattr(liveness, "why_no_token", no_token)
    assert await liveness.check(server.failure) is dead
    assert words in (server.failure.result().summary if dead else " ".join(server.said))
    assert ("its log is outlived" in server.said) is (why == "")


@pytest.mark.parametrize(
    ("ends", "asked"),
    [
        ([Outcome.OK] * 4 + [Outcome.HTTP_ERROR] * 4, True),  # of a burst the first were answered, and then it died
        ([Outcome.OK] * 5 + [Outcome.HTTP_ERROR] * 3, False),
        ([Outcome.HTTP_ERROR] * 7 + [Outcome.OK], False),
        ([Outcome.OVERLOADED] * 8, False),
        ([Outcome.OK] * 7 + [Outcome.ENGINE_DEAD], True),
    ],
)
async def test_whether_a_server_lives_is_asked_when_half_of_the_users_have_nothing_but_its_errors(
    ends: list[Outcome], asked: bool
) -> None:
    summary = CellSummary(Mode.BURST)
    for at, outcome in enumerate(ends):
        summary.add(record(start_ns=at, last_token_ns=at + 1, outcome=outcome))
    assert measure._may_be_dead(cast(Any, FakeTestbed(lambda users, prompt_tokens: None)), summary, 4) is asked


async def test_what_another_worker_tells_later_is_put_in_its_place_by_its_end() -> None:
    summary = CellSummary(Mode.BURST)
    for at in (5, 6, 7, 8):
        summary.add(record(start_ns=0, last_token_ns=at, outcome=Outcome.HTTP_ERROR))
    for at in (1, 2, 6):
        summary.add(record(start_ns=0, last_token_ns=at))
    assert summary.failures_in_a_row == 3
    summary.add(record(start_ns=0, last_token_ns=4, outcome=Outcome.HTTP_ERROR))
    assert summary.failures_in_a_row == 3
