"""Ray Serve as vramp launches it: its command, what is wrong in a profile, and how its log is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui.engines.catalogue import launch_of, mistakes_in, shown_log_line
from tui.engines.over_ray import MARK
from tui.engines.ray_serve.launch import PROGRAM
from tui.profile.schema import Profile


def profile_of(engine: str = "ray-serve", **server: Any) -> Profile:
    return Profile.model_validate({"name": "p", "engine": engine, "server": {"model": "org/m", **server}})


def argv_of(profile: Profile) -> tuple[str, ...]:
    return launch_of(profile).plan(profile, 8123, None).argv


def test_the_command_is_a_program_of_vramp_s_run_by_the_server_s_python() -> None:
    profile = profile_of(
        executable=["/opt/llm/bin/python"],
        args={"tensor-parallel-size": 2, "enforce-eager": True, "dtype": "half"},
        serve={"replicas": 3, "max_queued_requests": 9},
        env={"HF_HOME": "/models"},
        gpus=[0, 1],
    )
    plan = launch_of(profile).plan(profile, 8123, None)
    assert PROGRAM.is_file()
    assert plan.argv[:3] == ("/opt/llm/bin/python", str(PROGRAM), "org/m")
    assert plan.argv[3:7] == ("--host", "127.0.0.1", "--port", "8123")
    assert plan.argv[7:11] == ("--replicas", "3", "--max-queued-requests", "9")
    assert plan.argv[-5:] == ("--tensor-parallel-size", "2", "--enforce-eager", "--dtype", "half")
    passed = {name for word, name in zip(plan.argv, plan.argv[1:], strict=False) if word == "--pass"}
    # Which GPUs of a node it has is for Ray to say to each replica.
    assert "HF_HOME" in passed and "CUDA_VISIBLE_DEVICES" not in passed
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "0,1" and plan.env["HF_HOME"] == "/models"
    assert plan.ray is None and "RAY_TMPDIR" in plan.scratch_variables
    assert profile.server is not None
    assert launch_of(profile).gpus_needed(profile.server) == 6
    assert launch_of(profile).weight_copies(profile.server) == 3


def test_over_a_cluster_it_joins_it_and_bears_a_mark() -> None:
    profile = profile_of(ray={"address": "10.0.0.1:6379"})
    plan = launch_of(profile).plan(profile, 8123, None)
    assert plan.argv[-1] == "--on-cluster" and plan.ray is not None and plan.ray.serves
    assert plan.env["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert json.loads(plan.env["RAY_JOB_CONFIG_JSON_ENV_VAR"]) == {"metadata": {MARK: plan.ray.mark}}
    # What a node's Ray has is found by its folder.
    assert plan.scratch_variables == ()
    launch = launch_of(profile)
    assert list(launch.stages).count("replicas on their nodes") == 1 and "workers on their nodes" not in launch.stages
    assert launch.says_ready and launch.mends_itself and launch.is_ray_serve
    joining = (
        "2026-11-26 15:53:19,700\tINFO worker.py:1841 -- Connecting to existing Ray cluster at address: 127.0.0.1:1..."
    )
    assert launch.read_log_line(joining) is None  # nothing is placed yet
    vllm = launch_of(profile_of("vllm", ray={}))
    assert not (vllm.says_ready or vllm.mends_itself or vllm.is_ray_serve)


def test_without_gpus_none_is_asked_for() -> None:
    assert "--cpu" in argv_of(profile_of(env={"VLLM_CPU_KVCACHE_SPACE": "4"}))
    assert "--cpu" not in argv_of(profile_of())


@pytest.mark.parametrize(
    ("value", "word"), [("half", "half"), ("17", '"17"'), ("true", '"true"'), ('{"a": 1}', '{"a": 1}'), (17, "17")]
)
def test_a_text_stays_a_text_and_a_document_one(value: object, word: str) -> None:
    assert argv_of(profile_of(args={"x": value}))[-1] == word


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (profile_of(executable=["serve", "run"]), "server.executable: expected the Python of an environment"),
        (profile_of(container={"image": "rayproject/ray-llm"}), "server.container: expected none"),
        (profile_of(container={"image": "rayproject/ray-llm"}, ray={}), "server.container: expected none"),
        (profile_of(args={"data_parallel_size": 2}), "expected replicas in [server.serve]"),
        (profile_of(gpus=[0], ray={}), "server.gpus: expected none beside server.ray"),
        (profile_of("vllm", serve={"replicas": 2}), 'server.serve: expected none: it is for engine = "ray-serve"'),
        (profile_of("sagemaker", serve={}), "server.serve: expected none"),
    ],
)
def test_what_cannot_be_launched_is_said_before(profile: Profile, words: str) -> None:
    (mistake,) = mistakes_in(profile)
    assert words in mistake


def test_a_good_profile_has_no_mistake() -> None:
    assert mistakes_in(profile_of(serve={"replicas": 2}, ray={})) == []
    attached = {"name": "p", "engine": "ray-serve", "attach": {"base_url": "http://127.0.0.1:8000"}}
    assert mistakes_in(Profile.model_validate(attached)) == []


_OF_REPLICA = "(ServeReplica:llm:LLMServer:org--m pid=17163, ip=10.0.0.2) "


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            _OF_REPLICA + "(EngineCore pid=18590) INFO 11-26 15:26:27 [core.py:402] init engine took 0.07 s",
            "10.0.0.2: EngineCore init engine took 0.07 s",
        ),
        (
            "(ServeReplica:llm:LLMServer:org--m pid=1) INFO 2026-11-26 15:26:28,414 llm_LLMServer:org--m f -- Started.",
            "LLMServer:org--m Started.",
        ),
        (
            "(ServeController pid=7) ERROR 2026-11-26 15:35:33,815 controller 7 -- Failed to update.",
            "ERROR controller Failed to update.",
        ),
        ("(ServeController pid=7)   File x", "  File x"),
        ("Serving on port 8000", "Serving on port 8000"),
    ],
)
def test_a_line_is_shown_without_what_all_have_in_common(line: str, shown: str) -> None:
    assert shown_log_line("ray-serve", line) == shown


def test_an_error_of_a_replica_that_is_built_anew_is_none_of_a_quiet_log() -> None:
    launch = launch_of(profile_of())
    quiet = [
        "(ServeController pid=7) WARNING 2026-11-26 15:34:46,653 controller 7 -- CUDA out of memory. Tried: 1 GiB",
        "2026-11-26 15:34:46,653\tINFO worker.py:2038 -- No space left on device",
    ]
    assert launch.diagnose(quiet, started=False, exit_code=None) is None
    loud = [line.replace("WARNING", "ERROR").replace("INFO", "ERROR") for line in quiet]
    assert launch.diagnose(loud, started=False, exit_code=None) is not None


def test_the_program_is_not_imported_with_the_engine() -> None:
    assert Path(PROGRAM).parent.name == "server"
