"""Every bad server ends in its own outcome, within its time, on real sockets; the user goes on and nothing leaks."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from tests.fakes.load_worker import in_process_worker, shape
from tests.fakes.scripted_server import (
    CLOSE,
    DONE,
    END,
    GOOD,
    HEAD,
    READ,
    RESET,
    STALL,
    TOKEN,
    Drip,
    Repeat,
    Step,
    chunk,
    event,
    scripted_server,
    usage,
)
from tui.core.clock import NS_PER_S, now_ns
from tui.core.outcome import Outcome
from tui.engines.parts.auth import Auth, SecretHeader
from tui.load.wire import ChangeUsers

GOOD_SCRIPT: Sequence[Step] = [READ, GOOD] * 100_000
DEAD_ENGINE = event({"error": {"message": "EngineCore encountered an issue.", "type": "E", "code": 500}})
GZIP = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
RATE_LIMIT = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 4\r\n\r\nslow"

BAD: dict[str, tuple[Sequence[Step], Outcome, str]] = {
    "reset at connect": ([RESET], Outcome.DISCONNECTED, ""),
    "closed at connect": ([CLOSE], Outcome.DISCONNECTED, ""),
    "reset before headers": ([READ, RESET], Outcome.DISCONNECTED, "before any answer"),
    "reset in headers": ([READ, HEAD[:30], RESET], Outcome.DISCONNECTED, "in the header"),
    "reset in a chunk": ([READ, HEAD + TOKEN[:20], RESET], Outcome.DISCONNECTED, "in the body"),
    "reset before the mark": ([READ, HEAD + 3 * TOKEN + usage(3), RESET], Outcome.DISCONNECTED, "body"),
    "end in a chunk": ([READ, HEAD + TOKEN[:20], CLOSE], Outcome.DISCONNECTED, "closed the connection in the body"),
    "end before the mark": ([READ, HEAD + 3 * TOKEN + usage(3), CLOSE], Outcome.DISCONNECTED, "body"),
    "stall at connect": ([STALL], Outcome.TIMEOUT, "within"),
    "stall before headers": ([READ, STALL], Outcome.TIMEOUT, "within"),
    "stall in headers": ([READ, HEAD[:30], STALL], Outcome.TIMEOUT, "within"),
    "stall in a chunk": ([READ, HEAD + TOKEN[:20], STALL], Outcome.TIMEOUT, "within"),
    "stall before the mark": ([READ, HEAD + 3 * TOKEN + usage(3), STALL], Outcome.TIMEOUT, "within"),
    "slow drip": ([READ, Drip(GOOD, 0.05)], Outcome.TIMEOUT, "within"),
    "dead engine": ([READ, HEAD + TOKEN + DEAD_ENGINE + DONE + END], Outcome.ENGINE_DEAD, "EngineCore"),
    "error event": ([READ, HEAD + event({"error": {"message": "no", "code": 400}}) + END], Outcome.HTTP_ERROR, "no"),
    "html": ([READ, b"HTTP/1.1 502 X\r\ncontent-length: 6\r\n\r\n<html>"], Outcome.HTTP_ERROR, "HTTP 502: <html>"),
    "rate limit": ([READ, RATE_LIMIT], Outcome.OVERLOADED, "HTTP 429: slow"),
    "wrong type": ([READ, HEAD.replace(b"event-stream", b"plain") + chunk(b"hi") + END], Outcome.MALFORMED, "plain"),
    "gzip": ([READ, GZIP], Outcome.MALFORMED, "gzip"),
    "nested JSON": (
        [READ, HEAD + chunk(b'data: {"choices":' + b"[" * 5000 + b"\n\n")],
        Outcome.MALFORMED,
        "cannot be read",
    ),
    "nested refusal": (
        [READ, b"HTTP/1.1 400 X\r\ncontent-length: 5000\r\n\r\n" + b"[" * 5000],
        Outcome.HTTP_ERROR,
        "HTTP 400",
    ),
    "cut JSON": ([READ, HEAD + chunk(b'data: {"choi\n\n')], Outcome.MALFORMED, "cannot be read"),
    "endless event": ([READ, HEAD + chunk(b"data: "), Repeat(chunk(b"x" * 65536))], Outcome.MALFORMED, "an event of"),
    "endless header": ([READ, b"HTTP/1.1 200 OK\r\nx: ", Repeat(b"y" * 65536)], Outcome.MALFORMED, "a header of"),
    "endless stream": ([READ, HEAD, Repeat(TOKEN)], Outcome.MALFORMED, "though 3 were asked"),
    "too few tokens": ([READ, HEAD + 2 * TOKEN + usage(2) + DONE + END], Outcome.MALFORMED, "2 tokens came"),
    "error in words, then nothing": ([READ, HEAD + event("Model was unloaded"), STALL], Outcome.HTTP_ERROR, "unloaded"),
    "negative usage": ([READ, HEAD + TOKEN + usage(-1) + DONE + END], Outcome.MALFORMED, "usage of -1"),
    "redirect": (
        [READ, b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"],
        Outcome.HTTP_ERROR,
        "not followed",
    ),
    "no HTTP": ([READ, b"220 mail.example ESMTP\r\n"], Outcome.MALFORMED, "not HTTP"),
}


ODD: dict[str, Sequence[Step]] = {
    "reset behind the mark": [READ, HEAD + 3 * TOKEN + usage(3) + DONE, RESET],
    "end behind the mark": [READ, HEAD + 3 * TOKEN + usage(3) + DONE, CLOSE],
    "no end of the body": [READ, HEAD + 3 * TOKEN + usage(3) + DONE, STALL],
    "usage behind the mark": [READ, HEAD + 3 * TOKEN + DONE + usage(3), STALL],
    "nonsense behind the mark": [READ, HEAD + 3 * TOKEN + usage(3) + DONE + chunk(b"data: {\n\n") + END],
    "no mark": [READ, HEAD + 3 * TOKEN + usage(3) + END],
}


@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_and_complete_is_a_success(name: str) -> None:
    async with (
        scripted_server(ODD[name], GOOD_SCRIPT) as (base_url, _server),
        in_process_worker(base_url, request_timeout_s=30) as load,
    ):
        began_ns = now_ns()
        load.worker.obey(ChangeUsers([0], []))
        first, second = (await load.until_records(2))[:2]
        assert now_ns() - began_ns < 10 * NS_PER_S
    for record in (first, second):
        assert (record.outcome, record.output_tokens, record.counted_by) == (Outcome.OK, 3, "usage")


@pytest.mark.parametrize("name", BAD)
async def test_it_ends_in_its_own_outcome_and_the_user_goes_on(name: str) -> None:
    script, outcome, words = BAD[name]
    async with (
        scripted_server(script, GOOD_SCRIPT) as (base_url, server),
        # What must time out does so soon; what must not has all the time of a busy machine.
        in_process_worker(base_url, request_timeout_s=0.5 if outcome is Outcome.TIMEOUT else 30) as load,
    ):
        load.worker.obey(ChangeUsers([0], []))
        first, second = (await load.until_records(2))[:2]
        assert (first.outcome, second.outcome) == (outcome, Outcome.OK), (first.error, second.error)
        assert words in first.error
        assert (
            first.output_tokens is None or first.output_tokens == 2 or outcome is Outcome.MALFORMED or "chunk" in name
        )
        # It waited before it asked again, and did not count the wait as the server's.
        assert second.intended_start_ns - first.end_ns > 200_000_000
        load.worker.obey(ChangeUsers([], [0], cut=True))
        assert load.reports[-1].in_flight == 0
        assert server.connections <= 3


async def test_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with in_process_worker(f"http://127.0.0.1:{closed.getsockname()[1]}") as load:
            (record,) = await load.burst(1, now_ns())
    assert record.outcome is Outcome.DISCONNECTED
    assert "refused" in record.error.lower()
    assert record.first_token_ns is None


@pytest.mark.parametrize("name", ["no-such-host.invalid"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_without_address(name: str, scheme: str) -> None:
    async with in_process_worker(f"{scheme}://{name}:80") as load:
        (record,) = await load.burst(1, now_ns())
    assert record.outcome is Outcome.DISCONNECTED
    assert f"{name} has no address: " in record.error


async def test_a_connection_that_was_closed_between_requests_is_opened_again_without_a_failure() -> None:
    once: Sequence[Step] = [READ, GOOD, READ, CLOSE]
    async with scripted_server(once, GOOD_SCRIPT) as (base_url, server), in_process_worker(base_url) as load:
        load.worker.obey(ChangeUsers([0], []))
        records = await load.until_records(3)
        assert [record.outcome for record in records[:3]] == [Outcome.OK] * 3
        assert records[1].connect_ns is not None
        assert records[2].connect_ns is None
        assert server.connections == 2


async def test_a_server_that_closes_after_every_answer() -> None:
    last = GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
    async with scripted_server([READ, last, CLOSE]) as (base_url, _server), in_process_worker(base_url) as load:
        load.worker.obey(ChangeUsers([0], []))
        records = await load.until_records(4)
        assert {record.outcome for record in records} == {Outcome.OK}
        assert all(record.connect_ns is not None for record in records)


async def test_retry_after_is_honoured() -> None:
    busy = b"HTTP/1.1 503 X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
    async with scripted_server([READ, busy], GOOD_SCRIPT) as (base_url, _), in_process_worker(base_url) as load:
        load.worker.obey(ChangeUsers([0], []))
        first, second = (await load.until_records(2))[:2]
        assert first.outcome is Outcome.OVERLOADED
        assert second.intended_start_ns - first.end_ns > 900_000_000


async def test_ipv6() -> None:
    try:
        async with scripted_server(GOOD_SCRIPT, host="::1") as (base_url, server), in_process_worker(base_url) as load:
            (record,) = await load.burst(1, now_ns())
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert record.outcome is Outcome.OK
    assert f"Host: [::1]:{server.port}".encode() in server.requests[0]


async def test_an_api_key_is_sent_and_told_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    refusal = b"HTTP/1.1 401 X\r\ncontent-length: 6\r\n\r\nwho?!!"
    async with (
        scripted_server([READ, refusal]) as (base_url, server),
        in_process_worker(base_url, auth=Auth([SecretHeader("Authorization", "SOME_KEY", "Bearer ")])) as load,
    ):
        (record,) = await load.burst(1, now_ns())
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in server.requests[0]
    assert record.outcome is Outcome.HTTP_ERROR
    assert "s3cret" not in record.error


async def test_a_large_request_goes_out_whole() -> None:
    async with (
        scripted_server(GOOD_SCRIPT) as (base_url, server),
        in_process_worker(base_url, of=shape(prompt_tokens=2_000_000)) as load,
    ):
        (record,) = await load.burst(1, now_ns())
    assert record.outcome is Outcome.OK, record.error
    assert server.requests[0].endswith(b"]}")
    assert server.requests[0].count(b",") == 2_000_000
