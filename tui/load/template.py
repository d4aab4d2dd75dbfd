"""What nearly all events of a stream look like, learned from those that were decoded: the others need not be.

An event is cut in three: its head, which ends within a string (`... "text":"`), the text, and its tail, from the quote
behind the text on, the running usage included. A stream keeps its own head. A tail is known once an event with it was
decoded whose head was the same but for the id and the time of the stream, so that nearly every tail is met by the first
of many streams. Of the text only its being one matters: some bytes, none of them escaped. So what is said of an event
is what its dialect said of one that differs in nothing that it looks at, and no other is taken for known.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field

from tui.engines.parts.dialect import Dialect, StreamEvent

MOST_TAILS = 4096
_MOST_SHAPES = 64
LESSONS = 8
"""So many times a stream is learned from: one whose heads differ from event to event is left to its decoder."""
MOST_TEXTS = 1 << 14
MOST_TEXT_BYTES = 64
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""What may stand in a JSON string as it is; more may, beyond ASCII."""
# How one line is framed, by SSE and as a chunk; the chunk's size goes before it.
_BEFORE, _AFTER = b"data: ", b"\n\n\r\n"
_ID = re.compile(rb'"id":"[^"\\]*"')
_CREATED = re.compile(rb'"created":[0-9]+')

MOST_POOR = 64

Tails = dict[bytes, StreamEvent]
"""A tail -> what an event with it tells: that it bears tokens, and at most the counts of its usage."""


@dataclass(slots=True)
class _Shape:
    """What streams whose heads are alike know."""

    tails: Tails = field(default_factory=dict)
    poor: int = 0
    """By how many more streams learned more than they knew than the other way round. Beyond MOST_POOR it is given up:
    no two tails are the same."""


_shapes: dict[tuple[Dialect, bytes], _Shape] = {}
texts: set[bytes] = set()
"""Texts that were looked at and are some: a vocabulary is small beside what is made of it."""


def framed(payload: bytes) -> bytes:
    """Return an event as it comes in a chunk of its own."""
    return _BEFORE + payload + _AFTER


def is_text(text: bytes) -> bool:
    """Say whether bytes are a text that can stand in a JSON string as they are; one of `texts` is."""
    if not text or any(byte < 0x80 for byte in text.translate(None, _PLAIN)):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    if len(text) <= MOST_TEXT_BYTES:
        if len(texts) >= MOST_TEXTS:
            texts.clear()
        texts.add(text)
    return True


class Template:
    """One stream's. Read its fields: a call would cost too much for something done once per token."""

    __slots__ = ("_dialect", "_learned", "_lessons", "_shape", "head", "tail_bytes", "tails", "text_at")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lessons = LESSONS if dialect.text_keys else 0
        self._learned = 0
        self._shape: _Shape | None = None
        self.head: bytes | None = None
        """Of a framed event; None = not known yet."""
        self.text_at = 0
        self.tail_bytes = 0
        """Of the tail of the last event that was looked up: nearly always that of the next."""
        self.tails: Tails = {}

    def told_by(self, event: bytes) -> StreamEvent | None:
        """Return what a framed event tells, if that is known without decoding it."""
        if self.head is None or not event.startswith(self.head):
            return None
        quote = event.find(b'"', self.text_at)
        text = event[self.text_at : quote]
        self.tail_bytes = len(event) - quote
        return self.tails.get(event[quote:]) if quote > 0 and (text in texts or is_text(text)) else None

    def learn(self, payload: bytes, told: StreamEvent) -> None:
        """Learn from an event what its dialect told of it."""
        if not self._lessons or b"\n" in payload or b"\r" in payload or not _is_plain(told):
            return  # of several lines it would be framed otherwise
        event = framed(payload)
        if self.head is None or not event.startswith(self.head):
            self._lessons -= 1
            self._find_head(payload, told)
            if self.head is None:
                return
        quote = event.find(b'"', self.text_at)
        if is_text(event[self.text_at : quote]):
            if len(self.tails) >= MOST_TAILS:
                self.tails.clear()
            self.tails[event[quote:]] = told
            self.tail_bytes = len(event) - quote
            self._learned += 1

    def close(self, events: int) -> None:
        """Take it that the stream has ended after so many events with tokens."""
        if (shape := self._shape) is not None:
            shape.poor = max(0, shape.poor + (1 if self._learned * 2 > events else -1))

    def _find_head(self, payload: bytes, told: StreamEvent) -> None:
        self.head = None
        for key in self._dialect.text_keys:
            before, found, behind = payload.partition(key)
            text, quote, tail = behind.partition(b'"')
            if not found or not quote or not is_text(text):
                continue
            head = before + found
            shape = self._dialect, _CREATED.sub(b'"created":', _ID.sub(b'"id":', head, count=1), count=1)
            if shape not in _shapes:
                if not self._bears_by_text(head, quote + tail, told):
                    continue
                if len(_shapes) >= _MOST_SHAPES:
                    _shapes.clear()
                _shapes[shape] = _Shape()
            known = _shapes[shape]
            if known.poor > MOST_POOR:
                self._lessons = 0
                return
            self._shape = known
            self.head = _BEFORE + head
            self.text_at = len(self.head)
            self.tails = known.tails
            return

    def _bears_by_text(self, head: bytes, tail: bytes, told: StreamEvent) -> bool:
        """Say whether it is this text by which the event bears tokens, and nothing else in it."""
        with suppress(ValueError):
            decode = self._dialect.decode
            return decode(head + b"x" + tail) == told and decode(head + tail).bears_tokens is not True
        return False


def _is_plain(told: StreamEvent) -> bool:
    """Say whether an event bears tokens and tells nothing but a count; a count of none is for a closer look."""
    return told == StreamEvent(
        bears_tokens=True, output_tokens=told.output_tokens or None, prompt_tokens=told.prompt_tokens
    )
