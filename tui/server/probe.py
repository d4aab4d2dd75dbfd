"""What a server that answers tells of itself, and what it does not offer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.core.safe_text import safe_line
from tui.engines.base import Engine
from tui.server.client import NoAnswer, ServerClient, ServerResponse

NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """The answers; what is missing is said in words."""

    version: str = ""
    models: list[str] = field(default_factory=list)
    max_model_lens: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    status: int | None = None
    """Of the list of models: 401 and 403 mean that a key is wanted."""
    location: str = ""
    """Where the list of models is said to be instead; no redirect is followed."""


async def ask(client: ServerClient, engine: Engine) -> Probe:
    """Return what the server tells. Raises NoAnswer when nothing answers."""
    listing = await client.fetch("/v1/models")
    rows = _rows(listing)
    models = [safe_line(row["id"], limit=NAME_CHARS) for row in rows if isinstance(row.get("id"), str)]
    lengths = {
        row["id"]: row["max_model_len"]
        for row in rows
        if isinstance(row.get("id"), str) and isinstance(row.get("max_model_len"), int) and row["max_model_len"] > 0
    }
    version = _object(await _try(client, "/version")).get("version")
    missing = []
    if not lengths:
        missing.append("no max_model_len: prompts that are too long are found out by asking")
    if not isinstance(version, str):
        missing.append("no /version")
    metrics = await _try(client, engine.metrics_path) if engine.metrics_path else NO_RESPONSE
    if engine.read_metrics(metrics.content.decode(errors="replace")).running is None:
        missing.append("no /metrics of its own: no queue, KV cache or server-side latency")
    if not models or await tokens_of(client, models[0], "a") is None:
        missing.append("no /tokenize: prompt sizes are checked by usage only")
    return Probe(
        version=safe_line(version, limit=NAME_CHARS) if isinstance(version, str) else "",
        models=models,
        max_model_lens=lengths,
        missing=missing,
        status=listing.status,
        location=listing.location,
    )


async def tokens_of(client: ServerClient, model: str, content: str | list[dict[str, str]]) -> list[int] | None:
    """Return the token ids of a text, or of messages under the chat template; None where the server cannot say."""
    key = "prompt" if isinstance(content, str) else "messages"
    try:
        response = await client.fetch("/tokenize", {"model": model, key: content})
    except NoAnswer:
        return None
    tokens = _object(response).get("tokens")
    if isinstance(tokens, list) and all(isinstance(token, int) for token in tokens):
        return tokens
    return None


async def _try(client: ServerClient, path: str) -> ServerResponse:
    try:
        response = await client.fetch(path)
    except NoAnswer:
        return NO_RESPONSE
    return response if response.is_ok else NO_RESPONSE


def _object(response: ServerResponse) -> dict[str, Any]:
    found = response.json()
    return found if isinstance(found, dict) else {}


def _rows(response: ServerResponse) -> list[dict[str, Any]]:
    """Return the entries of a list of models: OpenAI's {"data": [...]}, or a bare array, be it of names only."""
    found = response.json()
    rows = found if isinstance(found, list) else _first_list(found)
    named = [{"id": row} if isinstance(row, str) else row for row in rows]
    return [row for row in named if isinstance(row, dict)]


def _first_list(found: Any) -> list[Any]:
    if not isinstance(found, dict):
        return []
    return next((rows for key in ("data", "models") if isinstance(rows := found.get(key), list)), [])


NO_RESPONSE = ServerResponse(0, b"")
