"""Events come out the same however the network cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines.parts import framing as sse
from tui.engines.parts.framing import MAX_EVENT_BYTES, EventTooLong, Sse


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
