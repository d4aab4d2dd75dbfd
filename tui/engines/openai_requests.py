"""Requests of OpenAI's two ways to ask, as the load workers send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tui.engines.base import RequestShape

if TYPE_CHECKING:
    from tui.profile.schema import Endpoint

HEADERS = [("Content-Type", "application/json"), ("Accept", "text/event-stream")]


def request_shape(
    *,
    model: str,
    endpoint: Endpoint,
    prompt_tokens: int,
    output_tokens: int,
    prompt_tokens_overhead: int,
    token_ids: bool,
    extra: Mapping[str, Any],
    stream_options: Mapping[str, bool],
) -> RequestShape:
    """Return a streaming request. `token_ids`: whether completions take a prompt as ids; chat never does."""
    body = {
        "model": model,
        "max_tokens": output_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": dict(stream_options),
        **extra,
    }
    # What is sent is this object without its closing brace, the prompt, and the closing of what was opened.
    head = msgspec.json.encode(body)[:-1]
    chat = endpoint == "chat"
    return RequestShape(
        path="/v1/chat/completions" if chat else "/v1/completions",
        headers=list(HEADERS),
        body_head=head + (b',"messages":[{"role":"user","content":' if chat else b',"prompt":'),
        body_tail=b"}]}" if chat else b"}",
        prompt_kind="token-ids" if token_ids and not chat else "text",
        dialect="openai",
        prompt_tokens=prompt_tokens,
        prompt_tokens_overhead=prompt_tokens_overhead,
        output_tokens=output_tokens,
    )
