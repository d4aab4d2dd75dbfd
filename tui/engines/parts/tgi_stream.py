"""The dialect of Text Generation Inference's own `/generate_stream`. Imported by the load workers.

One event per token, the last one with the counts; no mark behind it. Every error of a stream comes within a 200, as an
event `{"error", "error_type"}` (router/src/server.rs of 3.3.7; 1.x wrote `data:` without the space).
"""

from __future__ import annotations

import re

import msgspec

from tui.core.outcome import Outcome
from tui.engines.parts import dialect, openai_stream
from tui.engines.parts.dialect import (
    COUNT,
    NOTHING,
    NUMBER,
    TEXT,
    TOKEN,
    Dialect,
    Ending,
    StreamEvent,
    read_error,
    reader_of,
)

_ABSENT = msgspec.Raw()
_OF_TYPE = {
    "overloaded": Outcome.OVERLOADED,
    # The shard is gone, and with it what it computed.
    "incomplete_generation": Outcome.ENGINE_DEAD,
    "incomplete_generation_stream": Outcome.ENGINE_DEAD,
}
USUAL = re.compile(
    rb'\{"index":%b,"token":\{"id":%b,"text":"(?:%b)?+","logprob":(?:%b|null),"special":(?:true|false)\},'
    rb'(?:"top_tokens":\[\],)?+"generated_text":null,"details":null\}' % (COUNT, COUNT, TEXT, NUMBER)
)
_TOO_LONG = ("`inputs` must have less than", "`truncate` must be strictly positive and less than", "must be <=")


class _Details(msgspec.Struct, gc=False):
    generated_tokens: int | None = None
    input_length: int | None = None


class _Event(msgspec.Struct, gc=False):
    token: msgspec.Raw = _ABSENT
    details: _Details | None = None
    generated_text: str | None = None
    error: msgspec.Raw = _ABSENT
    error_type: str | None = None


class _Token(msgspec.Struct, gc=False):
    text: str = ""
    special: bool = False


_read_event = reader_of(_Event)
_read_token = reader_of(_Token)


def decode(payload: bytes) -> StreamEvent:
    """Read one event of `/generate_stream`. Raises ValueError for what is none."""
    event = _read_event(payload)
    if event.error is not _ABSENT:
        text, code = read_error(payload)
        return StreamEvent(error=text, error_code=code, outcome=_OF_TYPE.get(event.error_type or ""))
    # A token with an empty text is one all the same: a special one, or a part of a character.
    bears = event.token is not _ABSENT and bytes(event.token) != b"null"
    details = event.details
    if details is None and event.generated_text is None:
        return TOKEN if bears else NOTHING
    return StreamEvent(
        bears_tokens=bears,
        output_tokens=details.generated_tokens if details is not None else None,
        prompt_tokens=details.input_length if details is not None else None,
        finished=True,
        ends=True,
    )


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means, in TGI's words: its OpenAI API calls every error of a stream a 422."""
    if any(words in text for words in _TOO_LONG):
        return Outcome.TOO_LONG
    return dialect.outcome_of(status, text)


def text_of(payload: bytes) -> str:
    """Return the text of one event; "" for a special token. Raises ValueError."""
    token = _read_event(payload).token
    if token is _ABSENT or bytes(token) == b"null":
        return ""
    said = _read_token(token)
    return "" if said.special else said.text


DIALECT = Dialect(
    decode, usual=USUAL, ending=Ending.FINAL_EVENT, end="its last event", outcome_of=outcome_of, text_of=text_of
)
CHAT = Dialect(openai_stream.decode, outcome_of=outcome_of, text_of=openai_stream.text_of)
