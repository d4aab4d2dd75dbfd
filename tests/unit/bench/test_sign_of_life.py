"""What a request for one token tells of an engine whose front is well."""

from __future__ import annotations

import msgspec
import pytest

from tui.bench import sign_of_life
from tui.bench.sign_of_life import wait_for_token, why_no_token
from tui.core.errors import LaunchError
from tui.engines.base import RequestShape, Wish
from tui.engines.catalogue import engine_for
from tui.load.prompts import pack_token_ids
from tui.load.wire import PromptSource
from tui.profile.schema import Endpoint
from tui.server.client import ServerResponse

IDS = PromptSource(kind="token-ids", token_ids=pack_token_ids(range(200, 300)))
WORDS = PromptSource(kind="text", words=["the", "of"])
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."


async def asked(engine: str, status: int, body: bytes) -> str:
    shape = engine_for(engine).request_shape(Wish("m", Endpoint.COMPLETIONS, prompt_tokens=9, output_tokens=1))
    seen: list[object] = []

    async def ask(shape: RequestShape, sent: bytes) -> ServerResponse:
        seen.append(msgspec.json.decode(sent))
        return ServerResponse(status, body)

    why = await why_no_token(shape, WORDS if shape.prompt_kind == "text" else IDS, ask)
    assert len(seen) == 1
    return why


@pytest.mark.parametrize(
    ("engine", "status", "body", "words"),
    [
        ("triton-vllm", 400, b'data: {"error":"Error generating stream: %s"}\n\n' % DEAD.encode(), "EngineCore"),
        ("triton-vllm", 200, b'data: {"error":"%s"}\n\n' % DEAD.encode(), "EngineCore"),
        ("triton-vllm", 400, b'data: {"error":"Stub process \'m_0\' is not healthy."}\n\n', "Stub process"),
        ("ray-serve", 500, b"Internal Server Error", "HTTP 500: Internal Server Error"),
        ("vllm", 200, b'data: {"error":{"message":"%s","code":500}}\n\ndata: [DONE]\n\n' % DEAD.encode(), "EngineCore"),
        ("transformers-serve", 503, b'{"error":"CB worker is dead and cannot accept request 1: x"}', "CB worker"),
        ("transformers-serve", 200, b'data: {"error": "said "no" to it"}\n\n', 'said "no" to it'),
    ],
)
async def test_a_refusal_of_a_token_is_a_death_in_the_server_s_words(
    engine: str, status: int, body: bytes, words: str
) -> None:
    assert words in await asked(engine, status, body)


@pytest.mark.parametrize(
    ("engine", "status", "body"),
    [
        ("vllm", 200, b'data: {"choices":[{"text":"a","finish_reason":"length"}]}\n\ndata: [DONE]\n\n'),
        ("vllm", 200, b""),
        ("ray-serve", 503, b"Request dropped due to backpressure (num_queued_requests=2, max_queued_requests=2)."),
        ("vllm", 429, b"too many"),
        ("vllm", 400, b'{"error":{"message":"maximum context length is 8 tokens"}}'),
    ],
)
async def test_a_token_or_too_much_to_do_is_no_death(engine: str, status: int, body: bytes) -> None:
    assert await asked(engine, status, body) == ""


async def test_an_engine_is_waited_for_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_of_life, "PERIOD_S", 0.001)
    reasons = ["HTTP 500", "HTTP 500", ""]

    async def why() -> str:
        return reasons.pop(0)

    said: list[str] = []
    await wait_for_token(why, said.append)
    assert reasons == []
    assert said == ["it is there again, but its engine gives no token yet: HTTP 500; it has 180 s for that"]

    async def never() -> str:
        return "HTTP 500: Internal Server Error"

    monkeypatch.setattr(sign_of_life, "BACK_S", 0.01)
    with pytest.raises(LaunchError, match="gives no token: HTTP 500"):
        await wait_for_token(never, said.append)
