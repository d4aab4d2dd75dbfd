"""Responses: real streams cut at every byte, and every way a server can go wrong within one."""

from __future__ import annotations

import ast
import gc
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.core.outcome import Outcome
from tui.engines.parts.openai_stream import DIALECT
from tui.load.http_response import MAX_HEADER_BYTES
from tui.load.response import Response
from tui.load.tally import Tally

CORPUS = Path(__file__).parents[2] / "corpus" / "streams"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def new_response(asked: int = 3, *, exact: bool = True) -> Response:
    return Response(asked, DIALECT, Tally(), exact=exact)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: object) -> bytes:
    return chunk(b"data: " + (value.encode() if isinstance(value, str) else json.dumps(value).encode()) + b"\n\n")


def token(text: str = "a", **more: object) -> bytes:
    return event({"choices": [{"text": text, "finish_reason": None}], **more})


def usage(tokens: object, prompt_tokens: int = 7) -> bytes:
    return event({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}})


DONE = event("[DONE]")
END = b"0\r\n\r\n"


def response_to(*pieces: bytes, asked: int = 3, exact: bool = True) -> Response:
    response = new_response(asked, exact=exact)
    for at, piece in enumerate(pieces):
        response.feed(piece, 1000 + at)
    return response


def corpus_stream(name: str) -> bytes:
    return (CORPUS / name).read_bytes().rstrip(b"\r\n") + b"\r\n\r\n"


def killed_engine_streams() -> list[bytes]:
    """The tails of real streams whose engine was killed, behind a head."""
    text = (CORPUS / "kill-engine-sigkill.txt").read_text()
    found = re.findall(r"(?:stream\d|chatstream): .* tail=(b'.*')", text)
    assert len(found) == 3
    tails = [ast.literal_eval(tail) for tail in found]
    return [HEAD + tail[re.search(rb"[0-9a-f]+\r\ndata: \{\"error\"", tail).start() :] for tail in tails]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["stream-100.raw", "stream-chat-100.raw"])
def test_a_real_stream_cut_at_every_byte(name: str) -> None:
    stream = corpus_stream(name)
    for at in range(0, len(stream)):
        response = new_response(100)
        response.feed(stream[:at], 1)
        response.feed(stream[at:], 2)
        seen = (response.over, response.outcome, response.output_tokens, len(response.stamps_ns), response.counted)
        assert seen == (True, Outcome.OK, 100, 100, 100), at


@pytest.mark.parametrize("name", ["stream-100.raw", "stream-chat-100.raw"])
def test_a_real_stream_byte_by_byte(name: str) -> None:
    stream = corpus_stream(name)
    response = new_response(100)
    for at in range(len(stream)):
        response.feed(stream[at : at + 1], at)
        assert response.over == (at == len(stream) - 1)
    assert response.outcome is Outcome.OK
    assert len(set(response.stamps_ns)) == 100
    assert response.prompt_tokens in (7, 20)


@given(cuts=st.lists(st.integers(0, 25000), max_size=40))
def test_a_real_stream_cut_anywhere(cuts: list[int]) -> None:
    stream = corpus_stream("stream-100.raw")
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    response = response_to(*(stream[a:b] for a, b in pairwise(edges)), asked=100)
    assert (response.outcome, response.output_tokens, len(response.stamps_ns)) == (Outcome.OK, 100, 100)


@pytest.mark.parametrize("name", ["stream-100.raw", "stream-chat-100.raw"])
def test_a_real_stream_that_breaks_off_before_its_mark_is_no_success(name: str) -> None:
    stream = corpus_stream(name)
    for at in range(0, stream.index(b"data: [DONE]") + 12, 7):
        response = new_response(100)
        response.feed(stream[:at], 1)
        response.end_of_stream(2)
        assert response.over
        assert response.outcome is Outcome.DISCONNECTED, at


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_killed_engine_is_never_a_success_cut_at_every_byte(number: int) -> None:
    stream = killed_engine_streams()[number]
    for at in range(len(stream)):
        response = response_to(stream[:at], stream[at:], asked=400)
        assert response.outcome is Outcome.ENGINE_DEAD
        assert response.error.startswith("EngineCore encountered an issue")


