"""vLLM's command line, environment and requests; what is shown of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tui.core.errors import UsageError
from tui.engines.base import LaunchPlan, RequestShape, Wish
from tui.engines.catalogue import engine_for, launch_for, names
from tui.engines.command_line import command_line, show_plan
from tui.engines.simulated import TIME_SCALE_VARIABLE
from tui.profile.schema import Endpoint, Profile


def profile(engine: str = "vllm", **server: Any) -> Profile:
    return Profile.model_validate({"name": "p", "engine": engine, "server": {"model": "org/model", **server}})


def argv(**server: Any) -> list[str]:
    return list(launch_for("vllm").plan(profile(**server), 8001, None).argv)


def test_flags_stand_in_the_profiles_order_and_booleans_are_bare_or_absent() -> None:
    args = {"tensor-parallel-size": 4, "enforce-eager": True, "enable-x": False, "gpu-memory-utilization": 0.96}
    assert argv(args=args, extra_args=["--seed", "1"]) == [
        *["vllm", "serve", "org/model", "--host", "127.0.0.1", "--port", "8001"],
        *["--tensor-parallel-size", "4", "--enforce-eager", "--gpu-memory-utilization", "0.96"],
        *["--disable-uvicorn-access-log", "--seed", "1"],
    ]


def test_access_log_flag_can_be_left_out_for_an_old_vllm() -> None:
    assert "--disable-uvicorn-access-log" not in argv(args={"disable-uvicorn-access-log": False})
    assert argv(args={"disable_uvicorn_access_log": True})[-1] == "--disable_uvicorn_access_log"


def test_value_with_a_dash_is_joined_to_its_flag() -> None:
    assert "--seed=-1" in argv(args={"seed": -1})


def test_executable_that_is_not_vllm_serve_gets_the_model_as_a_flag() -> None:
    given = argv(executable=["python", "-m", "vllm.entrypoints.openai.api_server"])
    assert given[:5] == ["python", "-m", "vllm.entrypoints.openai.api_server", "--model", "org/model"]


def test_environment_names_gpus_in_nvml_order_and_lets_the_profile_win() -> None:
    plan = launch_for("vllm").plan(profile(gpus=[2, 3], env={"DO_NOT_TRACK": "0"}), 1, None)
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert plan.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert plan.env["VLLM_NO_USAGE_STATS"] == "1"
    assert plan.env["DO_NOT_TRACK"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in launch_for("vllm").plan(profile(), 1, None).env


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:9"), ("0.0.0.0", "http://127.0.0.1:9"), ("::1", "http://[::1]:9")],
)
def test_base_url_can_be_reached(host: str, url: str) -> None:
    assert launch_for("vllm").plan(profile(host=host), 9, None).base_url == url


@pytest.mark.parametrize(
    ("tables", "scheme"),
    [
        ({}, "http"),
        ({"args": {"ssl-certfile": "c.pem", "ssl-keyfile": "k.pem"}}, "https"),
        ({"args": {"ssl_certfile": "c.pem"}}, "https"),
        ({"args": {"--ssl-keyfile": "k.pem"}}, "https"),
        ({"extra_args": ["--ssl-certfile", "c.pem"]}, "https"),
        ({"extra_args": ["--ssl-keyfile=k.pem"]}, "https"),
        ({"args": {"ssl-certfile": ""}}, "http"),
        ({"args": {"ssl-cert-reqs": 0}}, "http"),
    ],
)
def test_a_server_with_a_certificate_is_reached_by_https(tables: dict[str, Any], scheme: str) -> None:
    assert launch_for("vllm").plan(profile(**tables), 9, None).base_url == f"{scheme}://127.0.0.1:9"


def test_simulated_server_runs_by_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIME_SCALE_VARIABLE, "1.0")
    plain = launch_for("simulated").plan(profile("simulated"), 9, Path("/p.toml"))
    address = ("--host", "127.0.0.1", "--port", "9")
    assert plain.argv == (
        *(sys.executable, "-m", "tui", "simulate", "/p.toml"),
        *(*address, "--disable-uvicorn-access-log"),
    )
    monkeypatch.setenv(TIME_SCALE_VARIABLE, "5")
    assert launch_for("simulated").plan(profile("simulated"), 9, None).argv[-2:] == ("--time-scale", "5")


def test_shown_command_line_pastes_into_a_shell_and_hides_secrets() -> None:
    shown = command_line(profile(env={"HF_HOME": "/my models"}, extra_args=["--chat-template", "a b.jinja"]))
    assert "HF_HOME='/my models' vllm serve org/model" in shown
    assert shown.endswith("--chat-template 'a b.jinja'")
    plan = LaunchPlan(("x", "--api-key", "abc", "--hf-token=def", "y", "sk-12345"), {"HF_TOKEN": "ghi"}, "")
    shown = show_plan(plan)
    assert not any(secret in shown for secret in ("abc", "def", "ghi", "12345"))
    assert "\x1b" not in show_plan(LaunchPlan(("x\x1b[31m",), {}, ""))


def test_engine_without_a_module_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"tgy.*openai, .*simulated, .*vllm"):
        engine_for("tgy")
    with pytest.raises(UsageError, match="attach"):
        launch_for("openai")
    assert all(engine_for(name).name == name for name in names())


def body(shape: RequestShape, prompt: bytes) -> dict[str, Any]:
    return dict(json.loads(shape.body_head + prompt + shape.body_tail))


def shape_of(engine: str, endpoint: Endpoint) -> RequestShape:
    return engine_for(engine).request_shape(Wish('m"', endpoint, prompt_tokens=31, output_tokens=100))


def test_vllm_is_asked_for_exactly_so_many_tokens_and_for_running_usage() -> None:
    shape = shape_of("vllm", Endpoint.COMPLETIONS)
    assert shape.path == "/v1/completions"
    assert shape.prompt_kind == "token-ids"
    assert body(shape, b"[5,6]") == {
        "model": 'm"',
        "prompt": [5, 6],
        "max_tokens": 100,
        "temperature": 0,
        "stream": True,
        "ignore_eos": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }


CHANGES: list[tuple[dict[str, object], dict[str, object], bool]] = [
    ({"max_tokens": {"as": "max_completion_tokens"}}, {"max_completion_tokens": 100}, True),
    ({"temperature": 0.7}, {"max_tokens": 100, "temperature": 0.7}, True),
    ({"ignore_eos": False}, {"max_tokens": 100}, False),
    ({"max_tokens": False}, {}, False),
    ({"max_tokens": 50}, {"max_tokens": 50}, False),
    ({"stream_options": False, "seed": 1}, {"max_tokens": 100, "seed": 1}, True),
    ({"nested": {"a": [1, {"as": "b"}]}}, {"max_tokens": 100, "nested": {"a": [1, {"as": "b"}]}}, True),
]


@pytest.mark.parametrize(("changes", "expected", "exact"), CHANGES)
def test_a_profile_adds_renames_and_drops_fields(
    changes: dict[str, object], expected: dict[str, object], exact: bool
) -> None:
    wish = Wish("m", Endpoint.COMPLETIONS, prompt_tokens=31, output_tokens=100, body=changes)
    shape = engine_for("vllm").request_shape(wish)
    asked = body(shape, b"[5]")
    touched = {*expected, *changes, "max_tokens"}
    assert {name: value for name, value in asked.items() if name in touched} == expected
    assert shape.exact == exact
    assert asked["stream"] is True


def test_chat_takes_its_prompt_as_text() -> None:
    shape = shape_of("vllm", Endpoint.CHAT)
    assert shape.prompt_kind == "text"
    assert body(shape, b'"hi"')["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_openai_server_is_asked_nothing_that_only_vllm_knows(endpoint: Endpoint) -> None:
    shape = shape_of("openai", endpoint)
    assert shape.prompt_kind == "text"
    asked = body(shape, b'"hi"')
    assert asked["stream_options"] == {"include_usage": True}
    assert "ignore_eos" not in asked
