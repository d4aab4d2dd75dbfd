"""Framings: the bytes of a body → the data of each event, however the network cut them. They stack.

Each is made with `emit`, which it calls with the data of each event as it completes; `emit` may be changed at any time,
from within itself too. Pure, and imported by the load workers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Protocol
from zlib import crc32

import msgspec

MAX_EVENT_BYTES = 1024 * 1024
_CR = ord("\r")
_BOM = b"\xef\xbb\xbf"

Emit = Callable[[bytes], None]


Whole = Callable[[bytes, int], re.Match[bytes] | None]
"""Matches bytes that are, from a place on, the chunk of one whole event of a usual kind, its line break included."""


class FramingError(ValueError):
    """Bytes that are not of the framing."""


class EventTooLong(FramingError):
    """An event of more than MAX_EVENT_BYTES."""


class Framing(Protocol):
    """Cuts one body into events."""

    emit: Emit

    def feed(self, body: bytes) -> None:
        """Take the next bytes of the body. Raises FramingError."""

    @property
    def between(self) -> bool:
        """Whether no event has begun."""

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun that did not end; asked when the body has ended."""


class Sse:
    """Server-sent events (WHATWG HTML, 9.2.6): emits the data of each event."""

    __slots__ = ("_data", "_data_bytes", "_first", "_pending", "between", "emit")

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._pending = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._first = True
        self.between = True

    def feed(self, body: bytes) -> None:
        """Take the next bytes of the body. Raises EventTooLong."""
        # Nearly always one read holds one event of one line: no copy into the buffer, no search for lines. A slice, and
        # a search for a byte by its number, take a third of the time of startswith and `b"\r" in`.
        line, _, rest = body.partition(b"\n")
        if rest == b"\n" and self.between and line[:6] == b"data: " and _CR not in line:
            emit = self.emit
            emit(line[6:])
            return
        self._pending += body
        if b"\n" in body or b"\r" in body or self._pending.startswith(b"\r"):
            self._split_lines()
        if len(self._pending) + self._data_bytes > MAX_EVENT_BYTES:
            raise EventTooLong(f"an event of more than {MAX_EVENT_BYTES} bytes")
        self.between = not self._pending and not self._data

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun that did not end."""
        return bool(self._pending.strip() or self._data)

    def _split_lines(self) -> None:
        lines = bytes(self._pending).splitlines(keepends=True)
        # A carriage return at the very end may be the first half of \r\n.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        self._pending[:] = rest
        for line in lines:
            self._take_line(line.rstrip(b"\r\n"))

    def _take_line(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data = []
                self._data_bytes = 0
                self.emit(data)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value)


class JsonLines:
    """One JSON value a line (NDJSON): emits each line that is not blank; the last may lack its line break."""

    __slots__ = ("_pending", "emit")

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._pending = bytearray()

    def feed(self, body: bytes) -> None:
        """Take the next bytes of the body. Raises EventTooLong."""
        line, end, rest = body.partition(b"\n")
        if end and not rest and not self._pending:
            self._take_line(line)
            return
        self._pending += body
        if end:
            *lines, rest = bytes(self._pending).split(b"\n")
            self._pending[:] = rest
            for line in lines:
                self._take_line(line)
        if len(self._pending) > MAX_EVENT_BYTES:
            raise EventTooLong(f"an event of more than {MAX_EVENT_BYTES} bytes")

    @property
    def between(self) -> bool:
        """Whether no line has begun."""
        return not self._pending

    @property
    def unfinished(self) -> bool:
        """Whether the body ended within a line; a last line that only lacks its line break is emitted first."""
        last, self._pending = bytes(self._pending).strip(), bytearray()
        if not last:
            return False
        try:
            msgspec.json.decode(last)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True
        self.emit(last)
        return False

    def _take_line(self, line: bytes) -> None:
        if line := line.strip():
            self.emit(line)


_PRELUDE = struct.Struct(">III")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")
_STRING = 7
# Sizes of the values of an event stream's headers, by their type; those of None begin with their length, 2 bytes.
_VALUE_BYTES: dict[int, int | None] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: None, _STRING: None, 8: 8, 9: 16}


class AwsEventStream:
    """Amazon's `application/vnd.amazon.eventstream`; the payloads of its frames are the body of `inner`.

    A frame is: length u32, length of its headers u32, CRC32 of these 8 bytes, headers, payload, CRC32 of all before,
    big-endian (the specification of Smithy, "Amazon Event Stream"). Frames may end anywhere within `inner`'s events. An
    exception comes out as an event of its own, `{"error": {"message", "type"}}`.
    """

    __slots__ = ("_head", "_headers", "_inner", "_needed", "_pending")

    def __init__(self, emit: Emit, inner: Callable[[Emit], Framing] = Sse) -> None:
        self._inner = inner(emit)
        self._pending = bytearray()
        self._needed = 0
        """With so many bytes the pending frame may be whole."""
        self._head = b""
        self._headers: dict[str, str] = {}
        """What was read of the head before: nearly all frames of a stream have the same."""

    @property
    def emit(self) -> Emit:
        """What takes the data of each event."""
        return self._inner.emit

    @emit.setter
    def emit(self, emit: Emit) -> None:
        self._inner.emit = emit

    def feed(self, body: bytes) -> None:
        """Take the next bytes of the body. Raises FramingError."""
        if self._pending:
            self._pending += body
            if len(self._pending) < self._needed:
                return
            body = bytes(self._pending)
            self._pending.clear()
        at, end, self._needed = 0, len(body), _PRELUDE.size
        while end - at >= _PRELUDE.size:
            length, headers_length, prelude_crc = _PRELUDE.unpack_from(body, at)
            if crc32(body[at : at + 8]) != prelude_crc:
                raise FramingError("a frame whose head has a wrong checksum")
            if length > MAX_EVENT_BYTES:
                raise EventTooLong(f"a frame of more than {MAX_EVENT_BYTES} bytes")
            if length < _PRELUDE.size + headers_length + _U32.size:
                raise FramingError("a frame that is shorter than its headers")
            if end - at < length:
                self._needed = length
                break
            self._take_frame(body[at : at + length], headers_length)
            at += length
        self._pending += body[at:]

    @property
    def between(self) -> bool:
        """Whether neither a frame nor an event has begun."""
        return not self._pending and self._inner.between

    @property
    def unfinished(self) -> bool:
        """Whether the body ended within a frame or an event."""
        return bool(self._pending) or self._inner.unfinished

    def _take_frame(self, frame: bytes, headers_length: int) -> None:
        end = len(frame) - _U32.size
        if crc32(frame[:end]) != _U32.unpack_from(frame, end)[0]:
            raise FramingError("a frame with a wrong checksum")
        payload_at = _PRELUDE.size + headers_length
        head = frame[_PRELUDE.size : payload_at]
        if head != self._head:
            self._headers = _headers_of(head)
            self._head = head
        headers = self._headers
        payload = frame[payload_at:end]
        kind = headers.get(":message-type", "event")
        if kind == "event":
            self._inner.feed(payload)
        else:
            name = headers.get(":exception-type") or headers.get(":error-code") or kind
            text = headers.get(":error-message") or _message_in(payload)
            self.emit(msgspec.json.encode({"error": {"message": f"{name}: {text}" if text else name, "type": name}}))


def _headers_of(block: bytes) -> dict[str, str]:
    """Return the headers that are strings, by name. Raises FramingError."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = block[at + 1 : name_end].decode()
            kind = block[name_end]
            at = name_end + 1
            size = _VALUE_BYTES[kind]
            if size is None:
                (size,) = _U16.unpack_from(block, at)
                at += _U16.size
            if at + size > len(block):
                raise FramingError("a frame whose headers do not end")
            if kind == _STRING:
                headers[name] = block[at : at + size].decode()
            at += size
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise FramingError(f"a frame whose headers cannot be read: {type(error).__name__}") from error
    return headers


