"""What a server that answers tells of itself, and what it does not offer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from tui.core.safe_text import safe_line
from tui.engines.base import Engine

NAME_CHARS = 200
ANSWER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Probe:
    """The answers; what is missing is said in words."""

    version: str = ""
    models: list[str] = field(default_factory=list)
    max_model_lens: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    status: int | None = None
    """Of the list of models: 401 and 403 mean that a key is wanted."""


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """What came back on one request."""

    status: int
    content: bytes

    def json_object(self) -> dict[str, Any]:
        """Return the JSON object of a good response; empty for everything else."""
        if self.status != httpx.codes.OK:
            return {}
        try:
            found = json.loads(self.content)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


async def fetch(client: httpx.AsyncClient, path: str, question: dict[str, Any] | None = None) -> ProbeResponse:
    """GET `path`, or POST `question` to it as JSON. Raises httpx.HTTPError, also for an answer of more than 8 MB."""
    content = bytearray()
    async with client.stream("GET" if question is None else "POST", path, json=question) as response:
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > ANSWER_BYTES:
                raise httpx.DecodingError(f"{path} answers more than {ANSWER_BYTES} bytes")
        return ProbeResponse(response.status_code, bytes(content))


async def ask(client: httpx.AsyncClient, engine: Engine) -> Probe:
    """Return what the server tells. Raises httpx.HTTPError when nothing answers."""
    listing = await fetch(client, "/v1/models")
    rows = _rows(listing)
    models = [safe_line(row["id"], limit=NAME_CHARS) for row in rows if isinstance(row.get("id"), str)]
    lengths = {
        row["id"]: row["max_model_len"]
        for row in rows
        if isinstance(row.get("id"), str) and isinstance(row.get("max_model_len"), int) and row["max_model_len"] > 0
    }
    version = (await _try(client, "/version")).json_object().get("version")
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
    )


async def tokens_of(client: httpx.AsyncClient, model: str, content: str | list[dict[str, str]]) -> list[int] | None:
    """Return the token ids of a text, or of messages under the chat template; None where the server cannot say."""
    key = "prompt" if isinstance(content, str) else "messages"
    try:
        response = await fetch(client, "/tokenize", {"model": model, key: content})
    except httpx.HTTPError:
        return None
    tokens = response.json_object().get("tokens")
    if isinstance(tokens, list) and all(isinstance(token, int) for token in tokens):
        return tokens
    return None


async def _try(client: httpx.AsyncClient, path: str) -> ProbeResponse:
    try:
        response = await fetch(client, path)
    except httpx.HTTPError:
        return NO_RESPONSE
    return response if response.status == httpx.codes.OK else NO_RESPONSE


def _rows(response: ProbeResponse) -> list[dict[str, Any]]:
    rows = response.json_object().get("data")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


NO_RESPONSE = ProbeResponse(0, b"")
