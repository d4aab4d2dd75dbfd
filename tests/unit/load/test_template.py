"""That what is known of an event without decoding it is what decoding it would have told, whatever comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.outcome import Outcome
from tui.engines.parts.dialect import StreamEvent
from tui.engines.parts.openai_stream import DIALECT, decode
from tui.load import template as template_module
from tui.load.response import Response
from tui.load.tally import Tally
from tui.load.template import LESSONS, MOST_POOR, MOST_TAILS, Template, framed, is_text

CORPUS = Path(__file__).parents[2] / "corpus" / "streams"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
COMPLETION = (
    b'{"id":"cmpl-%016x","object":"text_completion","created":1795197170,"model":"tiny","choices":[{"index":0,"text":"%b",'
    b'"logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]%b}'
)
CHAT = (
    b'{"id":"chatcmpl-%016x","object":"chat.completion.chunk","created":1795197173,"model":"tiny","choices":[{"index":0,'
    b'"delta":{"content":"%b"},"logprobs":null,"finish_reason":null,"token_ids":null}]%b}'
)
USAGE = b',"usage":{"prompt_tokens":20,"total_tokens":%d,"completion_tokens":%d}'
ODD = [b'"', b"\\", b"\\n", b"0", b"null", b"\x80", b"\xc3", b"7", b","]
TEXTS = ["mira", " solka", "雨", "\\n", "\\u00e4", "a", ""]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_module, "_shapes", {})


def chunk(payload: bytes) -> bytes:
    event = b"data: %b\n\n" % payload
    return b"%x\r\n%b\r\n" % (len(event), event)


def payloads(shape: bytes, texts: list[str], *, counts: list[int] | None, serial: int = 1) -> list[bytes]:
    usages = [b"" if counts is None else USAGE % (20 + count, count) for count in counts or range(len(texts))]
    return [shape % (serial, text.encode(), usage) for text, usage in zip(texts, usages, strict=True)]


def all_told(reads: list[bytes], *, by_template: bool) -> dict[str, object]:
    """Return all that a response made of its reads."""
    tally = Tally()
    dialect = DIALECT if by_template else replace(DIALECT, text_keys=())
    nearly_over: list[int] = []
    response = Response(8, dialect, tally, on_last_token=lambda: nearly_over.append(len(response.stamps_ns)))
    for at, read in enumerate([HEAD, *reads]):
        response.feed(read, 10**9 + at * 50_000_000)
    counted, stamps = response.counted, list(response.stamps_ns)
    response.end_of_stream(5 * 10**9)
    return {
        "counted": counted,
        "stamps": stamps,
        "tally": tally.take(),
        "nearly over": nearly_over,
        **{
            name: getattr(response, name)
            for name in ("outcome", "error", "output_tokens", "counted_by", "prompt_tokens", "counted", "stamps_ns")
        },
    }


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    shape = draw(st.sampled_from([COMPLETION, CHAT]))
    texts = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9))
    steps = draw(st.lists(st.sampled_from([0, 1, 1, 1, 3]), min_size=len(texts), max_size=len(texts)))
    counts = [sum(steps[: at + 1]) for at in range(len(steps))] if draw(st.booleans()) else None
    return payloads(shape, texts, counts=counts, serial=draw(st.integers(1, 3)))


@st.composite
def mutated(draw: st.DrawFn, payload: bytes) -> bytes:
    at = draw(st.integers(0, len(payload)))
    until = draw(st.integers(at, min(len(payload), at + 3)))
    new = draw(st.binary(max_size=2) | st.sampled_from(ODD))
    return payload[:at] + new + payload[until:]


@given(st.data())
def test_any_change_of_any_event_is_judged_as_its_dialect_judges_it(data: st.DataObject) -> None:
    # What was known of streams before this one is met by it as well.
    all_told([chunk(payload) for payload in data.draw(streams())], by_template=True)
    events = data.draw(streams())
    changed = data.draw(st.integers(0, len(events) - 1))
    events[changed] = data.draw(mutated(events[changed]))
    reads = [chunk(payload) for payload in events]
    if data.draw(st.booleans()):  # a chunk's size that is not right
        at = data.draw(st.integers(0, len(reads) - 1))
        reads[at] = data.draw(mutated(reads[at][:6])) + reads[at][6:]
    if data.draw(st.booleans()):
        reads.append(b"".join(reads[-2:]))  # some at once, as when it is behind
    assert all_told(reads, by_template=True) == all_told(reads, by_template=False)


@pytest.mark.parametrize("name", ["stream-running-usage.raw", "stream-100.raw", "stream-chat-100.raw"])
def test_vllms_own_bytes_are_read_alike(name: str) -> None:
    body = (CORPUS / name).read_bytes().partition(b"\r\n\r\n")[2]
    reads = [read + b"\n\n\r\n" for read in body.split(b"\n\n\r\n")[:-1]]
    for _ in range(2):
        assert all_told(reads, by_template=True) == all_told(reads, by_template=False)


@pytest.mark.parametrize("shape", [COMPLETION, CHAT])
@pytest.mark.parametrize("with_usage", [True, False])
def test_but_for_the_first_of_a_stream_what_another_has_shown_is_not_decoded(
    shape: bytes, with_usage: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def counting(payload: bytes) -> StreamEvent:
        decoded.append(payload)
        return decode(payload)

    dialect = replace(DIALECT, decode=counting)
    for serial in (1, 2):
        decoded.clear()
        response = Response(100, dialect, Tally())
        counts = list(range(1, 41)) if with_usage else None
        for at, read in enumerate([HEAD, *map(chunk, payloads(shape, ["mira"] * 40, counts=counts, serial=serial))]):
            response.feed(read, at)
        assert response.counted == 40
    assert len(decoded) == 1


def test_streams_that_are_no_two_alike_are_left_to_the_decoder() -> None:
    for serial in range(MOST_POOR + 2):
        response = Response(100, DIALECT, Tally())
        response.feed(HEAD, 0)
        for at, payload in enumerate(payloads(COMPLETION, ["a"] * 5, counts=[1, 2, 3, 4, 5], serial=serial)):
            response.feed(chunk(payload.replace(b'"prompt_tokens":20', b'"prompt_tokens":%d' % serial)), at)
        response.fail(Outcome.CANCELLED, "")
    learner = Template(DIALECT)
    (payload,) = payloads(COMPLETION, ["a"], counts=[1])
    learner.learn(payload, decode(payload))
    assert learner.head is None


def test_what_is_learned_has_a_bound() -> None:
    learner = Template(DIALECT)
    for count in range(1, MOST_TAILS + 50):
        (payload,) = payloads(COMPLETION, ["a"], counts=[count])
        learner.learn(payload, decode(payload))
    assert len(learner.tails) <= MOST_TAILS
    assert learner.told_by(framed(payload)) == decode(payload)
    changing = Template(DIALECT)
    for serial in range(LESSONS + 1):
        (payload,) = payloads(COMPLETION, ["a"], counts=[1], serial=serial)
        changing.learn(payload, decode(payload))
    assert changing.told_by(framed(payload)) is None


def test_an_event_of_several_lines_is_not_learned_from() -> None:
    learner = Template(DIALECT)
    (payload,) = payloads(COMPLETION, ["a"], counts=[1])
    for line_break in (b"\n", b"\r"):
        lines = payload.replace(b',"object"', line_break + b',"object"')
        assert decode(lines) == decode(payload)
        learner.learn(lines, decode(lines))
        assert learner.head is None


@pytest.mark.parametrize("texts", [["a" * 60, "雨", "a"] * 6, ["a"] * 120])
def test_events_whose_parts_do_not_stay_where_they_were_are_read_alike(texts: list[str]) -> None:
    """Texts and counts of other lengths, and sizes of chunks of two and of three digits."""
    for shape in (COMPLETION, CHAT):
        for counts in (None, list(range(1, len(texts) + 1))):
            reads = [chunk(payload) for payload in payloads(shape, texts, counts=counts)]
            for _ in range(2):
                assert all_told(reads, by_template=True) == all_told(reads, by_template=False)


@given(st.binary(max_size=8))
def test_a_text_is_what_stands_in_a_json_string_as_it_is(text: bytes) -> None:
    (payload,) = payloads(COMPLETION, ["a"], counts=[1])
    before, after = payload.split(b'"text":"a"')
    if is_text(text):
        assert decode(before + b'"text":"' + text + b'"' + after) == decode(payload)
