"""That what is told of an event by its form alone is what decoding it would have told, whatever comes."""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines import llama_cpp, ollama, sagemaker
from tui.engines.parts import tgi_stream
from tui.engines.parts.dialect import TOKEN, Dialect, StreamEvent
from tui.load.response import Response
from tui.load.tally import Tally

CORPUS = Path(__file__).parents[2] / "corpus" / "engines"
DIALECTS = {
    "tgi": tgi_stream.DIALECT,
    "sagemaker": sagemaker.DIALECT,
    "ollama": ollama.DIALECT,
    "llama-cpp": llama_cpp.DIALECT,
}
ODD = [b'"', b"\\", b"\\n", b"0", b"null", b"\x80", b"\xc3\xa4", b"7", b",", b"}", b"\n", b"\r\n", b" "]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value


def frame(payload: bytes, kind: bytes = b"event") -> bytes:
    headers = header(b":event-type", b"PayloadPart") + header(b":message-type", kind)
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


AROUND: dict[str, Callable[[bytes], bytes]] = {
    "tgi": lambda payload: b"data: %b\n\n" % payload,
    "sagemaker": lambda payload: frame(b"data:%b\n\n" % payload),
    "ollama": lambda payload: payload + b"\n",
    "llama-cpp": lambda payload: b"data: %b\n\n" % payload,
}


def payloads_of(name: str) -> list[list[bytes]]:
    """The events of each answer of the corpus in which all goes well."""
    answers = tomllib.loads((CORPUS / f"{name}.toml").read_text())["answers"]
    bodies = [answer["body"].encode() for answer in answers if answer["kind"] in ("good", "packed", "more", "fewer")]
    return [[line[line.index(b"{") :] for line in body.splitlines() if b"{" in line] for body in bodies]


def all_told(dialect: Dialect, reads: list[bytes]) -> dict[str, object]:
    """Return all that a response made of its reads."""
    tally = Tally()
    nearly_over: list[int] = []
    response = Response(4, dialect, tally, on_last_token=lambda: nearly_over.append(len(response.stamps_ns)))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % dialect.media_types[0]
    for at, read in enumerate([head, *reads]):
        response.feed(read, 10**9 + at * 50_000_000)
    counted, stamps = response.counted, list(response.stamps_ns)
    response.end_of_stream(5 * 10**9)
    return {
        "counted": counted,
        "stamps": stamps,
        "tally": tally.take(),
        "nearly over": nearly_over,
        "keep alive": response.http.keep_alive,
        **{
            name: getattr(response, name)
            for name in ("outcome", "error", "output_tokens", "counted_by", "prompt_tokens", "counted", "stamps_ns")
        },
    }


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_whatever_has_the_form_tells_what_it_is_taken_to_tell(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    assert dialect.usual is not None
    payload = data.draw(st.from_regex(dialect.usual, fullmatch=True))
    match = dialect.usual.fullmatch(payload)
    assert match is not None
    told = StreamEvent(bears_tokens=True, output_tokens=int(match[1])) if match.lastindex else TOKEN
    assert dialect.decode(payload) == told


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_any_change_of_any_event_is_judged_as_its_dialect_judges_it(name: str, data: st.DataObject) -> None:
    dialect, around = DIALECTS[name], AROUND[name]
    payloads = list(data.draw(st.sampled_from(payloads_of(name))))
    payloads[1:1] = [payloads[0]] * data.draw(st.integers(0, 3))
    changed = data.draw(st.integers(0, len(payloads) - 1))
    payloads[changed] = data.draw(mutated(payloads[changed]))
    reads = [chunk(around(payload)) for payload in payloads]
    if data.draw(st.booleans()):  # a fault of the frame, or of the chunk's size
        at = data.draw(st.integers(0, len(reads) - 1))
        reads[at] = data.draw(mutated(reads[at]))
    if data.draw(st.booleans()):
        reads.append(b"".join(reads[-2:]))  # some at once, as when it is behind
    if data.draw(st.booleans()):
        reads.append(b"0\r\n\r\n")
    assert all_told(dialect, reads) == all_told(replace(dialect, usual=None), reads)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    until = draw(st.integers(at, min(len(data), at + 3)))
    return data[:at] + draw(st.binary(max_size=2) | st.sampled_from(ODD)) + data[until:]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_usual_event_is_not_decoded(name: str) -> None:
    decoded: list[bytes] = []

    def counting(payload: bytes) -> StreamEvent:
        decoded.append(payload)
        return DIALECTS[name].decode(payload)

    first = payloads_of(name)[-1][0]
    reads = [chunk(AROUND[name](first))] * 20
    told = all_told(replace(DIALECTS[name], decode=counting), reads)
    assert told["stamps"] and len(told["stamps"]) == 20  # type: ignore[arg-type]
    assert len(decoded) == 1


def test_frames_that_are_no_event_or_several_in_one_chunk_are_read_alike() -> None:
    payload = payloads_of("sagemaker")[0][0]
    event = frame(b"data:%b\n\n" % payload)
    exception = frame(b'{"Message":"it broke"}', b"exception")
    halves = frame(b"data:" + payload[:20]), frame(payload[20:] + b"\n\n")
    wrong = event[:-1] + bytes([event[-1] ^ 1])
    other_head = frame(b"data:%b\n\n" % payload, b"error")
    for odd in (exception, event + event, b"".join(halves), wrong, other_head, event[:40]):
        reads = [chunk(event), chunk(event), chunk(odd), chunk(event)]
        dialect = sagemaker.DIALECT
        assert all_told(dialect, reads) == all_told(replace(dialect, usual=None), reads)
    reads = [chunk(event), *map(chunk, halves), chunk(event)]
    assert all_told(sagemaker.DIALECT, reads)["counted"] == 3