SAID = b'{"choices": [{"text": "a"}]}'
ODD = [
    token(),
    token(),
    token(usage={"prompt_tokens": 7, "completion_tokens": 2}),
    usage(3),
    DONE,
    END,
    chunk(b"data: %b\n\ndata: %b\n\n" % (SAID, SAID)),
    chunk(b"data: %b" % SAID[:9]),
    chunk(SAID[9:] + b"\n\n"),
    chunk(b"data: %b\r\n\r\n" % SAID),
    chunk(b"data: %b\r\r" % SAID),
    chunk(b"data: %b\n" % SAID),
    chunk(b"\n"),
    chunk(b"\r\n"),
    chunk(b": a comment\n\n"),
    chunk(b"id: 1\ndata: %b\n\n" % SAID),
    chunk(b"data: \n\n"),
    chunk(b"data: %b\n\n" % SAID.replace(b" ", b"\n")),
    chunk(b"data: %b\n\n" % SAID.replace(b" ", b"\r")),
    chunk(b"data: a\r\ndata: %b\n\n" % SAID),
    chunk(b"data: %b\n\n" % SAID.replace(b"a", b"a" * 5000)),
    token().upper().replace(b"DATA", b"data"),
    token().replace(b"\r\n", b";name=value\r\n", 1),
    b"0" + token(),
    b"+" + token(),
    b" " + token(),
    token().replace(b"a", b"aa", 1),
    token()[:-2],
    b"\r\n",
    event({"error": {"message": "no", "code": 400}}),
]


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(ODD), max_size=8), st.lists(st.integers(0, 1000), max_size=6))
def test_how_a_stream_is_cut_into_reads_says_nothing(pieces: list[bytes], cuts: list[int]) -> None:
    stream = HEAD + b"".join(pieces)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    cut_so = [
        [HEAD, *pieces],
        [stream[a:b] for a, b in pairwise(edges)],
        [stream[at : at + 1] for at in range(len(stream))],
    ]
    seen = []
    for reads in cut_so:
        response = response_to(*reads)
        seen.append(
            (
                response.over,
                response.outcome,
                response.output_tokens,
                response.counted,
                response.http.keep_alive,
                response.prompt_tokens,
            )
        )
    assert seen[0] == seen[1] == seen[2]


def test_what_looks_like_a_chunk_within_a_chunk_is_none() -> None:
    comment = b":c\r\n"
    size = b"%x\r\n" % len(comment + token())
    pieces = [HEAD, token(), size + comment, token(), b"\r\n", token(), usage(3), DONE, END]
    assert response_to(*pieces).outcome is response_to(b"".join(pieces)).outcome is Outcome.OK


def test_the_time_of_a_token_is_that_of_the_read_that_completed_it() -> None:
    stream = HEAD + token()
    response = new_response()
    response.feed(stream[:-4], 10)
    assert response.stamps_ns == []
    response.feed(stream[-4:], 20)
    response.feed(token() + token(), 30)
    assert response.stamps_ns == [20, 30, 30]


@pytest.mark.parametrize("asked", [1, 2, 5])
def test_the_last_token_is_announced_once(asked: int) -> None:
    announced: list[int] = []
    response = Response(asked, DIALECT, Tally(), on_last_token=lambda: announced.append(len(response.stamps_ns)))
    for piece in [HEAD, *[chunk(token())] * asked, chunk(usage(asked)), chunk(DONE), END]:
        response.feed(piece, 1)
    assert response.outcome is Outcome.OK
    assert announced == [max(1, asked - 1)]


def test_the_last_token_is_announced_by_running_usage_too() -> None:
    announced: list[int] = []
    response = Response(5, DIALECT, Tally(), on_last_token=lambda: announced.append(response.counted))
    for tokens in (2, 4, 5):
        response.feed((HEAD if tokens == 2 else b"") + chunk(token(usage={"completion_tokens": tokens})), 1)
    assert announced == [4]


def test_packed_events_are_counted_by_running_usage() -> None:
    tally = Tally()
    response = Response(10, DIALECT, tally)
    parts = [
        HEAD,
        event({"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": {"completion_tokens": 0}}),
        token(usage={"prompt_tokens": 7, "completion_tokens": 4}),
        token("", usage={"prompt_tokens": 7, "completion_tokens": 4}),
        token(usage={"prompt_tokens": 7, "completion_tokens": 10}),
        usage(10),
        DONE + END,
    ]
    for at, part in enumerate(parts):
        response.feed(part, at)
    assert response.outcome is Outcome.OK
    assert response.stamps_ns == [2, 4]
    assert tally.take() == ([(0, 10)], 2)


def test_packed_events_without_running_usage_are_made_up_for_at_the_end() -> None:
    tally = Tally()
    response = Response(10, DIALECT, tally)
    for part in (HEAD, token(), token(), usage(10), DONE, END):
        response.feed(part, 5)
    assert (response.outcome, response.output_tokens, len(response.stamps_ns)) == (Outcome.OK, 10, 2)
    assert tally.take() == ([(0, 10)], 2)


