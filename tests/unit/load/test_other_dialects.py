"""Answers of systems that count, frame and end otherwise than OpenAI's API does."""

from __future__ import annotations

import json
from functools import partial

import pytest

from tests.unit.engines.test_framing import PART, frame
from tests.unit.load.test_response import END, HEAD, chunk, event
from tui.core.outcome import Outcome
from tui.engines.parts.dialect import Count, Dialect, Ending, StreamEvent, read_error
from tui.engines.parts.framing import AwsEventStream, JsonLines, Sse
from tui.load.response import Response
from tui.load.tally import Tally
from tui.metrics.record import CountedBy

NDJSON = HEAD.replace(b"text/event-stream; charset=utf-8", b"application/x-ndjson")
AMAZON = HEAD.replace(b"text/event-stream; charset=utf-8", b"application/vnd.amazon.eventstream")


def decode_parts(payload: bytes) -> StreamEvent:
    """As Triton's vLLM backend: each event has the number of its own tokens, and the body just ends."""
    found = json.loads(payload)
    if "error" in found:
        return StreamEvent(error=read_error(payload)[0])
    return StreamEvent(bears_tokens=found["n"] > 0, tokens=found["n"], finished=found.get("why", "None") != "None")


def decode_texts(payload: bytes) -> StreamEvent:
    """As Triton's TensorRT-LLM ensemble: a text in each event, and no count at all."""
    return StreamEvent(bears_tokens=bool(json.loads(payload)["text"]))


TRITON = Dialect(decode_parts, ending=Ending.END_OF_BODY, count=Count.PER_EVENT)
ENSEMBLE = Dialect(decode_texts, ending=Ending.END_OF_BODY, count=Count.EVENTS)


def response_to(dialect: Dialect, *pieces: bytes, exact: bool = True) -> tuple[Response, Tally]:
    tally = Tally()
    response = Response(3, dialect, tally, exact=exact)
    for at, piece in enumerate(pieces):
        response.feed(piece, at)
    return response, tally


def test_counts_of_each_event_are_summed() -> None:
    response, tally = response_to(TRITON, HEAD, event({"n": 1}), event({"n": 2, "why": "length"}), END)
    assert (response.outcome, response.output_tokens, response.counted_by) == (Outcome.OK, 3, CountedBy.USAGE)
    assert response.stamps_ns == [1, 2]
    assert tally.take() == ([(0, 3)], 2)


def test_too_few_by_the_sum_are_a_fault_where_the_number_was_forced() -> None:
    pieces = [HEAD, event({"n": 1}), event({"n": 1}), END]
    assert response_to(TRITON, *pieces)[0].outcome is Outcome.MALFORMED
    assert response_to(TRITON, *pieces, exact=False)[0].outcome is Outcome.OK


def test_too_many_by_the_sum_are_stopped() -> None:
    response, _ = response_to(TRITON, HEAD, event({"n": 60}), event({"n": 60}))
    assert response.outcome is Outcome.MALFORMED
    assert "stopped after 120 tokens, though 3" in response.error


def test_an_error_within_a_body_that_just_ends() -> None:
    response, _ = response_to(TRITON, HEAD, event({"n": 1}), event({"error": "CUDA out of memory"}), END)
    assert (response.outcome, response.error) == (Outcome.OOM_RUNTIME, "CUDA out of memory")


def test_without_any_count_the_events_are_counted() -> None:
    response, _ = response_to(ENSEMBLE, HEAD, *[event({"text": "a"})] * 3, event({"text": ""}), END)
    assert (response.outcome, response.output_tokens, response.counted_by) == (Outcome.OK, 3, CountedBy.EVENTS)
    assert response.stamps_ns == [1, 2, 3]


def test_an_end_of_the_connection_is_no_end_of_a_body() -> None:
    response, _ = response_to(ENSEMBLE, HEAD, *[event({"text": "a"})] * 3)
    response.end_of_stream(9)
    assert response.outcome is Outcome.DISCONNECTED


@pytest.mark.parametrize("last", [b'{"n":2,"why":"stop"}\n', b'{"n":2,"why":"stop"}'])
def test_lines_of_json_cut_at_every_byte(last: bytes) -> None:
    dialect = Dialect(decode_parts, JsonLines, (b"application/x-ndjson",), count=Count.PER_EVENT)
    whole = NDJSON + chunk(b'{"n":1}\n') + chunk(last) + END
    for at in range(len(whole)):
        response, _ = response_to(dialect, whole[:at], whole[at:])
        assert (response.outcome, response.output_tokens) == (Outcome.OK, 3), at


def test_events_in_frames_of_amazon_cut_at_every_byte() -> None:
    media_types = (b"application/vnd.amazon.eventstream",)
    dialect = Dialect(decode_parts, partial(AwsEventStream, inner=Sse), media_types, count=Count.PER_EVENT)
    body = frame(b'data: {"n"', **PART) + frame(b':1}\n\ndata: {"n":2,"why":"length"}\n\n', **PART)
    whole = AMAZON + chunk(body) + END
    for at in range(len(whole)):
        response, _ = response_to(dialect, whole[:at], whole[at:])
        assert (response.outcome, response.output_tokens) == (Outcome.OK, 3), at
    broken, _ = response_to(dialect, AMAZON, chunk(body[:-1] + b"?"))
    assert (broken.outcome, broken.error) == (Outcome.MALFORMED, "a frame with a wrong checksum")
