"""What only Text Generation Inference has."""

from __future__ import annotations

import json

from tui.engines.base import FailureClass, ServerMetrics, Wish
from tui.engines.tgi import ENGINE, TgiLaunch
from tui.profile.schema import Endpoint, Profile

METRICS = b"""# TYPE tgi_queue_size gauge
tgi_queue_size 3
tgi_batch_current_size 5
tgi_batch_current_max_tokens 4096
tgi_batch_max_total_tokens 16384
tgi_request_queue_duration_sum 1.5
tgi_request_queue_duration_count 9
tgi_request_failure{err="overloaded"} 2
tgi_request_failure{err="generation"} 1
tgi_request_generated_tokens_sum 900
"""


def body_of(**changes: object) -> dict[str, object]:
    wish = Wish("m", Endpoint.COMPLETIONS, prompt_tokens=31, output_tokens=7, body=changes)
    shape = ENGINE.request_shape(wish)
    found: dict[str, object] = json.loads(shape.body_head + b'"a b"' + shape.body_tail)
    assert shape.exact is False
    return found


def test_a_prompt_is_cut_to_its_length_and_the_answer_is_counted() -> None:
    usual = {"max_new_tokens": 7, "details": True, "do_sample": False, "truncate": 31}
    assert body_of() == {"inputs": "a b", "stream": True, "parameters": usual}


def test_a_profile_changes_single_parameters() -> None:
    assert body_of(parameters={"truncate": False, "seed": 5})["parameters"] == {
        "max_new_tokens": 7,
        "details": True,
        "do_sample": False,
        "seed": 5,
    }


def test_it_counts_texts_and_messages() -> None:
    question, chat = ENGINE.questions.tokenize("m", "a b"), ENGINE.questions.tokenize("m", [{"role": "user"}])
    assert question is not None and chat is not None
    rows = [{"id": 1, "text": "<s>", "start": 0, "stop": 0}, {"id": 7, "text": "a", "start": 0, "stop": 1}]
    assert question.read(200, json.dumps(rows).encode()) == [1, 7]
    assert chat.read(200, json.dumps({"tokenize_response": rows, "templated_text": "x"}).encode()) == [1, 7]
    assert question.read(200, b'[{"id":null}]') is None


def test_info_tells_model_version_and_limit() -> None:
    info = b'{"model_id":"org/m","max_total_tokens":4608,"max_input_tokens":4096,"version":"3.3.7"}'
    told = ENGINE.questions
    asked = (told.models(), told.version(), told.limits(["org/m"]))
    assert [question and question.read(200, info) for question in asked] == [["org/m"], "3.3.7", {"org/m": 4608}]


def test_metrics_tell_what_is_reserved_and_nothing_that_is_not_there() -> None:
    question = ENGINE.questions.metrics()
    assert question is not None
    assert question.read(200, METRICS) == ServerMetrics(
        running=5,
        waiting=3,
        kv_cache_usage=0.25,
        kv_cache_tokens=16384,
        queue_sum_s=1.5,
        queue_count=9,
        extra={"failures_total": 3},
    )
    assert question.read(200, b"") == ServerMetrics()
    assert question.read(503, METRICS) is None


def test_one_shard_for_each_gpu_unless_the_profile_says_otherwise() -> None:
    def argv(**args: object) -> tuple[str, ...]:
        server = {"model": "m", "gpus": [2, 3], "args": args}
        profile = Profile.model_validate({"name": "p", "engine": "tgi", "server": server})
        assert ENGINE.launch is not None
        plan = ENGINE.launch.plan(profile, 8001, None)
        assert plan.env["CUDA_VISIBLE_DEVICES"] == "2,3"
        return plan.argv

    assert " ".join(argv()).endswith("--num-shard 2")
    assert " ".join(argv(sharded=False)) == "text-generation-launcher --model-id m --hostname 127.0.0.1 --port 8001"


def test_a_shard_that_is_killed_under_load_may_have_been_killed_by_anybody() -> None:
    said = "text_generation_launcher: Shard process was signaled to shutdown with signal 9"
    line = f"2026-11-20T10:00:05.000000Z  ERROR {said}"
    loading = TgiLaunch().diagnose([line], started=False, exit_code=1)
    running = TgiLaunch().diagnose([line], started=True, exit_code=1)
    assert loading is not None and running is not None
    assert (loading.failure, running.failure) == (FailureClass.OOM_HOST, FailureClass.CRASH)
    assert running.line == said
