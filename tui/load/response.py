"""One response of the server: HTTP by httptools, events, tokens and their times, and how it ended. No sockets.

Everything in here runs once per token, by callbacks: no task, no copy that can be spared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httptools

from tui.core.safe_text import safe_line
from tui.engines.streams import TOKEN, Decoder, StreamEvent, read_error
from tui.load.sse import EventSplitter, EventTooLong
from tui.metrics.outcome import Outcome

if TYPE_CHECKING:
    from tui.load.tally import Tally

MAX_HEADER_BYTES = 64 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
MAX_ERROR_CHARS = 2000
# A stream may hold a few events without a token that look as if they bore one (a closing event with an empty text).
EVENT_SLACK = 8
# How the size of a chunk is written; what is longer is no event of one token.
_SIZES = {text % size: size for size in range(4096) for text in (b"%x", b"%X")}
_CR = ord("\r")
_DEAD_ENGINE = ("EngineCore", "EngineDead")


class Response:
    """What has come of one request. Feed it bytes until `over`; then `outcome` and `error` are final."""

    __slots__ = (
        "_asked",
        "_at_ns",
        "_between_chunks",
        "_beyond",
        "_body",
        "_chunk_complete",
        "_content_type",
        "_decode",
        "_done",
        "_encoding",
        "_framed",
        "_header_bytes",
        "_in_body",
        "_is_stream",
        "_next_mark",
        "_on_last_token",
        "_parser",
        "_splitter",
        "_tally",
        "error",
        "keep_alive",
        "location",
        "outcome",
        "over",
        "prompt_tokens",
        "retry_after_s",
        "stamps_ns",
        "status",
        "usage",
    )

    def __init__(
        self,
        output_tokens_asked: int,
        decode: Decoder,
        tally: Tally,
        on_last_token: Callable[[], None] | None = None,
    ) -> None:
        """`on_last_token` is called when all tokens that were asked for but one have come."""
        self._asked = output_tokens_asked
        self._on_last_token = on_last_token
        self._next_mark = output_tokens_asked - 1
        """So many events with tokens, and there is something to be done."""
        self._decode = decode
        self._tally = tally
        self._splitter = EventSplitter(self._on_event)
        self._at_ns = 0
        self.stamps_ns: list[int] = []
        """Arrival of each token-bearing event."""
        self._beyond = 0
        self.usage: int | None = None
        """Output tokens by the server's final count."""
        self.prompt_tokens: int | None = None
        self.status: int | None = None
        self.outcome: Outcome | None = None
        self.error = ""
        self.over = False
        self.keep_alive = False
        self.retry_after_s: float | None = None
        self._reset_head()

    def _reset_head(self) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._header_bytes = 0
        self._in_body = False
        self._chunk_complete = False
        self._between_chunks = False
        self._is_stream = False
        self._framed = False
        self._done = False
        self._content_type = b""
        self._encoding = b""
        self._body = bytearray()
        self.location = b""

    @property
    def counted(self) -> int:
        """Return the tokens so far: by the running usage where the server gives one, else one per event."""
        return len(self.stamps_ns) + self._beyond

    @property
    def begun(self) -> bool:
        """Say whether any byte of it has arrived."""
        return self._header_bytes > 0

    def feed(self, data: bytes, at_ns: int) -> None:
        """Take bytes that arrived at `at_ns`."""
        self._at_ns = at_ns
        if self._between_chunks:
            # Nearly every read is one chunk of one event of one line: such a one leaves parser and splitter as they
            # are, so they need not see it. They would have to be fetched into a cache for each token of each stream.
            size, _, event = data.partition(b"\r\ndata: ")
            payload, _, end = event.partition(b"\n")
            if end == b"\n\r\n" and _SIZES.get(size) == len(payload) + 8 and _CR not in payload:
                self._on_event(payload)
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        if not self._in_body:
            self._header_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Outcome.MALFORMED, f"not HTTP: {_cause(error)}")
        except httptools.HttpParserUpgrade:
            self._fail(Outcome.MALFORMED, "the server switched to another protocol")
        if not self._in_body and self._header_bytes > MAX_HEADER_BYTES:
            self._fail(Outcome.MALFORMED, f"a header of more than {MAX_HEADER_BYTES} bytes")
        # The last line break is the chunk's own: had another size begun after it, the parser would have told of that.
        at_end = self._chunk_complete and data.endswith(b"\r\n")
        self._between_chunks = at_end and self._is_stream and not self.over and self._splitter.between

    def end_of_stream(self, at_ns: int, why: str = "") -> None:
        """Take it that the connection has ended; `why` is empty for a plain end of file."""
        self._at_ns = at_ns
        if self.over:
            return
        if self._in_body and not self._framed and not why:
            self.on_message_complete()  # HTTP/1.0: the body lasts until the connection ends
        else:
            where = "in the body" if self._in_body else "in the header" if self.begun else "before any answer"
            self.fail(Outcome.DISCONNECTED, f"{why or 'the server closed the connection'} {where}")

    def fail(self, outcome: Outcome, error: str) -> None:
        """End it from outside: a time-out, a cut, a network error. What the server said before stands."""
        self._fail(outcome, error)

    # What httptools calls; they raise nothing, for it would wrap and hide it.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field."""
        name = name.lower()
        if name == b"content-type":
            self._content_type = value.split(b";")[0].strip().lower()
        elif name == b"content-encoding":
            self._encoding = value.strip().lower()
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == b"retry-after":
            self.retry_after_s = _retry_after_s(value)
        elif name == b"location":
            self.location = value

    def on_headers_complete(self) -> None:
        """Judge the head."""
        parser = self._parser
        if parser is None:
            return
        self.status = parser.get_status_code()
        if self.status < 200:
            return
        self._in_body = True
        if self._encoding not in (b"", b"identity"):
            self._fail(Outcome.MALFORMED, f"content-encoding {_text(self._encoding)} though not asked for")
        elif self.status == 200:
            self._is_stream = self._content_type == b"text/event-stream"

    def on_chunk_header(self) -> None:
        """Take it that a chunk begins."""
        self._chunk_complete = False

    def on_chunk_complete(self) -> None:
        """Take it that a chunk, and the line break behind it, are over."""
        self._chunk_complete = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self.over:
            return
        if self._is_stream:
            try:
                self._splitter.feed(body)
            except EventTooLong as error:
                self._fail(Outcome.MALFORMED, str(error))
        else:
            self._body += body
            if len(self._body) > MAX_ERROR_BODY_BYTES:
                self._judge_plain_body()

    def on_message_complete(self) -> None:
        """Judge the whole."""
        if self.over:
            return
        if self.status is not None and self.status < 200:  # 100 Continue and its like: the response is still to come
            self._in_body = False
            self._header_bytes = 1
            return
        # A body that lasts until the end of the connection leaves none to keep.
        self.keep_alive = self._framed and self._parser is not None and bool(self._parser.should_keep_alive())
        if self._is_stream:
            self._judge_stream()
        else:
            self._judge_plain_body()

    def _on_event(self, payload: bytes) -> None:
        decode = self._decode  # a callable in a slot is called faster by way of a local name
        try:
            event = decode(payload)
        except ValueError as error:
            self._fail(Outcome.MALFORMED, f"an event that cannot be read: {error}")
            return
        if event is TOKEN or (event.bears_tokens and event.output_tokens is None):
            at_ns = self._at_ns
            stamps_ns = self.stamps_ns
            stamps_ns.append(at_ns)
            self._tally.arrivals_ns.append(at_ns)
            if len(stamps_ns) >= self._next_mark:
                self._on_mark()
        elif event.output_tokens is not None:
            self._on_usage(event)
        elif event.error is not None:
            self._on_error_event(event)
        elif event.done:
            self._done = True

    def _on_mark(self) -> None:
        if self._next_mark < self._asked:
            self._on_nearly_over()
        else:
            self._too_many(f"{len(self.stamps_ns)} events with tokens")

    def _on_nearly_over(self) -> None:
        self._next_mark = self._asked + EVENT_SLACK + 1
        if self._on_last_token is not None:
            self._on_last_token()

    def _on_usage(self, event: StreamEvent) -> None:
        usage = event.output_tokens or 0
        new = usage - self.counted
        if new > 0:
            if event.bears_tokens:
                self.stamps_ns.append(self._at_ns)
                self._tally.arrivals_ns.append(self._at_ns)
                new -= 1
            if new:
                self._beyond += new
                self._tally.add_more(self._at_ns, new)
        if self._next_mark < self._asked and self.counted >= self._next_mark:
            self._on_nearly_over()
        if event.prompt_tokens is not None:
            self.prompt_tokens = event.prompt_tokens
        if event.final_usage:
            self.usage = usage
        if usage > self._asked:
            self.usage = usage
            self._too_many(f"{usage} tokens by the server's count")
        elif usage < 0:
            self._fail(Outcome.MALFORMED, f"a usage of {usage} tokens")

    def _on_error_event(self, event: StreamEvent) -> None:
        # The stream goes on to [DONE]; what counts is that it held an error, so the first one stays.
        if self.outcome is None:
            dead = event.error_code == 500 or _tells_of_dead_engine(event.error or "")
            self.outcome = Outcome.ENGINE_DEAD if dead else Outcome.HTTP_ERROR
            self.error = safe_line(event.error or "", limit=MAX_ERROR_CHARS)

    def _too_many(self, found: str) -> None:
        self._fail(Outcome.MALFORMED, f"{found}, though {self._asked} were asked for")

    def _judge_stream(self) -> None:
        if self.outcome is not None:  # an error event came before
            self._finish(self.outcome, self.error)
        elif self._splitter.unfinished:
            self._finish(Outcome.MALFORMED, "the stream ended within an event")
        elif not self._done:
            self._finish(Outcome.MALFORMED, f"the stream ended without [DONE] after {len(self.stamps_ns)} events")
        elif self.usage is None:
            self._finish(Outcome.MALFORMED, f"no usage count came with the {len(self.stamps_ns)} events of the stream")
        elif self.usage != self._asked:
            self._finish(Outcome.MALFORMED, f"{self.usage} tokens came, though {self._asked} were asked for")
        elif not self.stamps_ns:
            self._finish(Outcome.MALFORMED, f"a usage of {self.usage} tokens, but no event bore one")
        else:
            self._finish(Outcome.OK, "")

    def _judge_plain_body(self) -> None:
        text, code = read_error(bytes(self._body))
        text = safe_line(text, limit=MAX_ERROR_CHARS)
        status = self.status or 0
        if status == 200:
            if code is not None or self._body.startswith(b'{"error"'):
                self._finish(_outcome_of_error(text, code), f"HTTP 200 with an error: {text}")
            else:
                found = _text(self._content_type) or "none"
                self._finish(Outcome.MALFORMED, f"content type {found}, expected text/event-stream: {text[:200]}")
        elif 300 <= status < 400:
            self._finish(Outcome.HTTP_ERROR, f"HTTP {status}: a redirect to {_text(self.location)} is not followed")
        else:
            self._finish(_outcome_of_error(text, status), f"HTTP {status}: {text or 'no body'}")

    def _fail(self, outcome: Outcome, error: str) -> None:
        if self.over:
            return
        if self.outcome is not None:  # the error event came first and is the cause of what follows
            outcome, error = self.outcome, self.error
        self.keep_alive = False
        self._finish(outcome, error)

    def _finish(self, outcome: Outcome, error: str) -> None:
        self.over = True
        self._between_chunks = False
        self.outcome = outcome
        self.error = safe_line(error, limit=MAX_ERROR_CHARS)
        self._body = bytearray()
        # Both hold our methods: each response, with the time of each token, would wait for the garbage collector.
        self._parser = None
        self._splitter.emit = _pass_over


