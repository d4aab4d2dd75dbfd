"""Asks the loaded model what a person wants to know, while the load runs: one question at a time.

It goes over a connection of the bench's own, not through the load workers, which know no texts: no record, window or
cell counts it. Its times are taken in the bench's loop, some ms less exact than a worker's. The server itself cannot
tell it from a user, so a cell that is measured meanwhile says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import msgspec

from tui.bench.clock import SessionClock
from tui.core.clock import NS_PER_S
from tui.core.errors import VrampError
from tui.core.safe_text import safe_line, safe_text
from tui.core.tasks import background, end_task
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import Dialect, believed, dialect_named, read_error
from tui.engines.parts.framing import FramingError
from tui.metrics.aside import MAX_ANSWER_CHARS, MAX_QUESTION_CHARS, Aside
from tui.server.client import NoAnswer, Refusal

MAX_TOKENS = 400
"""The longest answer that is asked for."""
_REASON_CHARS = 200

Stream = Callable[[RequestShape, bytes], AsyncGenerator[bytes]]
"""Sends a request, and yields the body of its answer as it comes. Raises NoAnswer; Refusal where it is none."""


class Asides:
    """Keeps the latest aside."""

    def __init__(self, clock: SessionClock, stream: Stream, *, timeout_s: float, say: Callable[[str], None]) -> None:
        """`timeout_s`: real seconds that a whole answer may take; `say` takes how one ended, without its words."""
        self._clock = clock
        self._stream = stream
        self._timeout_s = timeout_s
        self._say = say
        self._asking: asyncio.Task[None] | None = None
        self._over_at_ns: int | None = None
        self._by_chat_refused = False
        self._aside: Aside | None = None
        self._text = ""

    @property
    def now(self) -> Aside | None:
        """Return what front ends are shown of the latest one; None of none."""
        # Cleaned here, a few times a second, not at every token.
        return self._aside and msgspec.structs.replace(self._aside, answer=_cleaned(self._text))

    def was_under_way_since(self, at_ns: int) -> bool:
        """Say whether one was under way at that session time, or later."""
        if self._asking is not None and not self._asking.done():
            return True
        return self._over_at_ns is not None and self._over_at_ns >= at_ns

    def ask(self, question: str, shapes: Sequence[RequestShape], users: int) -> None:
        """Ask, by the first of `shapes` that the server takes; returns at once. Raises VrampError for what is none."""
        question = safe_text(question, limit=MAX_QUESTION_CHARS).strip()
        if not question:
            raise VrampError("there is no question to ask")
        if self._asking is not None and not self._asking.done():
            raise VrampError("the question before has no whole answer yet: end it first")
        dialects = [(shape, dialect_named(shape.dialect)) for shape in shapes]
        told = [(shape, dialect) for shape, dialect in dialects if dialect.text_of is not None]
        if not told:
            raise VrampError("the answers of this serving system hold no text that can be shown")
        self._text = ""
        self._aside = Aside(question=question, users=users, asked_at_ns=self._clock.now_ns())
        self._asking = background(self._ask(question, told), name="aside")

    async def cut(self) -> None:
        """End what is under way; what has come of it is shown on."""
        if self._asking is not None:
            await end_task(self._asking)
            self._asking = None

    async def end(self) -> None:
        """End what is under way, and show nothing of it any more."""
        await self.cut()
        self._aside = None

    async def _ask(self, question: str, shapes: Sequence[tuple[RequestShape, Dialect]]) -> None:
        over, failed = "ended by hand", False
        try:
            async with asyncio.timeout(self._timeout_s):
                over = await self._first_taken(question, shapes)
        except TimeoutError:
            over, failed = "no whole answer in time", True
        except (NoAnswer, FramingError, ValueError) as error:
            over, failed = safe_line(str(error), limit=_REASON_CHARS) or "no answer", True
        finally:
            self._over_at_ns = self._clock.now_ns()
            self._set(over=over, failed=failed)
            self._say(self._in_words())

    async def _first_taken(self, question: str, shapes: Sequence[tuple[RequestShape, Dialect]]) -> str:
        """Ask in one way after the other, until one is taken; return how its answer ended."""
        *others, last = shapes[1:] if self._by_chat_refused and len(shapes) > 1 else shapes
        for shape, dialect in others:
            try:
                return await self._one(question, shape, dialect)
            except Refusal as refusal:
                if refusal.status not in _NOT_THIS_WAY:
                    raise ValueError(_said(refusal)) from None
                self._by_chat_refused = True
        try:
            return await self._one(question, *last)
        except Refusal as refusal:
            raise ValueError(_said(refusal)) from None

    async def _one(self, question: str, shape: RequestShape, dialect: Dialect) -> str:
        body = shape.body_head + msgspec.json.encode(question) + shape.body_tail
        reading = _Reading(dialect)
        async with aclosing(self._stream(shape, body)) as pieces:
            async for piece in pieces:
                if reading.feed(piece):
                    self._take(reading)
                if reading.ended:
                    break
        reading.close()
        self._take(reading)
        return "answered"

    def _take(self, reading: _Reading) -> None:
        self._text = reading.text
        aside, now_ns = self._aside, self._clock.now_ns()
        if aside is None or not reading.tokens:
            return
        since_s = (now_ns - aside.asked_at_ns) / NS_PER_S
        first_s = since_s if aside.ttft_s is None else aside.ttft_s
        grown = reading.tokens > aside.tokens
        rate = reading.tokens / since_s if grown and since_s > 0 else aside.tokens_per_s
        self._set(ttft_s=first_s, tokens=reading.tokens, tokens_per_s=rate)

    def _set(self, **changes: object) -> None:
        if self._aside is not None:
            self._aside = msgspec.structs.replace(self._aside, **changes)

    def _in_words(self) -> str:
        aside = self._aside
        if aside is None:
            return "a question by hand was ended"
        first = "no first token" if aside.ttft_s is None else f"first token after {aside.ttft_s:.2f} s"
        rate = "" if aside.tokens_per_s is None else f", {aside.tokens_per_s:.1f} tokens/s"
        return f"asked by hand beside {aside.users} users: {aside.over}; {first}{rate}; in no figure"


_NOT_THIS_WAY = frozenset({400, 404, 405, 422, 500, 501})
"""A model without a chat template, or a server without that way to ask; some systems call it an error of their own."""


class _Reading:
    """An answer as far as it has come."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._fresh: list[bytes] = []
        self._framing = dialect.framing(self._fresh.append)
        self._events = 0
        self._of_events = 0
        self._told = 0
        self.text = ""
        self.ended = False

    @property
    def tokens(self) -> int:
        """How many have come: by the server's count where it told one."""
        return self._told or self._of_events or self._events

    def feed(self, piece: bytes) -> bool:
        """Take a piece of the body; say whether there was an event in it. Raises ValueError for a failed answer."""
        self._framing.feed(piece)
        return self._read()

    def close(self) -> None:
        """The body is over."""
        _ = self._framing.unfinished  # which hands on an event that lacks its end
        self._read()

    def _read(self) -> bool:
        payloads, self._fresh[:] = list(self._fresh), []
        for payload in payloads:
            event = self._dialect.decode(payload)
            if event.error is not None:
                raise ValueError(event.error)
            self._told = event.output_tokens if event.output_tokens and believed(event.output_tokens) else self._told
            self._of_events += event.tokens or 0
            self._events += bool(event.bears_tokens)
            if self._dialect.text_of is not None and event.bears_tokens is not False:
                self.text = (self.text + self._dialect.text_of(payload))[-2 * MAX_ANSWER_CHARS :]
            self.ended = self.ended or event.ends
        return bool(payloads)


def _cleaned(text: str) -> str:
    """Return an answer as it is shown: its latest part, without control characters and secrets."""
    return safe_text(text)[-MAX_ANSWER_CHARS:].lstrip()


def _said(refusal: Refusal) -> str:
    return f"HTTP {refusal.status}: {read_error(refusal.content)[0]}"
