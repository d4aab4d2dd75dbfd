"""A dialect: how the answers of a serving system are read, in the load workers. Pure, and quick to import.

A worker is told of a dialect by name, "module:attribute", and imports that module and nothing of profiles.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from tui.core.outcome import Outcome
from tui.engines.parts.framing import Framing, Sse

MOST_TOLD = 1 << 40
"""Tokens of one answer or prompt that a server is believed; a number beyond it fits neither a report nor a session."""


def believed(tokens: int | None) -> bool:
    """Say whether a number of tokens is told, and one that there can be; some servers say -1 where they do not know."""
    return tokens is not None and 0 <= tokens <= MOST_TOLD


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of a stream, read."""

    bears_tokens: bool | None = False
    """None = perhaps: its text is empty, as that of a special token; the server's count says whether it was one."""
    tokens: int | None = None
    """How many it bears by itself, where the server counts per event."""
    output_tokens: int | None = None
    """Tokens of the answer so far, by the server's own count; None where the event does not tell."""
    prompt_tokens: int | None = None
    finished: bool = False
    """Whether it gives the reason why the answer is complete."""
    ends: bool = False
    """Whether it is the mark or the final event, behind which nothing of the answer follows."""
    error: str | None = None
    """What the server says went wrong; a stream that held one is never a success."""
    error_code: int | None = None
    """The number that came with `error`, of HTTP's kind; None where there was none."""
    outcome: Outcome | None = None
    """What the error means where the event itself says so; else the dialect judges its words."""


Decode = Callable[[bytes], StreamEvent]
"""Takes the data of one event, without framing; raises ValueError for what is not of the dialect."""

_Shape = TypeVar("_Shape", bound=msgspec.Struct)


def reader_of(shape: type[_Shape]) -> Callable[[bytes], _Shape]:
    """Return what reads the JSON of one event as `shape`; it raises ValueError for what is not of it."""
    decode = msgspec.json.Decoder(shape).decode

    def read(payload: bytes) -> _Shape:
        try:
            return decode(payload)
        except msgspec.DecodeError as error:  # a wrong UTF-8 is a ValueError already
            raise ValueError(str(error)) from error

    return read


TOKEN = StreamEvent(bears_tokens=True)
"""What nearly every event without a count says: a decoder that returns this very object saves a look at its fields."""
NOTHING = StreamEvent()


class Ending(Enum):
    """How a stream says that it is complete. An end of the body with a finish reason is always one."""

    MARK = "mark"
    """An event such as `[DONE]`."""
    FINAL_EVENT = "final event"
    """A last event of its own kind, with the counts."""
    END_OF_BODY = "end of the body"
    """Nothing but an orderly end of the body."""


class Count(Enum):
    """Whose count of the output tokens holds."""

    USAGE = "usage"
    """The server's, of the whole answer, running or at its end; without one, the events are counted."""
    PER_EVENT = "per event"
    """The server's, of each event: their sum."""
    EVENTS = "events"
    """None: one token is taken to be in each event."""


class OutcomeOf(Protocol):
    """The system's own words."""

    def __call__(self, status: int | None, text: str, /) -> Outcome:
        """Return what an error means. `status`: HTTP's, or the code that came with an error in a stream; or None."""


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means by its HTTP status, and by words that all systems share.

    Out of memory, too long and overload are told by words wherever they can be: gateways put statuses of their own.
    """
    words = text.lower()
    if any(word in words for word in OUT_OF_MEMORY):
        return Outcome.OOM_RUNTIME
    if status in (429, 503) or any(word in words for word in _OVERLOADED):
        return Outcome.OVERLOADED
    if status == 413 or (status in (None, 400, 413, 422) and is_too_long(words)):
        return Outcome.TOO_LONG
    return Outcome.HTTP_ERROR


OUT_OF_MEMORY = ("out of memory", "outofmemoryerror", "cudamalloc failed")
_OVERLOADED = ("model is overloaded", "exceeds maximum queue size", "request dropped due to backpressure")


def is_too_long(words: str) -> bool:
    """Say whether an error in small letters means that prompt and answer exceed what the server can hold."""
    return (
        "context length" in words
        or "max_tokens must be at least 1" in words
        or "min_tokens must be less than or equal to max_tokens" in words
        or ("context" in words and ("exceed" in words or "too long" in words))
        or ("max_model_len" in words or "maximum model length" in words)
        or "prompt is too long" in words
        or "should not exceed max_num_tokens" in words
        or ("max_new_tokens" in words and "must be <=" in words)
    )


@dataclass(frozen=True, slots=True)
class Dialect:
    """How answers are framed, decoded, counted, ended, and judged."""

    decode: Decode
    framing: Callable[[Callable[[bytes], None]], Framing] = Sse
    media_types: tuple[bytes, ...] = (b"text/event-stream",)
    """In small letters. An answer without any is looked at."""
    ending: Ending = Ending.MARK
    end: str = "[DONE] or a finish reason"
    """What a stream that broke off lacks, in words."""
    count: Count = Count.USAGE
    text_keys: tuple[bytes, ...] = ()
    """How the text of an event of JSON begins, as in `"text":"`. Whoever names some says that `decode` asks of that
    text only whether it is empty, and never looks at `id` and `created`: then most events need not be decoded."""
    usual: re.Pattern[bytes] | None = None
    """What matches the data of an event of which `decode` says that it bears a token and nothing else, but for the
    tokens so far, which a group of the pattern may be: then most events need not be decoded."""
    outcome_of: OutcomeOf = outcome_of
    text_of: Callable[[bytes], str] | None = None
    """Returns the text of one event: for a person who asks, and for a tokenizer where the server does not count; None =
    a person cannot ask, and the server always counts. Raises ValueError as `decode` does. No load worker calls it."""


# To write the pattern of a usual event by: values of JSON that need no second look. Atomic, so that what does not match
# is found out at once.
_PLAIN = rb"[ !#-\[\]-~]++"
_OTHER = (
    rb"\\[nrt\"\\/]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
TEXT = rb"(?>%b(?=\")|(?:%b|%b)++)" % (_PLAIN, _PLAIN, _OTHER)
"""What stands within the quotes of a string, at least one character."""
COUNT = rb"(?:[1-9][0-9]{0,8}+|0)"
NUMBER = rb"-?+%b(?:\.[0-9]{1,20}+)?+(?:e[-+]?[0-9]{1,2}+)?+" % COUNT


def dialect_named(name: str) -> Dialect:
    """Return the dialect at "module:attribute". Raises ValueError for a name at which there is none."""
    module, _, attribute = name.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no dialect at {name!r}: {error}") from error
    if not isinstance(found, Dialect):
        raise ValueError(f"no dialect at {name!r}, but a {type(found).__name__}")
    return found


def read_error(body: bytes) -> tuple[str, int | None]:
    """Return what an error body says, and its code: of the shapes that servers use, else the text as it is.

    It may be framed as the one event of a stream that did not come about.
    """
    body = body.strip().removeprefix(b"data:")
    try:
        answer: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace").strip(), None
    if isinstance(answer, dict):
        found = answer.get("error") or answer.get("detail") or answer.get("message") or answer.get("Message")
        code = answer.get("code")
        if isinstance(found, dict):
            code = found.get("code", code)
            found = found.get("message") or found
        if found:
            text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
            return text, code if isinstance(code, int) and not isinstance(code, bool) else None
    return body.decode("utf-8", "replace").strip(), None
