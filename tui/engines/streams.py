"""Stream decoders: one event of a server's answer → how many tokens it bears. Imported by the load workers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of a stream, read."""

    bears_tokens: bool = False
    output_tokens: int | None = None
    """Tokens so far, by the server's own running usage count; None where the event does not tell."""
    prompt_tokens: int | None = None
    final_usage: bool = False
    """Whether `output_tokens` is the server's count for the whole answer."""
    done: bool = False
    error: str | None = None
    """What the server says went wrong; a stream that held one is never a success."""
    error_code: int | None = None
    """The number that came with `error`, of HTTP's kind; None where there was none."""


Decoder = Callable[[bytes], StreamEvent]
"""Takes the data of one event, without framing; raises ValueError for what is not of the dialect."""

TOKEN = StreamEvent(bears_tokens=True)
"""What nearly every event says: a decoder that returns this very object spares a look at its fields."""
NOTHING = StreamEvent()
_DONE = StreamEvent(done=True)
_ABSENT = msgspec.Raw()
# What stands in a delta that bears nothing: the key is absent, null, or an empty text or list.
_EMPTY = (b"", b"null", b'""', b"[]")


class _Delta(msgspec.Struct, gc=False):
    role: str | None = None
    # Raw, for only its emptiness matters, and servers put texts, lists and objects here.
    content: msgspec.Raw = _ABSENT
    reasoning: msgspec.Raw = _ABSENT
    reasoning_content: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _ABSENT


class _Error(msgspec.Struct):
    """An event without choices may be an error of an older shape."""

    error: msgspec.Raw = _ABSENT
    object: str | None = None
    message: str | None = None
    code: msgspec.Raw = _ABSENT


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def decode_openai(payload: bytes) -> StreamEvent:
    """Read one event of an OpenAI-compatible stream, completions or chat.

    A text may be empty and still stand for a token (special tokens, halves of UTF-8 characters), so it is the choice
    that counts. Raises ValueError for what is no JSON object of this dialect.
    """
    try:
        chunk = _decode_chunk(payload)
        choices = chunk.choices
        if choices and chunk.usage is None and chunk.error is _ABSENT and choices[0].delta is None:
            return TOKEN  # nearly every event
        if chunk.error is not _ABSENT or not choices:
            found = _decode_error(payload)
            if found.object == "error" or bytes(found.error) not in _EMPTY:
                return _error_event(found)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if payload == b"[DONE]":
            return _DONE
        raise ValueError(str(error)) from error
    usage = chunk.usage
    bears = bool(choices) and (choices[0].delta is None or _bears_tokens(choices[0].delta))  # type: ignore[index]
    if usage is None or usage.completion_tokens is None:
        return TOKEN if bears else NOTHING
    return StreamEvent(
        bears_tokens=bears,
        output_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        final_usage=not choices or choices[0].finish_reason is not None,
    )


def read_error(body: bytes) -> tuple[str, int | None]:
    """Return what an error body says, and its code: of vLLM's, FastAPI's and older shapes, else the text as it is."""
    try:
        answer: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace").strip(), None
    if isinstance(answer, dict):
        found = answer.get("error") or answer.get("detail") or answer.get("message")
        code = answer.get("code")
        if isinstance(found, dict):
            code = found.get("code", code)
            found = found.get("message") or found
        if found:
            text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
            return text, code if isinstance(code, int) and not isinstance(code, bool) else None
    return body.decode("utf-8", "replace").strip(), None


def _bears_tokens(delta: _Delta) -> bool:
    content = bytes(delta.content)
    if content not in _EMPTY:
        return True
    if any(bytes(part) not in _EMPTY for part in (delta.reasoning, delta.reasoning_content, delta.tool_calls)):
        return True
    # An empty text is a token, unless it merely fills a delta that announces the role; no text at all is none.
    return content == b'""' and delta.role is None


def _error_event(found: _Error) -> StreamEvent:
    fields = {"message": found.message, "code": found.code if bytes(found.code) else None, "error": None}
    if bytes(found.error) not in _EMPTY:
        fields["error"] = found.error
    text, code = read_error(msgspec.json.encode(fields))
    return StreamEvent(error=text or "an error without a message", error_code=code)


DECODERS: dict[str, Decoder] = {"openai": decode_openai}