def _pass_over(_: bytes) -> None:
    """Take what the same read held behind the event that ended a response."""


def _tells_of_dead_engine(text: str) -> bool:
    return any(word in text for word in _DEAD_ENGINE)


def _outcome_of_error(text: str, status: int | None) -> Outcome:
    if _tells_of_dead_engine(text):
        return Outcome.ENGINE_DEAD
    if status in (429, 503):
        return Outcome.OVERLOADED
    if status in (400, 413, 422) and _is_too_long(text):
        return Outcome.TOO_LONG
    return Outcome.HTTP_ERROR


def _is_too_long(text: str) -> bool:
    text = text.lower()
    return (
        "context length" in text
        or "max_tokens must be at least 1" in text
        or "min_tokens must be less than or equal to max_tokens" in text
        or ("context" in text and ("exceed" in text or "too long" in text))
        or ("max_model_len" in text or "maximum model length" in text)
    )


def _retry_after_s(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None  # a date: rare, and the back-off serves as well
    return seconds if 0 <= seconds < 1e9 else None


def _cause(error: BaseException) -> str:
    cause = error.__context__ or error
    return f"{type(cause).__name__}: {cause}" if cause is not error else str(error)


def _text(value: bytes) -> str:
    return safe_line(value.decode("latin-1"), limit=200)
