"""One answer of the server: its events, tokens and their times, and how it ended. No sockets.

Everything in here runs once per token, by callbacks: no task, no copy that can be spared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.engines.parts.dialect import MOST_TOLD, TOKEN, Count, Dialect, Ending, StreamEvent, believed
from tui.engines.parts.framing import Framing, FramingError, Sse, whole_events
from tui.load.http_response import MAX_ERROR_CHARS, MAX_QUOTED_CHARS, HttpResponse
from tui.load.template import Template, framed, is_text, texts
from tui.metrics.record import CountedBy

if TYPE_CHECKING:
    from tui.load.tally import Tally

# A server that ignores how many tokens were asked for may send as many again, and at least this many more.
MOST_BEYOND = 64
# The line that begins a chunk -> the bytes of the whole; what is longer is no event of one token.
_CHUNK_BYTES = {
    line: len(line) + size + 2 for size in range(4096) for line in (text % size for text in (b"%x\r\n", b"%X\r\n"))
}
MOST_COUNTS = 1 << 14
_MOST_DIGITS = 13
USUAL_SIZE_BYTES = len(b"1c4\r\n")
_CR = ord("\r")


class Response:
    """What has come of one request. Feed it bytes until `over`; then `outcome` and `error` are final."""

    __slots__ = (
        "_asked",
        "_at_ns",
        "_counts_lag",
        "_decode",
        "_dialect",
        "_ended",
        "_exact",
        "_finished",
        "_framing",
        "_is_sse",
        "_next_mark",
        "_on_end",
        "_on_last_token",
        "_on_over",
        "_perhaps_ns",
        "_running",
        "_size_bytes",
        "_tally",
        "_template",
        "_told",
        "_told_after",
        "_told_by_token",
        "_whole",
        "counted",
        "counted_by",
        "error",
        "http",
        "outcome",
        "output_tokens",
        "over",
        "prompt_tokens",
        "stamps_ns",
    )

    def __init__(
        self,
        output_tokens_asked: int,
        dialect: Dialect,
        tally: Tally,
        *,
        exact: bool = False,
        on_last_token: Callable[[], None] | None = None,
        on_end: Callable[[], None] | None = None,
        on_over: Callable[[int], None] | None = None,
    ) -> None:
        """Begin. `exact`: whether the server was made to promise that number of tokens.

        `on_last_token` is called when all tokens that were asked for but one have come, or the answer is complete;
        `on_end` when the stream said that nothing follows, or that it failed: its body should end now, and need not;
        `on_over` when it is over by bytes that were fed, with the time of their arrival.
        """
        self._asked = output_tokens_asked
        self._dialect = dialect
        self._decode = dialect.decode
        self._template = Template(dialect)
        self._exact = exact
        self._on_last_token = on_last_token
        self._on_end = on_end
        self._on_over = on_over
        self._next_mark = output_tokens_asked - 1
        """So many tokens, and there is something to be done."""
        self._tally = tally
        self._framing: Framing = dialect.framing(self._on_event)
        self._is_sse = dialect.framing is Sse
        self._whole = None if dialect.usual is None else whole_events(dialect.framing, dialect.usual)
        self._at_ns = 0
        self.stamps_ns: list[int] = []
        """Arrival of each token-bearing event."""
        self.counted = 0
        """Tokens so far: by the running usage where the server gives one, else one per event."""
        self._running: StreamEvent | None = None
        """The last event of all, where it was one whose counts are still to be taken."""
        self._perhaps_ns: int | None = None
        """Arrival of a closing event with an empty text, which bears a token if the final count says so."""
        self._told: int | None = None
        """The last count that the server told."""
        self._told_after = 0
        """How many events with tokens had come by then, its own included."""
        self._told_by_token = False
        """Whether an event with tokens told it."""
        self._counts_lag = False
        """Whether a first event with tokens was counted as 0: the server's counts are of the event before, or void."""
        self._finished = False
        self._ended = False
        self.output_tokens: int | None = None
        """Tokens of the whole answer, once that is over."""
        self.counted_by = CountedBy.NONE
        self.prompt_tokens: int | None = None
        self.outcome: Outcome | None = None
        self.error = ""
        self.over = False
        self.http = HttpResponse(self, dialect)
        self._size_bytes = 0
        """Between two chunks of one event each: of the line with the size of the last one; else 0."""

    def feed(self, data: bytes, at_ns: int) -> None:
        """Take bytes that arrived at `at_ns`."""
        # Nearly every read is one chunk of one event of one line: such a one leaves parser and splitter as they are, so
        # they need not see it. They would have to be fetched into a cache for each token of each stream. And nearly
        # always its parts begin where they did the last time: to compare them there is cheaper than to look for them.
        size_bytes = self._size_bytes
        if _CHUNK_BYTES.get(data[:size_bytes]) == len(data):
            if (whole := self._whole) is not None:
                # As `_told_by_whole`, written out.
                match = whole(data, size_bytes)
                told = None if match is None else TOKEN if match.lastindex is None else _running(match[1])
            else:
                template = self._template
                text_at = size_bytes + template.text_at
                tail_at = len(data) - template.tail_bytes
                told = template.tails.get(data[tail_at:]) if data[size_bytes:text_at] == template.head else None
                if told is not None and (text := data[text_at:tail_at]) not in texts and not is_text(text):
                    told = None
            if told is not None:
                # As `_on_token`, written out: a call would cost as much as all of it.
                counted = self.counted + 1
                count = told.output_tokens
                if count is not None:
                    self._running = told
                    if count > counted:
                        self._tally.add_more(at_ns, count - counted)
                        counted = count
                elif self._running is not None:
                    self._take_running()
                self.stamps_ns.append(at_ns)
                self._tally.arrivals_ns.append(at_ns)
                self.counted = counted
                if counted >= self._next_mark:
                    self._on_mark()
                    self._tell_over(at_ns)
                return
        self._at_ns = at_ns
        self._take(data)
        self._tell_over(at_ns)

    def _tell_over(self, at_ns: int) -> None:
        if self.over and self._on_over is not None:
            self._on_over(at_ns)

    def _take(self, data: bytes) -> None:
        if self._size_bytes:
            size_bytes = data.find(b"\n") + 1
            if _CHUNK_BYTES.get(data[:size_bytes]) == len(data):
                self._size_bytes = size_bytes
                if (told := self._told_by_whole(data, size_bytes)) is not None:
                    self._on_token(told)
                    return
                payload, _, end = data[size_bytes:].partition(b"\n")
                if self._is_sse and end == b"\n\r\n" and payload.startswith(b"data: ") and _CR not in payload:
                    self._on_event(payload[6:])
                    return
        at_end = self.http.feed(data) and (self._is_sse or self._whole is not None)
        between = at_end and not self.over and self._framing.between
        self._size_bytes = (self._size_bytes or USUAL_SIZE_BYTES) if between else 0

    def _told_by_whole(self, data: bytes, at: int) -> StreamEvent | None:
        """Return what a chunk whose event begins at `at` tells, if it is of the dialect's usual kind."""
        whole = self._whole
        match = None if whole is None else whole(data, at)
        if match is None:
            return None
        return _running(match[1]) if match.lastindex else TOKEN

    def _on_token(self, told: StreamEvent) -> None:
        """Take an event that bears tokens and says nothing else, but for the counts of a running usage."""
        if told.output_tokens is None:
            self._take_running()
        self._stamp(self._at_ns)
        if told.output_tokens is not None:
            self._running = told
            self._add_beyond(told.output_tokens - self.counted)
        if self.counted >= self._next_mark:
            self._on_mark()

    def _stamp(self, at_ns: int) -> None:
        self.stamps_ns.append(at_ns)
        self._tally.arrivals_ns.append(at_ns)
        self.counted += 1

    def _take_running(self) -> None:
        """Take the counts of an event behind which none has come, or one that told none."""
        running, self._running = self._running, None
        if running is not None:
            self._told, self._told_after, self._told_by_token = running.output_tokens, len(self.stamps_ns), True
            self._take_prompt(running.prompt_tokens)

    def _take_prompt(self, tokens: int | None) -> None:
        """Take how long the prompt was; what is no length is as if it were not told."""
        if believed(tokens):
            self.prompt_tokens = tokens

    def end_of_stream(self, at_ns: int, why: str = "") -> None:
        """Take it that the connection has ended; `why` is empty for a plain end of file."""
        self._at_ns = at_ns
        if not why:
            self.http.end_of_connection()
        if not self.over:
            self.fail(Outcome.DISCONNECTED, f"{why or 'the server closed the connection'} {self.http.where}")

    def end_body(self) -> None:
        """Wait no longer for the end of a body whose stream has said that nothing follows, or that it failed."""
        if not self.over:
            self._judge_stream()

    def fail(self, outcome: Outcome, error: str) -> None:
        """End it from outside: a time-out, a cut, a network error. What the server said before stands."""
        if self._ended:
            self.end_body()
        else:
            self._fail(outcome, error)

    # What the HTTP of it tells.

    def take_stream(self, body: bytes) -> None:
        """Take a piece of the stream."""
        if self.over:
            return
        try:
            self._framing.feed(body)
        except FramingError as error:
            self._fail(Outcome.MALFORMED, str(error))

    def take_end(self) -> None:
        """Judge the whole."""
        if self.over:
            return
        if self.http.is_stream:
            self._judge_stream()
        else:
            self._finish(*self.http.refusal())

    def take_fault(self, fault: str) -> None:
        """End it: what came is not HTTP."""
        self._fail(Outcome.MALFORMED, fault)

    def _on_event(self, payload: bytes) -> None:
        template = self._template
        if template.head is not None and (told := template.told_by(framed(payload))) is not None:
            self._on_token(told)
            return
        self._take_running()
        decode = self._decode  # a callable in a slot is called faster by way of a local name
        try:
            event = decode(payload)
        except (ValueError, RecursionError) as error:
            if self._ended:
                return  # behind the end there may be a usage, and else nothing that matters
            quoted = safe_line(payload.decode("utf-8", "replace"), limit=MAX_QUOTED_CHARS)
            self._fail(Outcome.MALFORMED, f"an event that cannot be read ({error}): {quoted}")
            return
        if event is TOKEN:
            self._on_token(event)
        else:
            self._on_other_event(event)
        if not self.over:
            template.learn(payload, event)

    def _on_other_event(self, event: StreamEvent) -> None:
        if event.error is not None:
            self._on_error_event(event)
        elif event.output_tokens is not None and not believed(event.output_tokens):
            self._fail(Outcome.MALFORMED, f"a usage of {event.output_tokens} tokens")
        else:
            bears = self._take_tokens(event)
            count = event.output_tokens
            if count is not None:
                self._take_count(count, bears)
            self._take_prompt(event.prompt_tokens)
            if event.finished:
                self._finished = True
                self._on_nearly_over()
        if event.ends and not self._ended and not self.over:
            self._ended = True
            if self._on_end is not None:
                self._on_end()

    def _take_tokens(self, event: StreamEvent) -> bool:
        """Stamp an event that bears tokens; say whether it does."""
        count = event.output_tokens
        bears = event.bears_tokens
        if bears is None:  # an empty text
            if count is not None:
                bears = count > self.counted
            elif event.finished or self._finished:
                self._perhaps_ns = self._at_ns
                return False
            else:
                bears = True
        if not bears:
            return False
        self._stamp(self._at_ns)
        if event.tokens is not None:
            self._add_beyond(event.tokens - 1)
        elif count is not None:
            self._counts_lag |= count == 0
            self._add_beyond(count - self.counted)
        if self.counted >= self._next_mark:
            self._on_mark()
        return True

    def _take_count(self, count: int, bears: bool) -> None:
        self._told, self._told_after, self._told_by_token = count, len(self.stamps_ns), bears
        if count > self._most:
            self._too_many(count)

    def _add_beyond(self, tokens: int) -> None:
        if tokens > 0:
            self.counted += tokens
            self._tally.add_more(self._at_ns, tokens)

    @property
    def _most(self) -> int:
        return self._asked + max(self._asked, MOST_BEYOND)

    def _on_mark(self) -> None:
        self._on_nearly_over()
        if self.counted > self._most:
            self._too_many(self.counted)

    def _on_nearly_over(self) -> None:
        if self._next_mark < self._asked:
            self._next_mark = self._most + 1
            if self._on_last_token is not None:
                self._on_last_token()

    def _too_many(self, tokens: int) -> None:
        self._take_running()
        self.output_tokens = tokens
        self.counted_by = CountedBy.EVENTS if self._told is None else CountedBy.USAGE
        self._fail(Outcome.MALFORMED, f"stopped after {tokens} tokens, though {self._asked} were asked for")

    def _on_error_event(self, event: StreamEvent) -> None:
        # The stream goes on to its end; what counts is that it held an error, so the first one stays.
        if self.outcome is None:
            text = event.error or ""
            self.outcome = event.outcome or self._dialect.outcome_of(event.error_code, text)
            self.error = safe_line(text, limit=MAX_ERROR_CHARS)
            if self._on_end is not None:
                self._on_end()

    def _judge_stream(self) -> None:
        self._take_running()
        unfinished = self._framing.unfinished  # which may hand on a last event
        if self.over:
            return
        asked, events = self._asked, len(self.stamps_ns)
        final = self._final_count()
        complete = (
            self._ended
            or self._finished
            or self._dialect.ending is Ending.END_OF_BODY
            # A sum of what the events said by themselves does not tell that there are no more.
            or (final is not None and not self._told_by_token and self._dialect.count is Count.USAGE)
        )
        if self.outcome is not None:  # an error event came before
            self._finish(self.outcome, self.error)
        elif unfinished and not self._ended:
            self._finish(Outcome.MALFORMED, "the stream ended within an event")
        elif not complete:
            self._finish(Outcome.MALFORMED, f"the stream ended without {self._dialect.end} after {events} events")
        else:
            tokens = self._settle_count(final)
            if not self.stamps_ns:
                told = f"a usage of {tokens} tokens, but no event bore one" if tokens else "an answer without a token"
                self._finish(Outcome.MALFORMED, told)
            elif self._exact and final is not None and tokens < asked:
                self._finish(Outcome.MALFORMED, f"{tokens} tokens came, though {asked} were asked for")
            else:
                self._finish(Outcome.OK, "")

    def _final_count(self) -> int | None:
        """Return the server's count of the whole answer, or None where what it told is not that."""
        if self._dialect.count is not Count.USAGE:
            return self.counted if self._dialect.count is Count.PER_EVENT and self.stamps_ns else None
        told = self._told
        if not told or self._told_after != len(self.stamps_ns):
            return None  # zeros on every event, or a count from before the last token
        if told < self.counted and self._told_by_token and (self._counts_lag or not self._finished):
            return None
        return told

    def _settle_count(self, final: int | None) -> int:
        """Set `output_tokens`, and give tokens a time that were told of at the end only."""
        more = 0 if final is None else final - self.counted
        if more > 0 and self._perhaps_ns is not None and self.stamps_ns:
            self._stamp(self._perhaps_ns)
            more -= 1
        self._add_beyond(more)
        self.counted_by = CountedBy.EVENTS if final is None else CountedBy.USAGE
        self.output_tokens = self.counted if final is None else final
        return self.output_tokens

    def _fail(self, outcome: Outcome, error: str) -> None:
        if self.over:
            return
        if self.outcome is not None:  # the error event came first and is the cause of what follows
            outcome, error = self.outcome, self.error
        self._finish(outcome, error, keep_alive=False)

    def _finish(self, outcome: Outcome, error: str, *, keep_alive: bool = True) -> None:
        self._take_running()
        self._template.close(len(self.stamps_ns))
        self.over = True
        self._size_bytes = 0
        self.outcome = outcome
        self.error = safe_line(error, limit=MAX_ERROR_CHARS)
        # Both hold us: each response, with the time of each token, would wait for the garbage collector.
        self.http.close(keep_alive=keep_alive)
        self._framing.emit = _pass_over


@lru_cache(MOST_COUNTS)
def _running(count: bytes) -> StreamEvent | None:
    """Return what a usual event tells; None where its count is none that there can be, for its dialect to judge."""
    tokens = int(count) if len(count) <= _MOST_DIGITS else MOST_TOLD + 1
    return StreamEvent(bears_tokens=True, output_tokens=tokens) if believed(tokens) else None


def _pass_over(_: bytes) -> None:
    """Take what the same read held behind the event that ended a response."""
