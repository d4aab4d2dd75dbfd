"""How many tokens an event bears, by the tokenizer of a server that tells no count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tui.bench.token_count import tokens_per_event
from tui.engines.base import RequestShape, Wish
from tui.engines.catalogue import engine_for
from tui.load.prompts import TEXT
from tui.load.wire import PromptSource
from tui.profile.schema import Endpoint
from tui.server.client import NoAnswer, ServerResponse

BOS = "<s>"


class Server:
    """Answers with these texts, an event each; its tokens are the words, and it puts a BOS before each text."""

    def __init__(self, *texts: str, status: int = 200, tail: bytes = b"", tokenizer: bool = True) -> None:
        self._body = b"".join(_event({"text": text, "finish_reason": None}) for text in texts) + tail
        self._status = status
        self._tokenizer = tokenizer
        self.asked = 0

    async def ask(self, shape: RequestShape, body: bytes) -> ServerResponse:
        assert json.loads(body)["max_tokens"] == 8
        self.asked += 1
        return ServerResponse(self._status, self._body)

    async def count(self, text: str) -> int | None:
        return len([BOS, *text.split()]) if self._tokenizer else None


def _event(choice: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


DONE = _event({"text": "", "finish_reason": "length"}) + b"data: [DONE]\n\n"


async def count(server: Server, engine: str = "openai") -> float | None:
    shape = engine_for(engine).request_shape(Wish("m", Endpoint.CHAT, 4, 8))
    return await tokens_per_event(shape, PromptSource(TEXT, words=["a", "b"]), server.ask, server.count)


async def test_one_token_in_each_event_is_seen() -> None:
    assert await count(Server(" a", " b", " c", tail=DONE)) == 1.0


async def test_several_tokens_in_an_event_are_seen() -> None:
    assert await count(Server(" a", " b c d", " e f", tail=DONE)) == 2.0


async def test_an_empty_text_counts_as_the_load_counts_it() -> None:
    assert await count(Server(" a b", "", tail=DONE)) == 1.0


async def test_chat_with_a_role_and_reasoning() -> None:
    deltas = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": " hm"},
        {"content": " a b"},
        {"content": None},
    ]
    assert await count(Server(tail=b"".join(_event({"delta": delta}) for delta in deltas))) == 1.5


async def test_an_event_that_lacks_its_end_is_left_out() -> None:
    assert await count(Server(" a", tail=b'data: {"choices": [{"text": " b c"}]}')) == 1.0


async def test_where_nothing_can_count_nothing_is_asked() -> None:
    server = Server(" a", tail=DONE, tokenizer=False)
    assert (await count(server), server.asked) == (None, 0)


async def test_a_dialect_that_always_counts_is_not_asked() -> None:
    server = Server(" a", tail=DONE)
    shape = engine_for("llama-cpp").request_shape(Wish("m", Endpoint.COMPLETIONS, 4, 8))
    source = PromptSource(shape.prompt_kind, words=["a", "b"], token_ids=bytes(8))
    assert (await tokens_per_event(shape, source, server.ask, server.count), server.asked) == (None, 0)


@pytest.mark.parametrize(
    "server",
    [
        Server(" a", status=503),
        Server(tail=DONE),
        Server(" a", tail=b"data: {\n\n"),
        Server(" a", tail=b'data: {"error": {"message": "out of memory"}}\n\n'),
        Server(" a\N{REPLACEMENT CHARACTER}"),  # bytes that are no text: their tokens cannot be told from it
        Server("", " ", tail=DONE),
    ],
)
async def test_what_cannot_be_counted_is_not_guessed(server: Server) -> None:
    assert await count(server) is None


async def test_a_server_that_is_gone_is_no_fault() -> None:
    async def gone(shape: RequestShape, body: bytes) -> ServerResponse:
        raise NoAnswer("connection refused")

    server = Server(" a")
    server.ask = gone  # type: ignore[method-assign]
    assert await count(server) is None
