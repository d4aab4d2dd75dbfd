"""Servers that answer well, little, or nonsense."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from tui.core.address import address_of
from tui.engines.catalogue import engine_for
from tui.server import probe
from tui.server.client import ServerClient

Answers = dict[str, Any]
TOLD = "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n"


@asynccontextmanager
async def client_of(answers: Answers) -> AsyncIterator[ServerClient]:
    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path)
        if found is None:
            return httpx.Response(404, json={"detail": "Not Found"})
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    async with aclosing(ServerClient(address_of("http://server"), transport=httpx.MockTransport(answer))) as client:
        yield client


async def test_server_that_tells_all() -> None:
    answers: Answers = {
        "/v1/models": {"data": [{"id": "tiny", "max_model_len": 4096}, {"id": "lora"}]},
        "/version": {"version": "0.32.0"},
        "/metrics": httpx.Response(200, text=TOLD),
        "/tokenize": {"count": 2, "tokens": [5, 6]},
    }
    async with client_of(answers) as client:
        found = await probe.ask(client, engine_for("vllm").questions)
        assert found == probe.Probe("0.32.0", ["tiny", "lora"], {"tiny": 4096}, [], 200)
        assert await probe.tokens_of(
            client, engine_for("vllm").questions, "tiny", [{"role": "user", "content": "x"}]
        ) == [5, 6]


async def test_the_arguments_that_it_runs_with_where_it_tells_them() -> None:
    config = {
        "scheduler_config": {"max_num_seqs": 256, "max_num_batched_tokens": 8192, "policy": "fcfs"},
        "parallel_config": {"data_parallel_size": 2, "tensor_parallel_size": True},
    }
    answers: Answers = {"/v1/models": {"data": [{"id": "m"}]}, "/server_info": {"vllm_config": config}}
    async with client_of(answers) as client:
        found = await probe.ask(client, engine_for("vllm").questions)
    assert found.arguments == {
        "max-num-seqs": "256",
        "max-num-batched-tokens": "8192",
        "data-parallel-size": "2",
    }
    untold: list[Any] = [
        {"vllm_config": "model='m'"},
        {"vllm_config": {"scheduler_config": [1], "parallel_config": None}},
        {"vllm_config": {"scheduler_config": {"max_num_seqs": "256"}}},
        {"vllm_config": {"scheduler_config": {"max_num_seqs": -1}}},
        [1],
    ]
    for answer in untold:
        async with client_of({**answers, "/server_info": answer}) as client:
            assert (await probe.ask(client, engine_for("vllm").questions)).arguments == {}


async def test_figures_that_its_metrics_lack_are_named() -> None:
    metrics = httpx.Response(200, text="vllm:num_requests_waiting 3\n")
    async with client_of({"/v1/models": {"data": [{"id": "m"}]}, "/metrics": metrics}) as client:
        found = await probe.ask(client, engine_for("vllm").questions)
    assert "its /metrics do not tell how many requests run, how full the KV cache is" in found.missing


async def test_metrics_on_a_port_beside_the_requests_are_asked_there() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, text="vllm:prompt_tokens_total 7\n")

    questions = engine_for("triton-vllm").questions
    client = ServerClient(address_of("http://server:9000/base?v=1"), transport=httpx.MockTransport(answer))
    async with aclosing(client):
        metrics = await probe.answer_to(client, questions.metrics())
        assert metrics is not None and metrics.prompt_tokens_total == 7
        await probe.answer_to(client, questions.alive())
    assert asked == ["http://server:9002/metrics", "http://server:9000/base/v2/health/ready?v=1"]


async def test_server_that_lists_its_models_only() -> None:
    async with client_of({"/v1/models": {"data": [{"id": "gpt"}]}}) as client:
        found = await probe.ask(client, engine_for("openai").questions)
        assert found.models == ["gpt"]
        assert [text.split(":")[0] for text in found.missing] == [
            "no max_model_len",
            "no /version",
            "no /metrics of its own",
            "no /tokenize",
        ]
        assert await probe.tokens_of(client, engine_for("openai").questions, "gpt", "x") is None


NONSENSE: list[Callable[[], Any]] = [
    lambda: httpx.Response(200, content=b"\xff<html>"),
    lambda: [1, 2],
    lambda: {"data": "x", "version": 3, "tokens": "abc"},
    lambda: {
        "data": [1, None, {"id": 5}, {"max_model_len": 7}, {"id": "x", "max_model_len": 10**30}],
        "tokens": [1, "2"],
    },
    lambda: httpx.Response(200, content=json.dumps({"data": [{"id": "\x1b[31mx", "max_model_len": -1}]}).encode()),
    lambda: httpx.Response(500, text="no"),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_as_nothing(nonsense: Callable[[], Any]) -> None:
    answers = {path: nonsense() for path in ("/v1/models", "/version", "/metrics", "/tokenize")}
    async with client_of(answers) as client:
        found = await probe.ask(client, engine_for("vllm").questions)
    assert found.models in ([], ["x"])
    assert found.max_model_lens == {}
    assert found.version == ""
    assert len(found.missing) == 4


MODEL_LISTS: list[tuple[Any, list[str]]] = [
    ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
    (["a", "b"], ["a", "b"]),
    ({"data": ["a"]}, ["a"]),
    ({"object": "list", "models": [{"id": "a"}]}, ["a"]),
    ({"data": None}, []),
    ([], []),
    ("a", []),
]


@pytest.mark.parametrize(("listing", "models"), MODEL_LISTS)
async def test_lists_of_models_of_every_form(listing: Any, models: list[str]) -> None:
    async with client_of({"/v1/models": listing}) as client:
        assert (await probe.ask(client, engine_for("openai").questions)).models == models


async def test_a_list_of_many_models_is_read_once() -> None:
    rows = [{"id": f"m{number}", "max_model_len": 1 + number, "about": "x" * 200} for number in range(20_000)]
    began = time.process_time()
    async with client_of({"/v1/models": {"data": rows}}) as client:
        found = await probe.ask(client, engine_for("openai").questions)
    assert found.max_model_lens["m19999"] == 20_000
    assert time.process_time() - began < 5  # half an hour where it is read for each
