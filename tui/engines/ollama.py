"""Ollama by its own API, to attach to. Known by its documentation: one JSON object a line, the last with the counts.

It loads a model when that is first asked for, and after an OOM once more with a smaller context, which is why the
context is read from what runs (`/api/ps`). It cannot be made to go on behind the end token. It has no metrics.
https://docs.ollama.com/api
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from tui.core.outcome import Outcome
from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import dialect, openai_requests
from tui.engines.parts.dialect import NOTHING, TEXT, TOKEN, Dialect, Ending, StreamEvent, read_error, reader_of
from tui.engines.parts.framing import JsonLines
from tui.engines.parts.questions import OK, Question, Questions, healthy, lengths_of, object_in

# ---- the dialect

_ABSENT = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    content: str = ""
    thinking: str = ""


class _Event(msgspec.Struct, gc=False):
    response: str = ""
    thinking: str = ""
    message: _Message | None = None
    done: bool = False
    eval_count: int | None = None
    prompt_eval_count: int | None = None
    error: msgspec.Raw = _ABSENT


_read_event = reader_of(_Event)


def decode(payload: bytes) -> StreamEvent:
    """Read one line of `/api/generate` or `/api/chat`. Raises ValueError for what is none."""
    event = _read_event(payload)
    if event.error is not _ABSENT:
        text, code = read_error(payload)
        return StreamEvent(error=text, error_code=code)
    said = event.message
    bears = bool(event.response or event.thinking or (said is not None and (said.content or said.thinking)))
    if not event.done:
        return TOKEN if bears else NOTHING
    return StreamEvent(
        bears_tokens=bears,
        output_tokens=event.eval_count,
        prompt_tokens=event.prompt_eval_count,
        finished=True,
        ends=True,
    )


_USUAL = re.compile(
    rb'\{"model":"%b","created_at":"[-+0-9:.TZ]++",(?:"response":"%b"|"message":\{"role":"assistant","content":"%b"\}),'
    rb'"done":false\}' % (TEXT, TEXT, TEXT)
)


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means, in Ollama's words."""
    found = dialect.outcome_of(status, text)
    if found is Outcome.HTTP_ERROR:
        if "requires more system memory" in text:
            return Outcome.OOM_RUNTIME
        if "runner process has terminated" in text or "runner process no longer running" in text:
            return Outcome.ENGINE_DEAD
    return found


def text_of(payload: bytes) -> str:
    """Return the text of one line, the model's thinking included. Raises ValueError."""
    event = _read_event(payload)
    said = event.message or _Message()
    return event.thinking + event.response + said.thinking + said.content


DIALECT = Dialect(
    decode,
    text_of=text_of,
    usual=_USUAL,
    framing=JsonLines,
    media_types=(b"application/x-ndjson", b"application/ndjson"),
    ending=Ending.FINAL_EVENT,
    end='its last object, "done": true',
    outcome_of=outcome_of,
)

# ---- what it can be asked


class OllamaQuestions(Questions):
    """Its version, the models that it has, the context of the one that runs."""

    def alive(self) -> Question[bool] | None:
        """Ask for its version, which it tells whenever it runs; no model need be loaded."""
        return Question("/api/version", healthy)

    def models(self) -> Question[list[str]] | None:
        """Ask for the models that it has on its disk."""
        return Question("/api/tags", _models_in)

    def version(self) -> Question[str] | None:
        """Ask for its version."""
        return Question("/api/version", _version_in)

    def limits(self, models: Sequence[str]) -> Question[dict[str, int]] | None:
        """Ask for the context with which each model runs now; it tells none before its first request."""
        return Question("/api/ps", _contexts_in)


def _rows(status: int, content: bytes) -> list[dict[str, object]]:
    rows = object_in(status, content).get("models")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _models_in(status: int, content: bytes) -> list[str] | None:
    if not isinstance(object_in(status, content).get("models"), list):
        return None
    return [name for row in _rows(status, content) if isinstance(name := row.get("name"), str)]


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


def _contexts_in(status: int, content: bytes) -> dict[str, int]:
    return lengths_of(_rows(status, content), "name", "context_length")


# ---- the whole


class OllamaEngine(Engine):
    """Ollama. Completions go to `/api/generate` without a template, chat to `/api/chat`."""

    name = "ollama"
    title = "Ollama"
    # Others have its /api/tags as well, to be taken for it.
    mark = Question("/", lambda status, content: status == OK and content.strip() == b"Ollama is running")
    questions = OllamaQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for at most so many tokens; the profile's own options are `[load.body.options]`.

        A prompt beyond the context is refused, where it would else be cut without a word.
        """
        own = wish.body.get("options")
        options = openai_requests.changed(
            {"num_predict": wish.output_tokens, "temperature": 0}, own if isinstance(own, Mapping) else {}
        )
        chat = wish.endpoint == "chat"
        body = {"model": wish.model, "stream": True, "truncate": False, **({} if chat else {"raw": True})}
        changes = {name: value for name, value in wish.body.items() if name != "options"}
        fields = openai_requests.changed(body | {"options": options}, changes)
        return wish.request(
            "/api/chat" if chat else "/api/generate",
            fields,
            openai_requests.CHAT_PROMPT if chat else b'"prompt":',
            behind=openai_requests.BEHIND_CHAT_PROMPT if chat else b"}",
            dialect=f"{__name__}:DIALECT",
            headers=(("Content-Type", "application/json"), ("Accept", "application/x-ndjson")),
        )


ENGINE = OllamaEngine()
