"""The dialect of OpenAI-compatible streams, completions and chat. Imported by the load workers."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from tui.core.outcome import Outcome
from tui.engines.parts import dialect
from tui.engines.parts.dialect import NOTHING, TOKEN, Dialect, StreamEvent, read_error

NAME = "tui.engines.parts.openai_stream:DIALECT"
PERHAPS = StreamEvent(bears_tokens=None)
FINISHED = StreamEvent(finished=True)
_DONE = StreamEvent(ends=True)
_ABSENT = msgspec.Raw()
# What stands in a delta that bears nothing: the key is absent, null, or an empty text or list.
_EMPTY = (b"", b"null", b'""', b"[]")
_TEXT_KEYS = (b'"text":"', b'"content":"', b'"reasoning":"', b'"reasoning_content":"')
_DEAD_ENGINE = ("EngineCore", "EngineDead")
"""In vLLM's words, and many a server of this dialect is a vLLM behind a gateway."""


class _Delta(msgspec.Struct, gc=False):
    role: str | None = None
    # Raw, for only its emptiness matters, and servers put texts, lists and objects here.
    content: msgspec.Raw = _ABSENT
    reasoning: msgspec.Raw = _ABSENT
    reasoning_content: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(msgspec.Struct, gc=False):
    text: str | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _ABSENT


class _Error(msgspec.Struct):
    """An event without choices may be an error of an older shape."""

    error: msgspec.Raw = _ABSENT
    object: str | None = None
    message: msgspec.Raw = _ABSENT
    code: msgspec.Raw = _ABSENT


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def decode(payload: bytes) -> StreamEvent:
    """Read one event of an OpenAI-compatible stream.

    An empty text may stand for a token (special tokens, halves of UTF-8 characters), so the server's count has the
    last word. Raises ValueError for what is no JSON object of this dialect.
    """
    try:
        chunk = _decode_chunk(payload)
        choices = chunk.choices
        if choices and chunk.usage is None and chunk.error is _ABSENT:
            first = choices[0]
            if first.text and first.finish_reason is None and first.usage is None:
                return TOKEN  # nearly every event
        if chunk.error is not _ABSENT or not choices:
            found = _decode_error(payload)
            if found.object == "error" or bytes(found.error) not in _EMPTY:
                return _error_event(found)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _no_chunk(payload, error)
    choice = choices[0] if choices else None
    usage = chunk.usage or (choice.usage if choice is not None else None)
    bears = False if choice is None else _bears_tokens(choice)
    finished = choice is not None and choice.finish_reason is not None
    if usage is None or usage.completion_tokens is None:
        if not finished:
            return TOKEN if bears else NOTHING if bears is False else PERHAPS
        return FINISHED if bears is False else StreamEvent(bears_tokens=bears, finished=True)
    return StreamEvent(
        bears_tokens=bears,
        output_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        finished=finished,
    )


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means, in the words of the many servers that speak this dialect."""
    if any(word in text for word in _DEAD_ENGINE):
        return Outcome.ENGINE_DEAD
    return dialect.outcome_of(status, text)


def text_of(payload: bytes) -> str:
    """Return the text of one event, the model's reasoning included; "" for one without. Raises ValueError."""
    try:
        choices = _decode_chunk(payload).choices
        if not choices:
            return ""
        delta = choices[0].delta or _Delta()
        parts = [bytes(part) for part in (delta.reasoning, delta.reasoning_content, delta.content)]
        texts = [choices[0].text or "", *(_decode_text(part) for part in parts if part[:1] == b'"')]
        return "".join(texts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


DIALECT = Dialect(decode, outcome_of=outcome_of, text_keys=_TEXT_KEYS, text_of=text_of)


def _no_chunk(payload: bytes, error: Exception) -> StreamEvent:
    """Return what an event says that is no chunk: the mark of the end, or an error in plain words."""
    text = payload.strip()
    if text == b"[DONE]":
        return _DONE
    if text[:1].isalpha() and text not in (b"null", b"true", b"false"):
        return StreamEvent(error=text.decode("utf-8", "replace"))
    if text[:1] == b'"' and len(text) > 2:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return StreamEvent(error=_decode_text(text))
    raise ValueError(str(error)) from error


def _bears_tokens(choice: _Choice) -> bool | None:
    """Return whether a choice bears tokens; None = it has an empty text, which may stand for one."""
    if choice.text is not None:
        return True if choice.text else None
    delta = choice.delta
    if delta is None:
        return False
    content = bytes(delta.content)
    if content not in _EMPTY:
        return True
    if any(bytes(part) not in _EMPTY for part in (delta.reasoning, delta.reasoning_content, delta.tool_calls)):
        return True
    # An empty text may be a token, unless it merely fills a delta that announces the role; no text at all is none.
    return None if content == b'""' and delta.role is None else False


def _error_event(found: _Error) -> StreamEvent:
    fields = {
        "message": found.message if bytes(found.message) else None,
        "code": found.code if bytes(found.code) else None,
        "error": found.error if bytes(found.error) not in _EMPTY else None,
    }
    text, code = read_error(msgspec.json.encode(fields))
    # Where the words name a cause, that is more than that the engine failed.
    dead = Outcome.ENGINE_DEAD if code == 500 and not outcome_of(None, text).is_oom else None
    return StreamEvent(error=text or "an error without a message", error_code=code, outcome=dead)
