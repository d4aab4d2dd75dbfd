"""What only Triton Inference Server has: ports beside each other, counts by asking, health that tells of loading."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tui.core.outcome import Outcome
from tui.engines import triton_vllm
from tui.engines.base import ServerMetrics, Wish
from tui.engines.catalogue import engine_for, launch_for
from tui.load.response import Response
from tui.load.tally import Tally
from tui.profile.schema import Endpoint, Profile

INDEX = (
    b'[{"name":"postprocessing","version":"1","state":"READY"},{"name":"ensemble","version":"1","state":"READY"},'
    b'{"name":"oom_load","version":"1","state":"UNAVAILABLE","reason":"Internal: RuntimeError: CUDA out of memory."},'
    b'{"name":"vllm_model","version":"1","state":"READY"}]'
)
METRICS = b"""# TYPE nv_inference_request_success counter
nv_inference_request_success{model="vllm_model",version="1"} 13
vllm:prompt_tokens_total{model="vllm_model",version="1"} 15
vllm:generation_tokens_total{model="vllm_model",version="1"} 755
nv_inference_pending_request_count{model="vllm_model",version="1"} 0
vllm:time_to_first_token_seconds_count{model="vllm_model",version="1"} 11
vllm:time_to_first_token_seconds_sum{model="vllm_model",version="1"} 0.2652313709259033
vllm:time_per_output_token_seconds_count{model="vllm_model",version="1"} 744
vllm:time_per_output_token_seconds_sum{model="vllm_model",version="1"} 5.641682158997355
"""
TRT_METRICS = b"""nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 4
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 8
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 100
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
"""


@pytest.mark.parametrize(("engine", "first"), [("triton-vllm", "vllm_model"), ("triton-trtllm", "ensemble")])
def test_models_that_are_ready_are_offered_the_one_that_answers_first(engine: str, first: str) -> None:
    question = engine_for(engine).questions.models()
    assert question is not None and question.body == {}  # it is posted
    names = question.read(200, INDEX)
    assert names is not None and names[0] == first and "oom_load" not in names


def test_what_vllm_does_not_tell_here_is_missing_and_never_0() -> None:
    question = engine_for("triton-vllm").questions.metrics()
    assert question is not None and question.port_offset == 2
    found = question.read(200, METRICS)
    assert found is not None
    assert (found.running, found.waiting, found.kv_cache_usage) == (None, None, None)
    assert (found.generation_tokens_total, found.ttft_count, found.itl_count) == (755, 11, 744)


def test_the_batcher_of_tensorrt_llm_tells_its_queue_and_its_cache() -> None:
    question = engine_for("triton-trtllm").questions.metrics()
    assert question is not None and question.port_offset == 2
    assert question.read(200, TRT_METRICS) == ServerMetrics(
        running=8, waiting=4, kv_cache_usage=0.5, kv_cache_tokens=6400
    )
    assert question.read(200, METRICS) == ServerMetrics()


def test_a_request_for_one_token_tells_how_many_a_text_has() -> None:
    question = engine_for("triton-vllm").questions.count("m/1", "a b c")
    assert question is not None and question.path == "/v2/models/m%2F1/generate_stream"
    answer = b'data: {"finish_reason":"length","model_name":"m","num_input_tokens":3,"text_output":" x"}\n\n'
    assert question.read(200, answer) == 3
    assert question.read(400, b'data: {"error":"no"}') is None
    assert question.read(200, b'data: {"error":"no"}') is None


def test_a_profile_changes_single_parameters_and_whether_lengths_are_forced() -> None:
    def asked(**body: object) -> tuple[dict[str, object], bool]:
        wish = Wish("m", Endpoint.COMPLETIONS, prompt_tokens=31, output_tokens=7, body=body)
        shape = engine_for("triton-vllm").request_shape(wish)
        return json.loads(shape.body_head + b'"a"' + shape.body_tail)["parameters"], shape.exact

    usual = {"temperature": 0, "max_tokens": 7, "min_tokens": 7, "ignore_eos": True}
    assert asked() == (usual, True)
    assert asked(parameters={"seed": 5}) == (usual | {"seed": 5}, True)
    assert asked(parameters={"ignore_eos": False})[1] is False
    assert asked(parameters={"max_tokens": 9})[1] is False


@pytest.mark.parametrize("engine", ["triton-vllm", "triton-trtllm"])
def test_gRPC_and_metrics_are_on_the_next_two_ports(engine: str) -> None:  # noqa: N802
    server = {"model": "repo", "args": {"exit-on-error": "false"}}
    profile = Profile.model_validate({"name": "p", "engine": engine, "server": server})
    argv = " ".join(launch_for(engine).plan(profile, 8001, None).argv)
    assert argv == (
        "tritonserver --model-repository repo --http-port 8001 --http-address 127.0.0.1 --grpc-port 8002"
        " --grpc-address 127.0.0.1 --metrics-port 8003 --metrics-address 127.0.0.1 --exit-on-error false"
    )


def test_vllm_within_triton_is_not_ready_before_triton() -> None:
    launch = launch_for("triton-vllm")
    line = "(EngineCore pid=2) INFO 11-20 18:38:50 [core.py:402] init engine (profile, create kv cache) took 0.05 s"
    fact = launch.read_log_line(line)
    assert fact is not None and fact.stage is None


def event(text: str, tokens: int = 1, reason: str = "None") -> bytes:
    told = {
        "finish_reason": reason,
        "model_name": "m",
        "model_version": "1",
        "num_input_tokens": 3,
        "num_output_tokens": tokens,
        "text_output": text,
    }
    return b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"


@pytest.mark.parametrize("known_by_their_look", [True, False])
def test_tokens_without_a_text_count_as_well_in_a_long_stream(known_by_their_look: bool) -> None:
    dialect = triton_vllm.DIALECT if known_by_their_look else replace(triton_vllm.DIALECT, text_keys=())
    events = [event(text) for text in (" a", " b", "", " c", '"', " d", "", " e") * 4]
    response = Response(36, dialect, Tally(), exact=True)
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", 1)
    for body in [*events, event(" x y z", 3), event(" end", 1, "length")]:
        response.feed(b"%x\r\n%b\r\n" % (len(body), body), 2)
    response.feed(b"0\r\n\r\n", 3)
    assert (response.outcome, response.output_tokens, response.prompt_tokens) == (Outcome.OK, 36, 3)
    assert len(response.stamps_ns) == 34
