"""The HTTP of one response, by httptools: its head, and whether its body is the stream that is wanted. No sockets."""

from __future__ import annotations

from typing import Protocol

import httptools

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.engines.parts.dialect import Dialect, read_error
from tui.engines.parts.framing import Sse

MAX_HEADER_BYTES = 64 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
MAX_ERROR_CHARS = 2000
MAX_QUOTED_CHARS = 200
# What no event stream begins with: JSON, or HTML.
_NO_SSE = (b"{", b"[", b"<")


class BodyTaker(Protocol):
    """What is told of the body. It raises nothing: httptools would wrap and hide it."""

    def take_stream(self, body: bytes) -> None:
        """Take a piece of a body that is a stream."""

    def take_end(self) -> None:
        """Take it that the body is complete, or that enough is known of one that is no stream."""

    def take_fault(self, fault: str) -> None:
        """Take it that the server does not speak HTTP as we do."""


class HttpResponse:
    """Feed it bytes; it tells its taker of the body."""

    __slots__ = (
        "_body",
        "_chunk_complete",
        "_content_type",
        "_dialect",
        "_encoding",
        "_framed",
        "_header_bytes",
        "_in_body",
        "_is_sse",
        "_location",
        "_parser",
        "_taker",
        "is_stream",
        "keep_alive",
        "retry_after_s",
        "status",
    )

    def __init__(self, taker: BodyTaker, dialect: Dialect) -> None:
        self._taker = taker
        self._dialect = dialect
        self._is_sse = dialect.framing is Sse
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._header_bytes = 0
        self._in_body = False
        self._chunk_complete = False
        self._framed = False
        """Whether the head says where the body ends."""
        self._content_type = b""
        self._encoding = b""
        self._location = b""
        self._body = bytearray()
        """Of what is no stream."""
        self.is_stream: bool | None = False
        """None = to be told by the beginning of the body."""
        self.status: int | None = None
        self.keep_alive = False
        self.retry_after_s: float | None = None

    @property
    def begun(self) -> bool:
        """Say whether any byte of it has arrived."""
        return self._header_bytes > 0

    @property
    def where(self) -> str:
        """Return how far it has come, in words."""
        return "in the body" if self._in_body else "in the header" if self.begun else "before any answer"

    def feed(self, data: bytes) -> bool:
        """Take bytes; say whether they end with a chunk of a stream, behind which nothing has begun."""
        parser = self._parser
        if parser is None:
            return False
        if not self._in_body:
            self._header_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._taker.take_fault(f"not HTTP: {_cause(error)}")
        except httptools.HttpParserUpgrade:
            self._taker.take_fault("the server switched to another protocol")
        if not self._in_body and self._header_bytes > MAX_HEADER_BYTES:
            self._taker.take_fault(f"a header of more than {MAX_HEADER_BYTES} bytes")
        # The last line break is the chunk's own: had another size begun after it, the parser would have told of that.
        return self._chunk_complete and bool(self.is_stream) and data.endswith(b"\r\n")

    def end_of_connection(self) -> None:
        """Take it that the server closed the connection in an orderly way, which may end the body: so in HTTP/1.0."""
        if self._in_body and not self._framed:
            self.on_message_complete()

    def close(self, *, keep_alive: bool) -> None:
        """Take no more, and let go of the taker: else both, with the time of each token, would wait for the garbage
        collector. `keep_alive`: whether another request may follow if the server allows it."""
        self._parser = None
        self._taker = _NOBODY
        self._body = bytearray()
        self.keep_alive &= keep_alive

    def refusal(self) -> tuple[Outcome, str]:
        """Return what a body means that is no stream."""
        outcome_of = self._dialect.outcome_of
        text, code = read_error(bytes(self._body))
        text = safe_line(text, limit=MAX_ERROR_CHARS)
        status = self.status or 0
        if status == 200:
            if code is not None or self._body.startswith(b'{"error"'):
                return outcome_of(code, text), f"HTTP 200 with an error: {text}"
            found = _text(self._content_type.split(b";")[0]) or "none"
            wanted = _text(self._dialect.media_types[0])
            return Outcome.MALFORMED, f"content type {found}, expected {wanted}: {text[:MAX_QUOTED_CHARS]}"
        if 300 <= status < 400:
            return Outcome.HTTP_ERROR, f"HTTP {status}: a redirect to {_text(self._location)} is not followed"
        return outcome_of(status, text), f"HTTP {status}: {text or 'no body'}"

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field."""
        name = name.lower()
        if name == b"content-type":
            self._content_type = value.strip().lower()
        elif name == b"content-encoding":
            self._encoding = value.strip().lower()
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == b"retry-after":
            self.retry_after_s = _retry_after_s(value)
        elif name == b"location":
            self._location = value

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
            self._taker.take_fault(f"content-encoding {_text(self._encoding)} though not asked for")
        elif self.status == 200:
            # Some name two types, and some none.
            types = [part.split(b";")[0].strip() for part in self._content_type.split(b",")]
            known = any(part in self._dialect.media_types for part in types)
            self.is_stream = known or (False if self._content_type else None)

    def on_chunk_header(self) -> None:
        """Take it that a chunk begins."""
        self._chunk_complete = False

    def on_chunk_complete(self) -> None:
        """Take it that a chunk, and the line break behind it, are over."""
        self._chunk_complete = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._parser is None:
            return
        if self.is_stream is None:
            self.is_stream = not (self._is_sse and body.lstrip().startswith(_NO_SSE))
        if self.is_stream:
            self._taker.take_stream(body)
        else:
            self._body += body
            if len(self._body) > MAX_ERROR_BODY_BYTES:
                self._taker.take_end()

    def on_message_complete(self) -> None:
        """Take it that the response is complete."""
        parser = self._parser
        if parser is None:
            return
        if self.status is not None and self.status < 200:  # 100 Continue and its like: the response is still to come
            self._in_body = False
            self._header_bytes = 1
            return
        if self.is_stream is None:
            self.is_stream = self.status == 200
        # A body that lasts until the end of the connection leaves none to keep.
        self.keep_alive = self._framed and bool(parser.should_keep_alive())
        self._taker.take_end()


class _Nobody:
    """The taker of a response that is over."""

    def take_stream(self, body: bytes) -> None:
        pass

    def take_end(self) -> None:
        pass

    def take_fault(self, fault: str) -> None:
        pass


_NOBODY = _Nobody()


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
