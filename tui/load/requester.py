"""A connection that asks, one request after the other; each ends as one record. Callbacks only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import msgspec

from tui.core.clock import NS_PER_S, now_ns
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.load.connection import CLIENT_LIMIT_ERRORS, Connection
from tui.load.response import Response
from tui.load.wire import StartedRequest
from tui.load.worker_context import WorkerContext
from tui.metrics.record import RequestRecord, gaps_between

# A request that we ourselves held up this long says nothing of the server.
OWN_LATENESS_NS = NS_PER_S

# So long a stream that said its last word may take to end its body, on which the next request can follow.
LINGER_S = 0.5

OnOver = Callable[[RequestRecord, float | None], None]
"""Takes the record, and for how many seconds the server asked to be left alone (Retry-After)."""


class Requester:
    """One user's connection. `ask` opens it where need be; `prepare` opens it beforehand."""

    __slots__ = (
        "_asking",
        "_configured",
        "_connect_ns",
        "_connection",
        "_context",
        "_failure",
        "_intended_ns",
        "_linger",
        "_on_over",
        "_on_ready",
        "_opened_from_ns",
        "_pieces",
        "_request_id",
        "_response",
        "_retried",
        "_reused",
        "_start_ns",
        "deadline_ns",
        "user",
    )

    def __init__(self, context: WorkerContext, user: int, on_over: OnOver) -> None:
        self._context = context
        self.user = user
        self._on_over = on_over
        self._on_ready: Callable[[], None] | None = None
        self._connection: Connection | None = None
        self._response: Response | None = None
        self._asking = False
        self._reused = False
        self._retried = False
        self._failure: tuple[Outcome, str] | None = None
        self._pieces: list[bytes] | None = None
        self._configured = context.configured
        self._request_id = 0
        self._intended_ns = 0
        self._start_ns = 0
        self._opened_from_ns = 0
        self._connect_ns: int | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.deadline_ns: int | None = None
        """When what is under way (opening, asking) has lasted too long; None = nothing is."""

    @property
    def asking(self) -> bool:
        """Say whether a request is under way."""
        return self._asking

    def prepare(self, on_ready: Callable[[], None]) -> None:
        """Open the connection and have a request at hand; `on_ready` is called when that is done, or has failed.

        A failure is told by the record of the request that follows.
        """
        self._compose()
        self._on_ready = on_ready
        self.deadline_ns = now_ns() + self._context.timeout_ns
        self._open()

    def ask(self, intended_ns: int) -> None:
        """Send a request that was meant to start at `intended_ns`."""
        context = self._context
        if self._pieces is None:
            self._compose()
        self._asking = True
        self._retried = False
        self._response = None
        self._intended_ns = intended_ns
        self._start_ns = now_ns()
        self.deadline_ns = self._start_ns + context.timeout_ns
        self._request_id = context.next_id()
        context.in_flight += 1
        if self._failure is not None:
            outcome, error = self._failure
            self._failure = None
            context.loop.call_soon(self._end, outcome, error)
        elif self._connection is not None and self._connection.is_open:
            self._send()
        elif self._on_ready is not None:
            self._on_ready = None  # the connection is being opened already
        else:
            self._open()

    def end(self, outcome: Outcome, error: str) -> None:
        """End what is under way, with a record when that is a request, and close the connection."""
        if self._on_ready is not None:
            self._failure = (outcome, error)
            self._ready()
        elif self._asking:
            self._end(outcome, error)
        self.close()

    def peek(self) -> RequestRecord:
        """Return what has come by now of the request under way, as a record that ends now with outcome `running`."""
        response = self._response or self._no_response()
        record = self._record(response, now_ns())
        return msgspec.structs.replace(record, request_id=0, output_tokens=response.counted, error="")

    def close(self) -> None:
        """Close the connection; a request under way is forgotten."""
        self.deadline_ns = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _compose(self) -> None:
        self._configured = self._context.configured
        self._pieces = self._context.compose()

    def _open(self) -> None:
        self._reused = False
        self._opened_from_ns = now_ns()
        self._connection = self._context.open_connection(self)

    def _send(self) -> None:
        assert self._connection is not None and self._pieces is not None and self._configured is not None
        context = self._context
        shape = self._configured.shape
        self._response = Response(
            shape.output_tokens,
            context.dialect,
            context.tally,
            exact=shape.exact,
            on_last_token=self._on_last_token,
            on_end=self._on_end,
            on_over=self._on_over_by_itself,
        )
        self._connection.fed = self._response
        self._connection.set_urgent(shape.output_tokens == 1)
        if not self._retried:
            self._start_ns = now_ns()
        self._connection.send(self._pieces)
        context.started[self._request_id] = StartedRequest(
            self._request_id,
            self.user,
            self._configured.tag,
            self._intended_ns,
            self._start_ns,
            shape.prompt_tokens,
            shape.output_tokens,
        )

    # What the connection tells.

    def on_open(self) -> None:
        """The connection is open."""
        self._connect_ns = now_ns() - self._opened_from_ns
        if self._on_ready is not None:
            self._ready()
        elif self._asking:
            self._send()

    def feed(self, data: bytes, at_ns: int) -> None:
        """Bytes arrived that nobody asked for: a response takes its own."""
        self.close()

    def on_closed(self, error: Exception | None) -> None:
        """The connection could not be opened, or has ended."""
        self._connection = None
        response = self._response
        if self._on_ready is not None:
            self._failure = _why_not_opened(error)
            self._context.doubts_addresses = True
            self._ready()
        elif not self._asking:
            return  # the server closed an idle connection, as it may
        elif response is None:
            self._context.doubts_addresses = True
            self._end(*_why_not_opened(error))
        elif self._reused and not response.http.begun and not self._retried:
            # The server closed the idle connection while the request was on its way: it never took it.
            self._retried = True
            self._response = None
            self._open()
        else:
            at_ns = now_ns()
            response.end_of_stream(at_ns, "" if error is None else _error_text(error))
            self._over(response, at_ns)

    def _on_last_token(self) -> None:
        if self._connection is not None:
            self._connection.set_urgent(True)

    def _on_end(self) -> None:
        if self._linger is None:
            self._linger = self._context.loop.call_later(LINGER_S, self._wait_no_longer)

    def _on_over_by_itself(self, at_ns: int) -> None:
        if self._response is not None:
            self._over(self._response, at_ns)

    def _wait_no_longer(self) -> None:
        self._linger = None
        if self._response is not None:
            self._response.end_body()
            self._over(self._response, now_ns())

    def _ready(self) -> None:
        on_ready, self._on_ready = self._on_ready, None
        self.deadline_ns = None
        if on_ready is not None:
            on_ready()

    def _end(self, outcome: Outcome, error: str) -> None:
        if not self._asking:
            return
        response = self._response or self._no_response()
        response.fail(outcome, error)
        self._over(response, now_ns())

    def _no_response(self) -> Response:
        assert self._configured is not None
        return Response(self._configured.shape.output_tokens, self._context.dialect, self._context.tally)

    def _over(self, response: Response, at_ns: int) -> None:
        context = self._context
        record = self._record(response, at_ns)
        self._asking = False
        self._response = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._pieces = None
        self._connect_ns = None
        self.deadline_ns = None
        if response.http.keep_alive and self._connection is not None:
            self._reused = True
            self._connection.fed = self
        else:
            self.close()
        context.in_flight -= 1
        context.started.pop(self._request_id, None)
        context.records.append(record)
        self._on_over(record, response.http.retry_after_s)

    def _record(self, response: Response, at_ns: int) -> RequestRecord:
        assert self._configured is not None
        shape = self._configured.shape
        stamps = response.stamps_ns
        gaps = gaps_between(stamps)
        outcome, error = response.outcome or Outcome.RUNNING, response.error
        late_ns = self._start_ns - self._intended_ns - (self._connect_ns or 0)
        if outcome is Outcome.OK and late_ns > OWN_LATENESS_NS:
            outcome = Outcome.CLIENT_LIMIT
            error = f"the client itself was late by {late_ns / NS_PER_S:.2f} s"
        return RequestRecord(
            request_id=self._request_id,
            worker=self._context.worker,
            user=self.user,
            tag=self._configured.tag,
            intended_start_ns=self._intended_ns,
            start_ns=self._start_ns,
            first_token_ns=stamps[0] if stamps else None,
            last_token_ns=stamps[-1] if stamps else None,
            end_ns=max(at_ns, self._start_ns),
            prompt_tokens=shape.prompt_tokens,
            output_tokens_asked=shape.output_tokens,
            prompt_tokens_usage=response.prompt_tokens,
            output_tokens=response.output_tokens,
            events=len(stamps),
            event_gaps_us=gaps.event_gaps_us,
            outcome=outcome,
            http_status=response.http.status,
            error=error,
            connect_ns=self._connect_ns,
            gaps_histogram=gaps.gaps_histogram,
            gap_max_us=gaps.gap_max_us,
            counted_by=response.counted_by,
        )


def _why_not_opened(error: Exception | None) -> tuple[Outcome, str]:
    if isinstance(error, OSError) and error.errno in CLIENT_LIMIT_ERRORS:
        return Outcome.CLIENT_LIMIT, f"no connection could be opened here: {_error_text(error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome.DISCONNECTED, f"the server's certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return Outcome.DISCONNECTED, f"no TLS connection: {_error_text(error)}"
    return Outcome.DISCONNECTED, f"no connection: {'closed at once' if error is None else _error_text(error)}"


def _error_text(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return safe_line(text or type(error).__name__, limit=500)
