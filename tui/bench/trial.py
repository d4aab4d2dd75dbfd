"""One request before any is measured: what the server refuses of our own fields is left out, and said.

Servers differ in which fields of OpenAI's request they take. One that names a field which it does not want is asked
again without it, each field once; the answer itself is not waited for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import outcome_of, read_error
from tui.load.prompts import PromptMaker
from tui.load.wire import PromptSource
from tui.server.client import NoAnswer, ServerResponse

MOST_TRIES = 8
_REFUSED_AS_WRONG = frozenset({400, 422})
# Without these there is no request to be measured.
_NEEDED = frozenset({"model", "prompt", "messages", "stream"})
# The limit of the answer is never left out, but it has other names.
_LIMIT = "max_tokens"
_OTHER_LIMITS = re.compile(r"(?<!\w)(max_completion_tokens|max_new_tokens|max_output_tokens)(?!\w)")
_USUAL_OTHER_LIMIT = "max_completion_tokens"
# Where an error names a field: OpenAI's `param`, pydantic's `loc`, and what others call it.
_NAMING_KEYS = frozenset({"param", "loc", "field", "parameter", "path"})
_SAID_CHARS = 200

Post = Callable[[RequestShape, bytes], Awaitable[ServerResponse]]
"""Sends a request of a shape with this body; returns its status, and the body of a refusal."""


@dataclass(slots=True)
class Trial:
    """What requests are to be changed by, as in [load.body], and why."""

    changes: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cut_down: set[str] = field(default_factory=set)
    """Fields of which a part was left out; the rest may have to follow."""


async def try_request(
    shape_with: Callable[[Mapping[str, object]], RequestShape],
    prompts: PromptSource,
    wanted: Mapping[str, object],
    post: Post,
) -> Trial:
    """Return what a server wants changed of our requests: nothing where it takes them, or gives no reason that helps.

    `shape_with` makes a request with the changes of the profile (`wanted`, which are left alone) and further ones.
    """
    trial = Trial()
    for _ in range(MOST_TRIES):
        try:
            shape = shape_with({**wanted, **trial.changes})
            body = b"".join(PromptMaker(shape, prompts).make())
            response = await post(shape, body)
        except (NoAnswer, ValueError):
            return trial  # the measured requests will tell
        if response.status not in _REFUSED_AS_WRONG:
            return trial
        said = safe_line(read_error(response.content)[0], limit=_SAID_CHARS)
        if outcome_of(response.status, said) is not Outcome.HTTP_ERROR:
            return trial
        change = _change_for(response.content, json.loads(body), {*wanted, *trial.changes} - trial.cut_down)
        if change is None:
            return trial
        name, value, done = change
        trial.cut_down = trial.cut_down | {name} if name not in trial.cut_down and value else trial.cut_down - {name}
        trial.changes[name] = value
        trial.notes.append(f"{done} (HTTP {response.status}: {said})")
    return trial


def _change_for(refusal: bytes, sent: Mapping[str, Any], settled: set[str]) -> tuple[str, object, str] | None:
    """Return the field to change, its value as in [load.body], and the change in words; None where none is named."""
    text = refusal.decode(errors="replace")
    fields = {name for name in sent if name not in _NEEDED and name not in settled}
    within = {
        inner: name for name in fields if isinstance(value := sent[name], dict) for inner in value if inner not in sent
    }
    named = next((name for name in _named(refusal, text) if name in fields or name in within), None)
    if named is None:
        return None
    # Where a part is named as well, that alone is meant.
    named = next((name for name in _named(refusal, text) if within.get(name) == named), named)
    if named in within:
        outer = within[named]
        rest = {name: value for name, value in sent[outer].items() if name != named}
        return outer, rest or False, f"{outer}.{named} is left out, since the server refuses it"
    if named == _LIMIT:
        other = _OTHER_LIMITS.search(text)
        new = other[1] if other else _USUAL_OTHER_LIMIT
        return named, {"as": new}, f"{new} is asked for in place of {named}, which the server refuses"
    return named, False, f"{named} is left out, since the server refuses it"


def _named(refusal: bytes, text: str) -> Iterator[str]:
    """Yield what an error may name as wrong: first where it says so by itself, then in the order of its words."""
    try:
        yield from _naming(json.loads(refusal), 0)
    except (ValueError, RecursionError):
        pass
    yield from re.findall(r"[A-Za-z_]\w+", text)


def _naming(value: object, depth: int) -> Iterator[str]:
    if depth > 8:
        return
    if isinstance(value, list):
        for each in value:
            yield from _naming(each, depth + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _NAMING_KEYS:
                yield from reversed(_words_of(inner))
            else:
                yield from _naming(inner, depth + 1)


def _words_of(place: object) -> list[str]:
    """Return the parts of a place: `["body", "stream_options"]`, or "stream_options.include_usage"."""
    parts = place if isinstance(place, list) else [place]
    return [word for part in parts if isinstance(part, str) for word in re.split(r"[^\w]+", part) if word]