@pytest.mark.parametrize(
    ("pieces", "outcome", "words"),
    [
        ([HEAD, token() * 3, usage(3), DONE, END], Outcome.OK, ""),
        ([HEAD, token() * 2, usage(2), DONE, END], Outcome.MALFORMED, "2 tokens came, though 3"),
        ([HEAD, token() * 4, usage(4), DONE, END], Outcome.OK, ""),
        ([HEAD, token() * 67, usage(67), DONE, END], Outcome.OK, ""),
        ([HEAD, token() * 68], Outcome.MALFORMED, "stopped after 68 tokens, though 3"),
        ([HEAD, token(), token(usage={"completion_tokens": 68})], Outcome.MALFORMED, "stopped after 68 tokens"),
        ([HEAD, usage(68)], Outcome.MALFORMED, "stopped after 68 tokens"),
        ([HEAD, token() * 3, DONE, END], Outcome.OK, ""),
        ([HEAD, token() * 2, DONE, END], Outcome.OK, ""),  # events are no count: two may bear three tokens
        ([HEAD, token() * 3, usage(None), DONE, END], Outcome.OK, ""),
        ([HEAD, DONE, END], Outcome.MALFORMED, "without a token"),
        ([HEAD, token() * 3, usage(-3), DONE, END], Outcome.MALFORMED, "usage of -3"),
        ([HEAD, token() * 3, usage("3"), DONE, END], Outcome.MALFORMED, "cannot be read"),
        ([HEAD, usage(3), DONE, END], Outcome.MALFORMED, "no event bore"),
        ([HEAD, token() * 3, usage(3), END], Outcome.OK, ""),
        ([HEAD, token() * 2, event({"choices": [{"text": "a", "finish_reason": "stop"}]}), END], Outcome.OK, ""),
        ([HEAD, token() * 3, END], Outcome.MALFORMED, "without [DONE] or a finish reason after 3 events"),
        ([HEAD, token(usage={"completion_tokens": 1}), END], Outcome.MALFORMED, "without [DONE]"),
        ([HEAD, token(), chunk(b'data: {"choi'), END], Outcome.MALFORMED, "within an event"),
        ([HEAD, token(), event('{"choices":[{"te')], Outcome.MALFORMED, "cannot be read"),
        ([HEAD, chunk(b"<html>sorry</html>\n\n"), END], Outcome.MALFORMED, "without [DONE]"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], Outcome.MALFORMED, "not HTTP"),
        ([HEAD, b"zz\r\n"], Outcome.MALFORMED, "not HTTP"),
        ([HEAD, token(), event({"error": {"message": "boom", "code": 500}}), DONE, END], Outcome.ENGINE_DEAD, "boom"),
        ([HEAD, token(), event({"error": {"message": "no", "code": 400}}), DONE, END], Outcome.HTTP_ERROR, "no"),
        ([HEAD, token() * 3, event({"error": "x"}), usage(3), DONE, END], Outcome.HTTP_ERROR, "x"),
        ([HEAD.replace(b"text/event-stream", b"text/html"), chunk(b"hi"), END], Outcome.MALFORMED, "text/html"),
        ([HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")], Outcome.MALFORMED, "gzip"),
        (
            [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
            Outcome.MALFORMED,
            "another protocol",
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, token() * 3, usage(3), DONE, END], Outcome.OK, ""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + token() * 3 + usage(3) + DONE + END], Outcome.OK, ""),
    ],
)
def test_how_streams_end(pieces: list[bytes], outcome: Outcome, words: str) -> None:
    response = response_to(*pieces)
    assert response.over
    assert response.outcome is outcome
    assert words in response.error


