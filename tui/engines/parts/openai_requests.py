"""Requests of OpenAI's two ways to ask, as the load workers send them; and what a profile changes in any body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.engines.base import RequestShape, Wish
from tui.engines.parts.openai_stream import NAME

CHAT_PROMPT, BEHIND_CHAT_PROMPT = b'"messages":[{"role":"user","content":', b"}]}"
_FORCING = frozenset({"ignore_eos", "min_tokens"})
"""What makes a model go on behind its own end."""
RENAME = "as"
"""The key of a table in [load.body] that gives a field another name."""


def request_shape(
    wish: Wish, *, token_ids: bool, extra: Mapping[str, Any], stream_options: Mapping[str, bool], dialect: str = NAME
) -> RequestShape:
    """Return a streaming request. `token_ids`: whether completions take a prompt as ids; chat never does.

    `stream_options`: none are left out.
    """
    chat = wish.endpoint == "chat"
    body = {
        "model": wish.model,
        "max_tokens": wish.output_tokens,
        "temperature": 0,
        "stream": True,
        **({"stream_options": dict(stream_options)} if stream_options else {}),
        **(_natural(extra) if wish.by_hand else extra),
    }
    fields = changed(body, wish.body)
    return wish.request(
        "/v1/chat/completions" if chat else "/v1/completions",
        fields,
        CHAT_PROMPT if chat else b'"prompt":',
        behind=BEHIND_CHAT_PROMPT if chat else b"}",
        dialect=dialect,
        kind="token-ids" if token_ids and not chat else "text",
        exact=fields.get("ignore_eos") is True and is_as_asked(wish.body.get("max_tokens")),
    )


def _natural(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in _FORCING}


def is_as_asked(change: object) -> bool:
    """Say whether a field keeps its value under a change of [load.body], be it by another name."""
    return change is None or (isinstance(change, Mapping) and set(change) == {RENAME})


def changed(body: Mapping[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return a body with the changes of [load.body]: False drops a field, `{as = "name"}` renames it, others set it."""
    fields: dict[str, Any] = {}
    for name, value in body.items():
        change = changes.get(name)
        if change is False:
            continue
        if isinstance(change, Mapping) and set(change) == {RENAME}:
            fields[str(change[RENAME])] = value
        else:
            fields[name] = value if change is None else change
    added = {name: value for name, value in changes.items() if name not in body and value is not False}
    return fields | added
