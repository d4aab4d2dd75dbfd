"""Whatever a server truthfully tells is used: counts in other places and moments, odd ends, odd types, none at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.load.test_response import DONE, END, HEAD, chunk, event, response_to, token, usage
from tui.core.outcome import Outcome
from tui.engines.parts.openai_stream import DIALECT
from tui.load.response import Response
from tui.load.tally import Tally
from tui.metrics.record import CountedBy

TYPE = b"content-type: text/event-stream; charset=utf-8"


def delta(content: str | None = None, reason: str | None = None, **more: Any) -> bytes:
    said = {} if content is None else {"content": content}
    return event({"choices": [{"delta": said, "finish_reason": reason}], **more})


def counted(tokens: int | None) -> dict[str, Any]:
    return {"usage": None if tokens is None else {"prompt_tokens": 7, "completion_tokens": tokens}}


ROLE = event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
EARLY = event({"choices": [{"delta": {"role": "assistant", "content": ""}}], **counted(1)})
NOTE = event({"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]})

STREAMS: dict[str, tuple[list[bytes], int, CountedBy]] = {
    "usage of zeros on each, the true one last": (
        [delta("a", **counted(0))] * 3 + [delta(reason="length", **counted(3)), DONE],
        3,
        CountedBy.USAGE,
    ),
    "usage of zeros on each, and no true one": (
        [*[delta("a", **counted(0))] * 3, delta(reason="length", **counted(0)), DONE],
        3,
        CountedBy.EVENTS,
    ),
    "usage lags by one": (
        [delta("a", **counted(0)), delta("b", **counted(1)), delta("c", **counted(2)), usage(3), DONE],
        3,
        CountedBy.USAGE,
    ),
    "usage lags by one to the end": (
        [delta("a", **counted(0)), delta("b", **counted(1)), delta("c", "length", **counted(2)), DONE],
        3,
        CountedBy.EVENTS,
    ),
    "usage in the choice": (
        [*[delta("a")] * 3, event({"choices": [{"delta": {}, "finish_reason": "stop", **counted(3)}]}), DONE],
        3,
        CountedBy.USAGE,
    ),
    "usage in a choice with an empty delta": (
        [ROLE, *[delta("a")] * 3, delta(reason="length"), delta(**counted(3)), DONE],
        3,
        CountedBy.USAGE,
    ),
    "usage early, on the role, and at the end": (
        [EARLY, *[delta("a")] * 3, delta(reason="length"), usage(3), DONE],
        3,
        CountedBy.USAGE,
    ),
    "usage early, on the role, and never again": (
        [EARLY, *[delta("a")] * 3, delta(reason="length"), DONE],
        3,
        CountedBy.EVENTS,
    ),
    "usage behind the mark": ([*[delta("a")] * 3, DONE, usage(3)], 3, CountedBy.USAGE),
    "usage null": ([*[delta("a", usage=None)] * 3, delta(reason="stop", usage=None), DONE], 3, CountedBy.EVENTS),
    "usage nowhere": ([*[delta("a")] * 3, DONE], 3, CountedBy.EVENTS),
    "several tokens in each event, told at the end": ([delta("a b"), delta("c"), usage(3), DONE], 3, CountedBy.USAGE),
    "no mark, but a finish reason": ([*[delta("a")] * 2, delta("a", "length")], 3, CountedBy.EVENTS),
    "no mark, but a usage": ([*[delta("a")] * 3, usage(3)], 3, CountedBy.USAGE),
    "choices without text and delta": ([NOTE, *[delta("a")] * 3, NOTE, usage(3), DONE], 3, CountedBy.USAGE),
    "fewer than asked": ([*[delta("a")] * 2, delta(reason="stop"), usage(2), DONE], 2, CountedBy.USAGE),
    "more than asked": ([*[delta("a")] * 5, delta(reason="stop"), usage(5), DONE], 5, CountedBy.USAGE),
    "the role on each delta": (
        [event({"choices": [{"delta": {"role": "assistant", "content": "a"}}]})] * 3 + [usage(3), DONE],
        3,
        CountedBy.USAGE,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_it_is_a_success_with_its_real_length(name: str) -> None:
    pieces, tokens, by = STREAMS[name]
    whole = b"".join([HEAD, *pieces, END])
    for at in range(len(HEAD), len(whole), 3):
        response = response_to(whole[:at], whole[at:], exact=False)
        seen = (response.outcome, response.output_tokens, response.counted_by)
        assert seen == (Outcome.OK, tokens, by), (at, response.error)


def arrivals(pieces: list[bytes], asked: int = 3) -> tuple[list[int], int | None]:
    response = response_to(HEAD, *pieces, END, asked=asked, exact=False)
    assert response.outcome is Outcome.OK, response.error
    return [at_ns - 1000 for at_ns in response.stamps_ns], response.output_tokens


def test_what_bears_neither_text_nor_delta_has_no_time() -> None:
    assert arrivals([NOTE, ROLE, delta("a"), delta("b"), delta("c"), NOTE, usage(3), DONE]) == ([3, 4, 5], 3)


CLOSING = event({"choices": [{"text": "", "finish_reason": "length"}]})


@pytest.mark.parametrize("closing", [CLOSING, delta("", "length"), delta(reason="length")])
def test_a_closing_event_with_empty_text_does_not_move_the_last_token(closing: bytes) -> None:
    assert arrivals([token(), token(), token(), closing, usage(3), DONE]) == ([1, 2, 3], 3)
    assert arrivals([token(), token(), token(), closing, DONE]) == ([1, 2, 3], 3)


def test_a_closing_event_with_empty_text_is_the_last_token_where_the_count_says_so() -> None:
    assert arrivals([token(), token(), CLOSING, usage(3), DONE]) == ([1, 2, 3], 3)


def test_an_empty_text_within_the_stream_is_a_token() -> None:
    assert arrivals([token(), token(""), token(), usage(3), DONE]) == ([1, 2, 3], 3)


@pytest.mark.parametrize(
    "said",
    [
        b"content-type: application/json, text/event-stream",
        b"Content-Type: Text/Event-Stream;charset=UTF-8",
        b"content-type: text/event-stream , application/json; q=1",
        b"x: y",
    ],
)
def test_content_types_that_are_odd_or_missing(said: bytes) -> None:
    head = HEAD.replace(TYPE, said)
    assert head != HEAD
    whole = head + token() * 3 + usage(3) + DONE + END
    for at in range(len(whole)):
        assert response_to(whole[:at], whole[at:]).outcome is Outcome.OK, at


@pytest.mark.parametrize("body", [b'{"choices":[]}', b" <html>sorry</html>", b"[]"])
def test_a_body_without_a_type_that_is_no_stream(body: bytes) -> None:
    response = response_to(HEAD.replace(TYPE, b"x: y"), chunk(body), END)
    assert response.outcome is Outcome.MALFORMED
    assert response.error.startswith("content type none, expected text/event-stream")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("Model was unloaded while the request waited.", Outcome.HTTP_ERROR),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", Outcome.OOM_RUNTIME),
        ("Model is overloaded", Outcome.OVERLOADED),
        ("Error: this model's maximum context length is 100 tokens", Outcome.TOO_LONG),
    ],
)
def test_errors_in_plain_words_are_quoted_and_understood(said: str, outcome: Outcome) -> None:
    ended: list[bool] = []
    response = Response(3, DIALECT, Tally(), on_end=lambda: ended.append(True))
    response.feed(HEAD + chunk(b"data: " + said.encode() + b"\n\n"), 1)
    assert ended == [True]
    assert not response.over
    response.end_body()
    assert (response.outcome, response.error, response.http.keep_alive) == (outcome, said, False)


def test_what_cannot_be_read_is_quoted() -> None:
    response = response_to(HEAD, event('{"choices":[{"te'))
    assert response.outcome is Outcome.MALFORMED
    assert response.error.endswith('{"choices":[{"te')


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        ("422 X", "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 100", Outcome.TOO_LONG),
        (
            "400 X",
            "The sum of prompt length (128) should not exceed max_num_tokens (100)",
            Outcome.TOO_LONG,
        ),
        ("400 X", "prompt is too long: 128 tokens > 100 maximum", Outcome.TOO_LONG),
        ("413 X", "<html>413 Request Entity Too Large</html>", Outcome.TOO_LONG),
        ("500 X", "CUDA out of memory. Tried to allocate 20 MiB", Outcome.OOM_RUNTIME),
        ("422 X", "temperature must be above 0", Outcome.HTTP_ERROR),
    ],
)
def test_refusals_in_the_words_of_many_servers(status: str, said: str, outcome: Outcome) -> None:
    body = said.encode()
    response = response_to(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    assert response.outcome is outcome


@pytest.mark.parametrize("tokens", [-1, 1 << 41, 10**30])
@pytest.mark.parametrize("at", ["each", "end"])
def test_a_count_that_no_answer_has_is_the_answers_fault_and_goes_no_further(tokens: int, at: str) -> None:
    pieces = [delta("a", **counted(tokens))] * 3 if at == "each" else [delta("a")] * 3
    last = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
    for first in ([], [delta("a", **counted(1)), delta("a", **counted(2))]):  # of which the template is learnt
        response = response_to(HEAD + b"".join([*first, *pieces, last, DONE, END]), exact=False, asked=8)
        assert response.outcome is Outcome.MALFORMED, response.error
        assert 0 <= (response.output_tokens or 0) <= 8
        assert response.counted <= 8


@pytest.mark.parametrize("tokens", [-1, 1 << 41, 10**30])
def test_a_prompt_of_so_many_tokens_is_as_one_that_was_not_counted(tokens: int) -> None:
    for pieces in (
        [delta("a")] * 3 + [usage(3, tokens)],
        [
            event(
                {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": tokens, "completion_tokens": n}}
            )
            for n in (1, 2, 3)
        ],
    ):
        response = response_to(HEAD + b"".join([*pieces, DONE, END]), exact=False)
        assert (response.outcome, response.prompt_tokens, response.output_tokens) == (Outcome.OK, None, 3)
