"""A question by hand: by which way it is asked, what is shown of its answer, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from tui.bench.aside import Asides
from tui.bench.clock import SessionClock
from tui.core.errors import VrampError
from tui.engines.base import RequestShape, Wish
from tui.engines.catalogue import engine_for
from tui.engines.parts.dialect import dialect_named
from tui.metrics.aside import MAX_ANSWER_CHARS, Aside
from tui.profile.engine_names import installed_engines
from tui.profile.schema import Endpoint
from tui.server.client import NoAnswer, Refusal

PATIENCE_S = 10.0
DONE = b"data: [DONE]\n\n"


def chunk(text: str, **more: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"text": text, "finish_reason": None}], **more}).encode() + b"\n\n"


class Server:
    """Answers what is posted to a path with these pieces, or refuses it; an answer may stand still for good."""

    def __init__(self, *pieces: bytes, refuses: dict[str, int] | None = None, stands: bool = False) -> None:
        self.pieces = pieces
        self.refuses = refuses or {}
        self.stands = stands
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.left = 0
        self.reached = asyncio.Event()

    async def stream(self, shape: RequestShape, body: bytes) -> AsyncGenerator[bytes]:
        self.asked.append((shape.path, json.loads(body)))
        if shape.path in self.refuses:
            raise Refusal(self.refuses[shape.path], b'{"error": {"message": "no template\\u001b[31m"}}')
        try:
            for piece in self.pieces:
                yield piece
            self.reached.set()
            if self.stands:
                await asyncio.Event().wait()
        finally:
            self.left += 1


def shapes(*ways: Endpoint, engine: str = "vllm") -> list[RequestShape]:
    return [engine_for(engine).request_shape(Wish("m", way, 0, 40, by_hand=True)) for way in ways]


BOTH = shapes(Endpoint.CHAT, Endpoint.COMPLETIONS)


async def answered(server: Server, *, ways: list[RequestShape] = BOTH, timeout_s: float = PATIENCE_S) -> Aside:
    said: list[str] = []
    asides = Asides(SessionClock(), server.stream, timeout_s=timeout_s, say=said.append)
    asides.ask("why?", ways, users=64)
    async with asyncio.timeout(PATIENCE_S):
        while not said:
            await asyncio.sleep(0.001)
    assert asides.now is not None
    return asides.now


async def test_the_text_comes_with_the_servers_own_count_of_its_tokens() -> None:
    usage = {"usage": {"completion_tokens": 7}}
    aside = await answered(Server(chunk(" The") + chunk(" sky"), chunk(" is", **usage), DONE))
    assert (aside.answer, aside.tokens, aside.over, aside.failed) == ("The sky is", 7, "answered", False)
    assert aside.users == 64
    assert aside.ttft_s is not None and aside.tokens_per_s is not None


@pytest.mark.parametrize("told", [-1, 10**30])
async def test_a_count_that_no_answer_has_is_not_told_on(told: int) -> None:
    answer = await answered(Server(chunk("a"), chunk("b", usage={"completion_tokens": told}), b"data: [DONE]\n\n"))
    assert answer.tokens == 2


async def test_events_count_as_tokens_where_nobody_counts() -> None:
    assert (await answered(Server(chunk(" a"), chunk(" b"), DONE))).tokens == 2


async def test_a_model_may_end_its_answer_and_is_asked_by_chat() -> None:
    server = Server(chunk("x"), DONE)
    await answered(server)
    (path, body), *others = server.asked
    assert path == "/v1/chat/completions" and not others
    assert body["messages"] == [{"role": "user", "content": "why?"}]
    assert "ignore_eos" not in body and body["max_tokens"] == 40


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_model_without_a_template_is_asked_as_the_load_asks(status: int) -> None:
    server = Server(chunk("x"), DONE, refuses={"/v1/chat/completions": status})
    assert (await answered(server)).answer == "x"
    assert [path for path, _ in server.asked] == ["/v1/chat/completions", "/v1/completions"]
    assert server.asked[1][1]["prompt"] == "why?"


async def test_a_refusal_is_told_in_the_servers_words_without_control_characters() -> None:
    refuses = {"/v1/chat/completions": 503}
    aside = await answered(Server(refuses=refuses))
    assert (aside.over, aside.failed) == ("HTTP 503: no template", True)


async def test_control_characters_and_endless_text_reach_nobody() -> None:
    aside = await answered(Server(chunk("\x1b]0;x\x07\x1b[2Jnice" + "y" * 3 * MAX_ANSWER_CHARS), DONE))
    assert "\x1b" not in aside.answer and len(aside.answer) <= MAX_ANSWER_CHARS


async def test_what_a_server_says_went_wrong_ends_it() -> None:
    aside = await answered(Server(chunk("half"), b'data: {"error": {"message": "CUDA out of memory"}}\n\n'))
    assert (aside.answer, aside.over, aside.failed) == ("half", "CUDA out of memory", True)


async def test_a_lost_server_is_told() -> None:
    class Lost(Server):
        async def stream(self, shape: RequestShape, body: bytes) -> AsyncGenerator[bytes]:
            raise NoAnswer("connection refused")
            yield b""

    assert (await answered(Lost())).over == "connection refused"


async def test_an_answer_that_takes_too_long_is_left() -> None:
    server = Server(chunk("x"), stands=True)
    aside = await answered(server, timeout_s=0.05)
    assert (aside.answer, aside.over, server.left) == ("x", "no whole answer in time", 1)


async def test_one_at_a_time_and_an_end_leaves_no_request_behind() -> None:
    server, said = Server(chunk("x"), stands=True), list[str]()
    asides = Asides(SessionClock(), server.stream, timeout_s=PATIENCE_S, say=said.append)
    begun_ns = asides._clock.now_ns()
    assert not asides.was_under_way_since(begun_ns)
    asides.ask("one", BOTH, users=1)
    async with asyncio.timeout(PATIENCE_S):
        await server.reached.wait()
    assert asides.now is not None and asides.now.over == ""
    with pytest.raises(VrampError, match="end it first"):
        asides.ask("two", BOTH, users=1)
    await asides.end()
    assert asides.now is None and server.left == 1
    assert said and "ended by hand" in said[0] and "one" not in said[0]
    assert asides.was_under_way_since(begun_ns) and not asides.was_under_way_since(asides._clock.now_ns())
    asides.ask("two", BOTH, users=1)
    await asides.cut()
    assert asides.now is not None and asides.now.question == "two"


@pytest.mark.parametrize("question", ["", "  \n", "\x1b[2J"])
async def test_nothing_is_no_question(question: str) -> None:
    with pytest.raises(VrampError, match="no question"):
        Asides(SessionClock(), Server().stream, timeout_s=1, say=print).ask(question, BOTH, users=0)


@pytest.mark.parametrize("engine", sorted(installed_engines()))
def test_every_system_can_be_asked_by_hand(engine: str) -> None:
    found = engine_for(engine)
    for way in found.endpoints:
        shape = found.request_shape(Wish("m", Endpoint(way), 0, 40, by_hand=True))
        body = json.loads(shape.body_head + b'"why?"' + shape.body_tail)
        assert dialect_named(shape.dialect).text_of is not None
        held = json.dumps(body)
        assert not any(name in held for name in ("ignore_eos", "min_tokens", "min_length", 'truncate": 0'))


@pytest.mark.parametrize(
    ("dialect", "payload", "text"),
    [
        ("tui.engines.llama_cpp:DIALECT", b'{"content":" hi","stop":false,"tokens_predicted":1}', " hi"),
        ("tui.engines.ollama:DIALECT", b'{"response":" hi","done":false}', " hi"),
        ("tui.engines.ollama:DIALECT", b'{"message":{"content":" hi"},"done":false}', " hi"),
        ("tui.engines.parts.tgi_stream:DIALECT", b'{"token":{"id":1,"text":" hi","special":false}}', " hi"),
        ("tui.engines.parts.tgi_stream:DIALECT", b'{"token":{"id":2,"text":"</s>","special":true}}', ""),
        ("tui.engines.parts.tgi_stream:DIALECT", b'{"generated_text":"x","details":null}', ""),
        ("tui.engines.sagemaker:DIALECT", b'{"token":{"id":1,"text":" hi","special":false}}', " hi"),
        ("tui.engines.triton_trtllm:DIALECT", b'{"text_output":" hi"}', " hi"),
        ("tui.engines.triton_vllm:DIALECT", b'{"text_output":" hi"}', " hi"),
    ],
)
def test_each_dialect_tells_the_text_of_an_event(dialect: str, payload: bytes, text: str) -> None:
    text_of = dialect_named(dialect).text_of
    assert text_of is not None and text_of(payload) == text
    with pytest.raises(ValueError):
        text_of(b"\xff")
