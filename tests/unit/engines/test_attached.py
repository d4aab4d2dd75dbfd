"""What the systems that are attached to tell, and what they leave out: stale or missing is None, never 0."""

from __future__ import annotations

import json

import pytest

from tui.engines.base import ServerMetrics, Wish
from tui.engines.catalogue import engine_for, launch_for
from tui.profile.schema import Endpoint, Profile


def body_of(engine: str, endpoint: Endpoint, **body: object) -> dict[str, object]:
    shape = engine_for(engine).request_shape(Wish("m", endpoint, prompt_tokens=9, output_tokens=7, body=body))
    prompt = b"[5]" if shape.prompt_kind == "token-ids" else b'"a"'
    found: dict[str, object] = json.loads(shape.body_head + prompt + shape.body_tail)
    return found


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        (
            "sglang",
            'sglang:num_running_reqs{engine_type="unified"} 3\nsglang:num_queue_reqs 2\nsglang:token_usage 0.25\n'
            "sglang:num_retracted_requests_total 4\nsglang:generation_tokens_total 900\n",
            ServerMetrics(running=3, waiting=2, kv_cache_usage=0.25, preemptions_total=4),
        ),
        (
            "lmdeploy",
            "lmdeploy:num_requests_running 3\nlmdeploy:num_requests_waiting 2\nlmdeploy:gpu_cache_usage_perc 0.5\n",
            ServerMetrics(running=3, waiting=2, kv_cache_usage=0.5),
        ),
        (
            "trtllm-serve",
            "trtllm_num_requests_running 3\ntrtllm_num_requests_waiting 2\ntrtllm_kv_cache_utilization 0.75\n",
            ServerMetrics(waiting=2, kv_cache_usage=0.75),
        ),
    ],
)
def test_metrics(engine: str, text: str, expected: ServerMetrics) -> None:
    question = engine_for(engine).questions.metrics()
    assert question is not None
    assert question.read(200, text.encode()) == expected
    assert question.read(200, b"# nothing of it\n") == ServerMetrics()
    assert question.read(404, text.encode()) is None


def test_the_drained_endpoint_of_trtllm_serve_is_left_alone() -> None:
    question = engine_for("trtllm-serve").questions.metrics()
    assert question is not None and question.path == "/prometheus/metrics"


@pytest.mark.parametrize("engine", ["ollama", "ray-serve", "sagemaker", "transformers-serve"])
def test_those_without_live_figures_are_not_asked(engine: str) -> None:
    assert engine_for(engine).questions.metrics() is None


def test_the_proxy_of_ray_serve_is_not_believed() -> None:
    alive = engine_for("ray-serve").questions.alive()
    assert alive is not None and alive.path == "/v1/models"
    assert (alive.read(200, b""), alive.read(503, b"")) == (True, False)


def test_transformers_serve_is_asked_for_nothing_that_it_refuses() -> None:
    asked = body_of("transformers-serve", Endpoint.CHAT)
    assert set(asked) == {"model", "max_tokens", "temperature", "stream", "messages", "generation_config"}


def test_transformers_serve_is_made_to_go_on_behind_its_end_token() -> None:
    asked = body_of("transformers-serve", Endpoint.COMPLETIONS)
    assert json.loads(str(asked["generation_config"])) == {
        "eos_token_id": -1,
        "max_new_tokens": 7,
        "do_sample": False,
    }


@pytest.mark.parametrize(
    ("body", "exact"),
    [({}, True), ({"seed": 3}, True), ({"generation_config": False}, False), ({"max_tokens": 9}, False)],
)
def test_transformers_serve_says_when_its_lengths_are_not_forced(body: dict[str, object], exact: bool) -> None:
    wish = Wish("m", Endpoint.CHAT, prompt_tokens=9, output_tokens=7, body=body)
    assert engine_for("transformers-serve").request_shape(wish).exact is exact


def test_transformers_serve_counts_a_prompt_by_answering_it() -> None:
    questions = engine_for("transformers-serve").questions
    text, messages = questions.count("m", "a b"), questions.count("m", [{"role": "user", "content": "a b"}])
    assert text is not None and messages is not None
    assert (text.path, messages.path) == ("/v1/completions", "/v1/chat/completions")
    assert text.body is not None and "stream" not in text.body and text.body["max_tokens"] == 1
    answer = b'{"choices":[{"text":" x"}],"usage":{"completion_tokens":1,"prompt_tokens":4,"total_tokens":5}}'
    assert text.read(200, answer) == 4
    assert text.read(422, answer) is None


def test_ollama_cuts_no_prompt_and_puts_no_template_around_it() -> None:
    asked = body_of("ollama", Endpoint.COMPLETIONS, options={"num_ctx": 4096})
    assert asked["raw"] is True and asked["truncate"] is False
    assert asked["options"] == {"num_predict": 7, "temperature": 0, "num_ctx": 4096}
    assert "raw" not in body_of("ollama", Endpoint.CHAT)


def test_ollama_tells_the_context_of_what_runs() -> None:
    questions = engine_for("ollama").questions
    models, limit = questions.models(), questions.limits(["m:latest"])
    assert models is not None and limit is not None
    assert models.read(200, b'{"models":[{"name":"m:latest","model":"m:latest","size":1}]}') == ["m:latest"]
    running = b'{"models":[{"name":"m:latest","size_vram":5137025024,"context_length":4096}]}'
    assert limit.read(200, running) == {"m:latest": 4096}
    assert limit.read(200, b'{"models":[]}') == {}


def test_sglang_is_spread_over_the_gpus_of_the_profile() -> None:
    server = {"model": "m", "gpus": [0, 1], "args": {"dtype": "half"}}
    profile = Profile.model_validate({"name": "p", "engine": "sglang", "server": server})
    plan = launch_for("sglang").plan(profile, 8001, None)
    assert " ".join(plan.argv) == (
        "sglang serve --model-path m --host 127.0.0.1 --port 8001 --enable-metrics --dtype half --tp-size 2"
    )
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "0,1"
