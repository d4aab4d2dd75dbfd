"""Servers that answer well, little, or nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tui.engines.catalogue import engine_for
from tui.server import probe

Answers = dict[str, Any]


def client_of(answers: Answers) -> httpx.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path)
        if found is None:
            return httpx.Response(404, json={"detail": "Not Found"})
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://server")


async def test_server_that_tells_all() -> None:
    answers: Answers = {
        "/v1/models": {"data": [{"id": "tiny", "max_model_len": 4096}, {"id": "lora"}]},
        "/version": {"version": "0.32.0"},
        "/metrics": httpx.Response(200, text="vllm:num_requests_running 0\n"),
        "/tokenize": {"count": 2, "tokens": [5, 6]},
    }
    async with client_of(answers) as client:
        found = await probe.ask(client, engine_for("vllm"))
        assert found == probe.Probe("0.32.0", ["tiny", "lora"], {"tiny": 4096}, [], 200)
        assert await probe.tokens_of(client, "tiny", [{"role": "user", "content": "x"}]) == [5, 6]


async def test_server_that_lists_its_models_only() -> None:
    async with client_of({"/v1/models": {"data": [{"id": "gpt"}]}}) as client:
        found = await probe.ask(client, engine_for("openai"))
        assert found.models == ["gpt"]
        assert [text.split(":")[0] for text in found.missing] == [
            "no max_model_len",
            "no /version",
            "no /metrics of its own",
            "no /tokenize",
        ]
        assert await probe.tokens_of(client, "gpt", "x") is None


NONSENSE: list[Callable[[], Any]] = [
    lambda: httpx.Response(200, content=b"\xff<html>"),
    lambda: [1, 2],
    lambda: {"data": "x", "version": 3, "tokens": "abc"},
    lambda: {"data": [1, None, {"id": 5}, {"max_model_len": 7}], "tokens": [1, "2"]},
    lambda: httpx.Response(200, content=json.dumps({"data": [{"id": "\x1b[31mx", "max_model_len": -1}]}).encode()),
    lambda: httpx.Response(500, text="no"),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_as_nothing(nonsense: Callable[[], Any]) -> None:
    answers = {path: nonsense() for path in ("/v1/models", "/version", "/metrics", "/tokenize")}
    async with client_of(answers) as client:
        found = await probe.ask(client, engine_for("vllm"))
    assert found.models in ([], ["x"])
    assert found.max_model_lens == {}
    assert found.version == ""
    assert len(found.missing) == 4


async def test_answer_without_an_end_is_cut_off() -> None:
    endless = httpx.Response(200, content=b"x" * (probe.ANSWER_BYTES + 1))
    async with client_of({"/metrics": endless}) as client:
        with pytest.raises(httpx.HTTPError):
            await probe.fetch(client, "/metrics")


async def test_nobody_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://server") as client:
        with pytest.raises(httpx.HTTPError):
            await probe.ask(client, engine_for("vllm"))
