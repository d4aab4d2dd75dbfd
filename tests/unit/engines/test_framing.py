"""Events come out the same however the network cut them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines.parts import framing as sse
from tui.engines.parts.dialect import read_error
from tui.engines.parts.framing import (
    MAX_EVENT_BYTES,
    AwsEventStream,
    Emit,
    EventTooLong,
    Framing,
    FramingError,
    JsonLines,
    Sse,
)


def split(*pieces: bytes) -> list[bytes]:
    events: list[bytes] = []
    splitter = Sse(events.append)
    for piece in pieces:
        splitter.feed(piece)
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\n", [b"a"]),
        (b"data: a\r\rdata: b\r\n\r\n", [b"a", b"b"]),
        (b": keep alive\n\ndata: a\n\n", [b"a"]),
        (b": keep alive\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 7\ndata: a\nretry: 5\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\rdata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"\n\n\ndata: a\n\n", [b"a"]),
        (b"data: a\n", []),
        (b"datum: a\n\n", []),
    ],
)
def test_every_form_cut_at_every_byte(body: bytes, events: list[bytes]) -> None:
    assert split(body) == events
    for at in range(len(body)):
        assert split(body[:at], body[at:]) == events, at
    assert split(*(body[at : at + 1] for at in range(len(body)))) == events


@given(st.data())
def test_any_stream_cut_anywhere(data: st.DataObject) -> None:
    line_end = st.sampled_from([b"\n", b"\r\n", b"\r"])
    text = st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
    body, expected = b"", []
    for lines in data.draw(st.lists(st.lists(text, min_size=1, max_size=3), max_size=6)):
        end = data.draw(line_end)
        if data.draw(st.booleans()):
            body += b":" + data.draw(text) + end
        body += b"".join(b"data: " + line + end for line in lines) + end
        expected.append(b"\n".join(lines))
    # A lone \r at the very end might be half of \r\n, so the last event waits for one byte more.
    body += b":"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert split(*pieces) == expected


def test_an_event_that_never_ends_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    splitter = Sse(lambda data: None)
    fed = 0
    with pytest.raises(EventTooLong):
        while fed < 100 * MAX_EVENT_BYTES:
            splitter.feed(b"data: " + b"x" * 65530)
            fed += 65536
    assert fed < 2 * MAX_EVENT_BYTES


def test_many_lines_of_one_event_are_refused_too() -> None:
    splitter = Sse(lambda data: None)
    with pytest.raises(EventTooLong):
        for _ in range(2 * MAX_EVENT_BYTES // 1000):
            splitter.feed(b"data: " + b"x" * 1000 + b"\n")


def test_a_large_read_of_many_events_is_no_large_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    assert split(b"data: abc\n\n" * 1000) == [b"abc"] * 1000


def test_what_was_begun_and_not_ended_shows() -> None:
    splitter = Sse(lambda data: None)
    assert not splitter.unfinished
    splitter.feed(b"data: a\n\n\n")
    assert not splitter.unfinished
    splitter.feed(b"data: b")
    assert splitter.unfinished


# Other framings.


def framed(make: Callable[[Emit], Framing], *pieces: bytes) -> tuple[list[bytes], Framing]:
    events: list[bytes] = []
    framing = make(events.append)
    for piece in pieces:
        framing.feed(piece)
    return events, framing


LINES = b'{"a":1}\n\n {"b":2}\r\n{"c":"\xc3\xa9"}\n'


def test_json_lines_come_out_alike_however_they_are_cut() -> None:
    for at in range(len(LINES)):
        events, framing = framed(JsonLines, LINES[:at], LINES[at:])
        assert events == [b'{"a":1}', b'{"b":2}', b'{"c":"\xc3\xa9"}'], at
        assert framing.between and not framing.unfinished


def test_a_last_line_of_json_may_lack_its_line_break() -> None:
    events, framing = framed(JsonLines, b'{"a":1}\n{"b":2}')
    assert not framing.between
    assert not framing.unfinished
    assert events == [b'{"a":1}', b'{"b":2}']
    _, broken = framed(JsonLines, b'{"a":1}\n{"b":')
    assert broken.unfinished


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(EventTooLong):
        framed(JsonLines, b"x" * (MAX_EVENT_BYTES + 1))


def frame(payload: bytes, **headers: str) -> bytes:
    """As Amazon's services frame it."""
    block = b"".join(
        struct.pack(">B", len(name)) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in ((f":{name.replace('_', '-')}".encode(), value.encode()) for name, value in headers.items())
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    head = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return head + struct.pack(">I", crc32(head))


PART = {"message_type": "event", "event_type": "PayloadPart", "content_type": "application/octet-stream"}
# As botocore 1.44 reads them: an event of no borders over three frames, and one of two events.
FRAMES = (
    frame(b'data: {"a"', **PART)
    + frame(b":1}\n", **PART)
    + frame(b"\ndata: b\n\ndata: c\n\n", **PART)
    + frame(b"", message_type="event", event_type="End")
)


def test_frames_of_amazon_come_out_alike_however_they_are_cut() -> None:
    for at in range(len(FRAMES)):
        events, framing = framed(AwsEventStream, FRAMES[:at], FRAMES[at:])
        assert events == [b'{"a":1}', b"b", b"c"], at
        assert framing.between and not framing.unfinished


def test_framings_stack() -> None:
    events, _ = framed(
        lambda emit: AwsEventStream(emit, JsonLines), frame(b'{"a":1}\n{"b"', **PART), frame(b":2}\n", **PART)
    )
    assert events == [b'{"a":1}', b'{"b":2}']


def test_emit_can_be_changed_within_itself() -> None:
    seen: list[bytes] = []
    framing = AwsEventStream(lambda data: None)

    def first(data: bytes) -> None:
        seen.append(data)
        framing.emit = lambda data: None

    framing.emit = first
    framing.feed(FRAMES)
    assert seen == [b'{"a":1}']


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        (
            frame(b'{"Message":"timed out","ErrorCode":"ModelInvocationTimeExceeded"}', message_type="exception",
                  exception_type="ModelStreamError"),
            "ModelStreamError: timed out (ModelInvocationTimeExceeded)",
        ),
        (frame(b"", message_type="error", error_code="Internal", error_message="no"), "Internal: no"),
        (frame(b"gone", message_type="exception", exception_type="X"), "X: gone"),
        (frame(b"", message_type="exception"), "exception"),
    ],
)  # fmt: skip
def test_exceptions_are_events_that_every_dialect_reads(exception: bytes, message: str) -> None:
    events, _ = framed(AwsEventStream, frame(b"data: a\n\n", **PART) + exception)
    assert read_error(events[1])[0] == message


def test_a_flipped_bit_anywhere_in_a_frame_is_found() -> None:
    whole = frame(b"data: a\n\n", **PART)
    for at in range(len(whole) * 8):
        broken = bytearray(whole)
        broken[at // 8] ^= 1 << at % 8
        with pytest.raises(FramingError):
            framed(AwsEventStream, bytes(broken))


@given(st.binary(max_size=300))
def test_no_bytes_make_amazons_framing_raise_anything_else(body: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(body), min(len(body), 40))
    head = prelude + struct.pack(">I", crc32(prelude)) + body
    for piece in (body, head + struct.pack(">I", crc32(head))):
        try:
            framed(AwsEventStream, piece)
        except FramingError:
            pass


def test_a_frame_that_is_too_long_is_refused_before_it_came() -> None:
    prelude = struct.pack(">II", MAX_EVENT_BYTES + 1, 0)
    with pytest.raises(EventTooLong):
        framed(AwsEventStream, prelude + struct.pack(">I", crc32(prelude)))


def test_a_byte_order_mark_before_the_first_event_is_none_of_it() -> None:
    assert split(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]