def plain(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error_body(message: str, code: int) -> bytes:
    return json.dumps({"error": {"message": message, "type": "T", "param": None, "code": code}}).encode()


TOO_LONG = "This model's maximum context length is 4096 tokens. However, your prompt contains 4100 input tokens"


@pytest.mark.parametrize(
    ("sent", "outcome", "words"),
    [
        (plain("400 Bad Request", error_body(TOO_LONG, 400)), Outcome.TOO_LONG, "4096"),
        (plain("400 Bad Request", error_body("max_tokens must be at least 1, got 0.", 400)), Outcome.TOO_LONG, "got 0"),
        (plain("400 Bad Request", error_body("Token id 99999 is out of vocabulary", 400)), Outcome.HTTP_ERROR, "99999"),
        (plain("404 Not Found", error_body("The model `nope` does not exist.", 404)), Outcome.HTTP_ERROR, "HTTP 404"),
        (plain("404 Not Found", b'{"detail":"Not Found"}'), Outcome.HTTP_ERROR, "HTTP 404: Not Found"),
        (plain("429 Too Many Requests", b"slow down"), Outcome.OVERLOADED, "slow down"),
        (plain("503 Service Unavailable", error_body("The engine is busy", 503)), Outcome.OVERLOADED, "busy"),
        (plain("500 Internal Server Error", b"<html>\x1b[31mred"), Outcome.HTTP_ERROR, "HTTP 500: <html>red"),
        (plain("500 Internal Server Error", error_body("EngineCore encountered", 500)), Outcome.ENGINE_DEAD, "500"),
        (plain("500 Internal Server Error", b""), Outcome.HTTP_ERROR, "no body"),
        (plain("302 Found", b"", "location: http://elsewhere/"), Outcome.HTTP_ERROR, "elsewhere/ is not followed"),
        (plain("200 OK", b'{"choices":[]}', "content-type: application/json"), Outcome.MALFORMED, "application/json"),
        (plain("200 OK", error_body("no", 400), "content-type: application/json"), Outcome.HTTP_ERROR, "HTTP 200"),
        (plain("204 No Content", b""), Outcome.HTTP_ERROR, "HTTP 204"),
    ],
)
def test_answers_that_are_no_stream_cut_at_every_byte(sent: bytes, outcome: Outcome, words: str) -> None:
    for at in range(len(sent)):
        response = response_to(sent[:at], sent[at:])
        assert response.over, at
        assert response.outcome is outcome
        assert words in response.error
        assert response.http.keep_alive


def test_retry_after_is_told() -> None:
    assert response_to(plain("503 X", b"", "Retry-After: 7")).http.retry_after_s == 7
    assert response_to(plain("503 X", b"", "Retry-After: Fri, 20 Nov 2026 17:52:05 GMT")).http.retry_after_s is None
    assert response_to(plain("503 X", b"", "Retry-After: -7")).http.retry_after_s is None
    assert response_to(plain("503 X", b"", "Retry-After: nan")).http.retry_after_s is None


def test_a_huge_header_is_refused_early() -> None:
    response = new_response()
    fed = 0
    response.feed(b"HTTP/1.1 200 OK\r\nx: ", 0)
    while not response.over and fed < 10 * MAX_HEADER_BYTES:
        response.feed(b"y" * 1000, 0)
        fed += 1000
    assert response.outcome is Outcome.MALFORMED
    assert "header" in response.error
    assert fed < MAX_HEADER_BYTES + 2000


def test_a_huge_error_body_is_not_kept() -> None:
    response = new_response()
    response.feed(b"HTTP/1.1 500 X\r\ncontent-length: 100000000\r\n\r\n", 0)
    for _ in range(100):
        response.feed(b"y" * 1000, 0)
    assert response.over
    assert response.outcome is Outcome.HTTP_ERROR
    assert len(response.error) <= 2000
    assert not response.http.keep_alive


def test_http_1_0_lasts_until_the_end_of_the_connection() -> None:
    body = b'data: {"choices":[{"text":"a"}]}\n\n' * 3
    body += b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\ndata: [DONE]\n\n'
    response = response_to(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", body)
    assert not response.over
    response.end_of_stream(9)
    assert response.outcome is Outcome.OK
    assert not response.http.keep_alive


def test_http_1_0_that_breaks_off() -> None:
    response = response_to(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", b"data: {")
    response.end_of_stream(9)
    assert response.outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("pieces", "where"),
    [
        ([], "before any answer"),
        ([b"HTTP/1.1 200"], "in the header"),
        ([HEAD], "in the body"),
        ([HEAD, token()], "body"),
    ],
)
def test_a_connection_that_ends_early(pieces: list[bytes], where: str) -> None:
    response = response_to(*pieces)
    response.end_of_stream(9, "Connection reset by peer")
    assert response.outcome is Outcome.DISCONNECTED
    assert response.error.startswith("Connection reset by peer")
    assert where in response.error


def test_an_error_event_outlives_the_reset_that_follows() -> None:
    response = response_to(HEAD, event({"error": {"message": "EngineCore encountered an issue", "code": 500}}))
    response.end_of_stream(9, "Connection reset by peer")
    assert response.outcome is Outcome.ENGINE_DEAD


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HEAD, chunk(token()), chunk(usage(1)), chunk(DONE), END], id="whole"),
        pytest.param([HEAD, chunk(token()), chunk(b"data: {\n\n")], id="malformed"),
        pytest.param([HEAD, chunk(token() * 20)], id="too many"),
        pytest.param([b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"], id="refused"),
        pytest.param([b"nonsense\r\n"], id="not HTTP"),
        pytest.param([HEAD, chunk(token())], id="cut off"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_is_over_does_not_wait_for_the_garbage_collector(pieces: list[bytes]) -> None:
    gc.collect()
    gc.disable()
    try:
        response = response_to(*pieces, asked=1)
        response.end_of_stream(9)
        assert response.over
        del response
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_connection_close_is_heeded() -> None:
    body = token() * 3 + usage(3) + DONE + END
    assert response_to(HEAD + body).http.keep_alive
    assert not response_to(HEAD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + body).http.keep_alive


@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_no_bytes_make_it_raise(pieces: list[bytes], behind_a_head: bool) -> None:
    response = response_to(*([HEAD] if behind_a_head else []), *pieces)
    response.end_of_stream(9)
    assert response.over
    assert response.outcome is not Outcome.OK
