"""The simulated server over real sockets: vLLM's dialect, its limits, its deaths, and the clients of others."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import TIMEOUT_S, SimulatedServer, request, simulated

LONG = 400
MODEL = "vramp/simulated"


@pytest.fixture
def server(world: World) -> Iterator[SimulatedServer]:
    with simulated(world) as running:
        yield running


def events(answer: httpx.Response) -> list[Any]:
    lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def tokens_of(found: list[Any]) -> int:
    return sum(len(event["choices"]) for event in found if event != "[DONE]" and "choices" in event)


def metric(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^vllm:{name}{{[^}}]*}} (\S+)", client.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_it_says_simulated_everywhere(server: SimulatedServer) -> None:
    with server.client() as client:
        assert client.get("/version").json() == {"version": "0.32.0+simulated"}
        models = client.get("/v1/models")
        assert models.headers["server"] == "vramp-simulated"
        assert models.json()["data"][0]["owned_by"] == "vllm"  # by which vLLM is told from others that speak its API
        assert "SIMULATED" in client.get("/simulated/gpus").json()[0]["name"]
        assert 'simulated="True"' in client.get("/metrics").text
    assert "SIMULATED" in server.log


def test_its_stream_has_a_chunk_per_token_the_usage_and_the_end(server: SimulatedServer) -> None:
    with server.client() as client:
        answer = client.post("/v1/completions", json=request())
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["transfer-encoding"] == "chunked"
    found = events(answer)
    assert found[-1] == "[DONE]"
    assert found[-2]["usage"] == {"prompt_tokens": 3, "total_tokens": 13, "completion_tokens": 10}
    assert [event["choices"][0]["finish_reason"] for event in found[:-2]] == [None] * 9 + ["length"]


def test_health_tokens_and_unknown_routes_are_vllms(server: SimulatedServer) -> None:
    with server.client() as client:
        for path in ("/health", "/ping"):
            assert (client.get(path).status_code, client.get(path).content) == (200, b"")
        tokens = client.post("/tokenize", json={"prompt": " bado fi", "add_special_tokens": False}).json()
        assert (tokens["count"], tokens["max_model_len"]) == (2, 512)
        assert client.post("/detokenize", json={"tokens": tokens["tokens"]}).json() == {"prompt": " bado fi"}
        messages = [{"role": "user", "content": " bado fi"}]
        chat = client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 1}).json()
        assert client.post("/tokenize", json={"messages": messages}).json()["count"] == chat["usage"]["prompt_tokens"]
        assert (client.get("/nope").status_code, client.get("/nope").json()) == (404, {"detail": "Not Found"})
        assert client.get("/v1/completions").status_code == 405


def test_lengths_are_cut_or_refused_as_by_vllm(server: SimulatedServer) -> None:
    with server.client() as client:
        cut = events(client.post("/v1/completions", json=request(prompt=[300] * 500, max_tokens=100)))
        assert cut[-2]["usage"]["completion_tokens"] == 12
        refused = client.post("/v1/completions", json=request(prompt=[300] * 513))
        assert refused.status_code == 400
        assert "maximum context length is 512 tokens" in refused.json()["error"]["message"]
        assert client.post("/v1/completions", content=b"{").status_code == 400
        assert client.post("/v1/completions", json=request(model="other")).status_code == 404


def test_metrics_count_what_was_done(server: SimulatedServer) -> None:
    with server.client() as client:
        for _ in range(3):
            client.post("/v1/completions", json=request(prompt=list(range(300, 400))))
        assert metric(client, "generation_tokens_total") == 30
        assert metric(client, "prompt_tokens_total") == 300
        assert metric(client, "prefix_cache_hits_total") == 2 * 96
        assert metric(client, "e2e_request_latency_seconds_count") == 3
        assert metric(client, "inter_token_latency_seconds_count") == 27
        assert metric(client, "num_requests_running") == 0
        assert metric(client, "kv_cache_usage_perc") == 0


def test_a_client_that_leaves_frees_its_place(server: SimulatedServer) -> None:
    with server.client() as client:
        with client.stream("POST", "/v1/completions", json=request(max_tokens=LONG)) as answer:
            parts = answer.iter_bytes()
            next(parts)
            assert metric(client, "num_requests_running") == 1
        deadline = 200
        while metric(client, "num_requests_running") and deadline:
            deadline -= 1
        assert deadline, "the request of a client that left runs on"
        assert metric(client, "generation_tokens_total") < LONG


def test_openais_client_works_unchanged(server: SimulatedServer) -> None:
    messages: Any = [{"role": "user", "content": "How many users?"}]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=TIMEOUT_S) as client:
        assert client.models.list().data[0].id == MODEL
        whole = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=8)
        assert whole.choices[0].message.content
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 8
        parts = list(
            client.chat.completions.create(
                model=MODEL, messages=messages, max_tokens=8, stream=True, stream_options={"include_usage": True}
            )
        )
        assert parts[0].choices[0].delta.role == "assistant"
        assert parts[-1].usage is not None
        assert parts[-1].usage.completion_tokens == 8
        text = client.completions.create(model=MODEL, prompt=[300, 301], max_tokens=5, stream=True)
        assert sum(len(part.choices) for part in text) == 5
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client.completions.create(model=MODEL, prompt=[300] * 600, max_tokens=5)
        with pytest.raises(openai.NotFoundError):
            client.completions.create(model="other", prompt="x")


def test_memory_under_load_kills_the_engine_as_vllm_dies(world: World) -> None:
    with simulated(world, gpus="[0, 1]", more="memory_limit_tokens = 700") as server:
        with server.client() as client, ThreadPoolExecutor(4) as pool:
            ask = request(prompt=[300] * 100, max_tokens=LONG)
            streams = [pool.submit(client.post, "/v1/completions", json=ask) for _ in range(3)]
            whole = pool.submit(client.post, "/v1/completions", json={**ask, "stream": False, "stream_options": None})
            for stream in streams:
                answer = stream.result()
                found = events(answer)
                assert answer.status_code == 200
                assert found[-1] == "[DONE]"
                assert "EngineCore encountered an issue" in found[-2]["error"]["message"]
                assert 0 < tokens_of(found) < LONG
            assert whole.result().status_code == 500
        assert server.wait() == 0
    assert "torch.OutOfMemoryError: CUDA out of memory" in server.log
    assert "EngineCore encountered a fatal error." in server.log
    assert "EngineDeadError" in server.log


def test_a_killed_worker_ends_the_same_way_with_another_log(world: World) -> None:
    with simulated(world, "--fail", "worker-killed", more="fail_after_tokens = 20") as server:
        with server.client() as client:
            assert "error" in events(client.post("/v1/completions", json=request(max_tokens=LONG)))[-2]
        assert server.wait() == 0
    assert "died unexpectedly (exit code: -9)" in server.log
    assert "OutOfMemoryError" not in server.log


def test_a_hang_leaves_connections_open_and_health_fine(world: World) -> None:
    with simulated(world, "--fail", "hang", more="fail_after_tokens = 20") as server, server.client() as client:
        body = request(max_tokens=LONG)
        with client.stream("POST", "/v1/completions", json=body, timeout=1.0) as answer:
            got = 0
            with pytest.raises(httpx.ReadTimeout):
                for part in answer.iter_bytes():
                    got += part.count(b'"index"')
        assert got == 20
        assert client.get("/health").status_code == 200


def test_sigterm_stalls_streams_until_their_clients_go(world: World) -> None:
    with simulated(world) as server, server.client() as client:
        with client.stream("POST", "/v1/completions", json=request(max_tokens=LONG), timeout=1.0) as answer:
            parts = answer.iter_bytes()
            next(parts)
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.ReadTimeout):
                for part in parts:
                    assert b"[DONE]" not in part
            assert server.process.poll() is None
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_it_stops_at_once_with_status_0(world: World, number: signal.Signals) -> None:
    with simulated(world) as server:
        server.process.send_signal(number)
        assert server.wait() == 0


@pytest.mark.parametrize(
    ("way", "gpus", "line"),
    [
        ("oom-weights", "[0]", "ERROR .*torch.OutOfMemoryError: CUDA out of memory"),
        ("oom-weights", "[0, 1]", "Worker_TP0.* ERROR .*torch.OutOfMemoryError: CUDA out of memory"),
        ("kv-too-small", "[0]", "ERROR .*To serve at least one request with the model's max seq len \\(512\\)"),
    ],
)
def test_a_start_that_fails_ends_with_status_1(world: World, way: str, gpus: str, line: str) -> None:
    with simulated(world, "--fail", way, gpus=gpus, ready=False) as server:
        assert server.wait() == 1
    assert re.search(line, server.log)
    assert "Engine core initialization failed. See root cause above." in server.log
    assert "Application startup complete" not in server.log


def test_a_slow_start_refuses_connections_and_tells_its_stages(world: World) -> None:
    with simulated(world, "--fail", "slow-start", "--time-scale", "20", ready=False) as server:
        server.wait_for_line("Starting to load model")
        server.wait_for_line("100% Completed")
        server.wait_for_line("GPU KV cache size: 16,384 tokens")
        server.wait_for_line("Application startup complete.")


def test_a_taken_port_is_told_as_by_vllm(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with simulated(world, "--port", port, ready=False) as server:
            assert server.wait() == 1
    assert "OSError: [Errno 98] Address already in use" in server.log


def test_tokens_come_packed_several_to_an_event(world: World) -> None:
    with simulated(world, "--fail", "packed-tokens") as server, server.client() as client:
        found = events(client.post("/v1/completions", json=request(max_tokens=22)))
    assert tokens_of(found) == 6
    assert found[-2]["usage"]["completion_tokens"] == 22


def test_overload_shows_as_preemptions_and_never_as_an_error(world: World) -> None:
    with simulated(world, "--fail", "overload") as server, server.client() as client, ThreadPoolExecutor(8) as pool:
        bodies = [request(prompt=[300 + user] * 100, max_tokens=100) for user in range(8)]
        answers = list(pool.map(lambda body: client.post("/v1/completions", json=body), bodies))
        assert [events(answer)[-2]["usage"]["completion_tokens"] for answer in answers] == [100] * 8
        assert metric(client, "num_preemptions_total") > 0


def test_a_queue_limit_answers_503(world: World) -> None:
    with simulated(world, "--fail", "queue-limit") as server, server.client() as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/completions", json=request(max_tokens=200)), range(16)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert "currently busy" in refused.json()["error"]["message"]
        assert metric(client, "admission_rejections_total") == codes.count(503)


def test_an_unknown_way_to_fail_is_a_usage_error(world: World) -> None:
    with simulated(world, "--fail", "hangs", ready=False) as server:
        assert server.wait() == 2
    assert 'did you mean "hang"?' in server.log


def test_modelled_time_can_run_faster(world: World) -> None:
    with simulated(world, "--time-scale", "50", more="request_overhead_s = 5.0") as server, server.client() as client:
        client.post("/v1/completions", json=request())
        # Five modelled seconds and some steps: told in modelled time.
        assert metric(client, "e2e_request_latency_seconds_sum") > 5.0