def _message_in(payload: bytes) -> str:
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return payload.decode("utf-8", "replace")
    message: object = (found.get("Message") or found.get("message") or "") if isinstance(found, dict) else found
    code = found.get("ErrorCode") if isinstance(found, dict) else None
    if not isinstance(message, str):
        return payload.decode("utf-8", "replace")
    return f"{message} ({code})" if isinstance(code, str) else message


CHUNK_END = b"\r\n"
MOST_KNOWN = 1024


@cache
def whole_events(framing: Callable[[Emit], Framing], usual: re.Pattern[bytes]) -> Whole | None:
    """Return what matches a chunk of one event whose data `usual` matches, in a framing; None for one of no such form.

    Such a chunk leaves the framing as it was, if no event had begun.
    """
    if framing is Sse:
        return re.compile(b"data: ?" + usual.pattern + b"\n\n" + CHUNK_END).fullmatch
    if framing is JsonLines:
        return re.compile(usual.pattern + b"\n" + CHUNK_END).fullmatch
    if framing is AwsEventStream:
        return _whole_frames(re.compile(b"data: ?" + usual.pattern + b"\n\n"))
    return None


def _whole_frames(usual: re.Pattern[bytes]) -> Whole:
    known: dict[bytes, int] = {}
    """What was found to be all of an event's frame before its payload -> the length of the frame."""
    payload_at = 0
    """Of the frame that was looked at last: nearly always that of the next."""

    def match(data: bytes, at: int) -> re.Match[bytes] | None:
        nonlocal payload_at
        end = len(data) - len(CHUNK_END)
        length = known.get(data[at : at + payload_at])
        if length is None:
            length, payload_at = _event_frame(data[at:end])
            if not length:
                return None
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[data[at : at + payload_at]] = length
        crc_at = end - _U32.size
        if length != end - at or crc32(data[at:crc_at]) != _U32.unpack_from(data, crc_at)[0]:
            return None
        return usual.fullmatch(data, at + payload_at, crc_at) if data.endswith(CHUNK_END) else None

    return match


def _event_frame(frame: bytes) -> tuple[int, int]:
    """Return the length that a frame tells and where its payload begins; (0, 0) where its head is not an event's."""
    if len(frame) < _PRELUDE.size:
        return 0, 0
    length, headers_length, crc = _PRELUDE.unpack_from(frame)
    payload_at = _PRELUDE.size + headers_length
    if crc32(frame[:8]) != crc or not payload_at + _U32.size <= length <= len(frame):
        return 0, 0
    try:
        kind = _headers_of(frame[_PRELUDE.size : payload_at]).get(":message-type", "event")
    except FramingError:
        return 0, 0
    return (length, payload_at) if kind == "event" else (0, 0)
