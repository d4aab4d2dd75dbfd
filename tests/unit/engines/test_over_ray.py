"""A launch over the machines of a Ray cluster: its command, its stages, what its log says of other nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui.core.errors import ProfileError
from tui.engines.base import FailureClass
from tui.engines.catalogue import launch_of, mistakes_in, shown_log_line
from tui.engines.over_ray import MARK, PLACEMENT
from tui.engines.vllm.log import Stage
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile
from tui.server.memory_told import MemoryTold
from tui.server.stages import StageClock

LOG = Path(__file__).parents[2] / "corpus" / "vllm" / "ray" / "two_nodes.log"
REAL_LOG = LOG.with_name("real_two_nodes.log")
"""Of vLLM 0.32 with a tensor half on each node, on the CPU."""


def profile_of(engine: str = "vllm", *, ray: dict[str, Any] | None = None, **server: Any) -> Profile:
    table = {"model": "org/m", "ray": ray if ray is not None else {}, **server}
    return Profile.model_validate({"name": "p", "engine": engine, "server": table})


def test_the_command_is_the_engine_s_own_with_ray_as_what_starts_its_workers() -> None:
    profile = profile_of(
        ray={"address": "10.0.0.1:6379"}, args={"tensor-parallel-size": 8, "pipeline-parallel-size": 2}
    )
    launch = launch_of(profile)
    plan = launch.plan(profile, 8123, None)
    assert plan.argv[-2:] == ("--distributed-executor-backend", "ray")
    assert plan.env["RAY_ADDRESS"] == "10.0.0.1:6379" and "CUDA_VISIBLE_DEVICES" not in plan.env
    assert plan.ray is not None and plan.ray.address == "10.0.0.1:6379"
    assert json.loads(plan.env["RAY_JOB_CONFIG_JSON_ENV_VAR"]) == {"metadata": {MARK: plan.ray.mark}}
    assert launch.gpus_needed(profile.server) == 16 if profile.server else False
    again = launch.plan(profile, 8123, None).ray
    assert again is not None and again.mark != plan.ray.mark


@pytest.mark.parametrize("name", ["distributed-executor-backend", "distributed_executor_backend"])
def test_what_the_profile_says_itself_is_not_said_twice(name: str) -> None:
    profile = profile_of(args={name: "ray"})
    argv = launch_of(profile).plan(profile, 8123, None).argv
    assert sum(word.replace("_", "-") == "--distributed-executor-backend" for word in argv) == 1


def test_the_profile_s_own_variables_stand() -> None:
    profile = profile_of(env={"RAY_DEDUP_LOGS": "1"})
    assert launch_of(profile).plan(profile, 1, None).env["RAY_DEDUP_LOGS"] == "1"


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (profile_of("llama-cpp"), "server.ray: expected none: llama.cpp"),
        (profile_of("simulated"), "server.ray: expected none"),
        (profile_of(gpus=[0, 1]), "server.gpus: expected none beside server.ray"),
        (profile_of(container={"image": "vllm/vllm-openai"}), "server.container: expected none beside server.ray"),
    ],
)
def test_what_does_not_go_together_is_a_mistake(profile: Profile, words: str) -> None:
    assert any(words in mistake for mistake in mistakes_in(profile))


def test_a_profile_that_fits_has_no_mistakes() -> None:
    assert mistakes_in(profile_of()) == []


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:0", "head:99999", "a b:1", "", "auto:1:2"])
def test_an_address_that_no_head_has_is_refused(address: str) -> None:
    text = f'name = "p"\nengine = "vllm"\n[server]\nmodel = "m"\n[server.ray]\naddress = "{address}"'
    with pytest.raises(ProfileError, match=r"server\.ray\.address"):
        parse_profile(text, "p.toml")


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.cluster:6379", "[fd00::1]:6379"])
def test_an_address_that_a_head_may_have_is_taken(address: str) -> None:
    assert profile_of(ray={"address": address}).server is not None


def test_a_start_goes_through_its_stages_by_the_log_of_all_nodes() -> None:
    launch = launch_of(profile_of())
    clock, memory, entered = StageClock(launch.stages, launch.may_return_to), MemoryTold(), []
    for line in LOG.read_text().splitlines():
        fact = launch.read_log_line(line)
        if fact is not None:
            entered.append(clock.note(fact))
            memory.note(fact)
    assert [stage for stage in entered if stage] == [
        Stage.CONFIG,
        PLACEMENT,
        Stage.LOADING_WEIGHTS,
        Stage.MEMORY_PROFILING,
        Stage.KV_CACHE,
        Stage.READY,
    ]
    # The two halves of the pipeline hold different layers: what a GPU holds is not the same on both nodes.
    assert memory.weights_bytes is None and memory.kv_cache_bytes is not None
    here, there = memory.at([""])[0], memory.at(["10.0.0.2"])[0]
    assert here is not None and there is not None and here != there


def test_the_log_of_a_real_vllm_over_two_nodes_is_read_as_far_as_its_first_request() -> None:
    launch = launch_of(profile_of())
    clock, entered, tokens = StageClock(launch.stages, launch.may_return_to), [], []
    for line in REAL_LOG.read_text().splitlines():
        assert launch.diagnose([line], started=False, exit_code=None) is None
        fact = launch.read_log_line(line)
        if fact is not None:
            entered.append(clock.note(fact))
            tokens.append(fact.kv_cache_tokens)
    # On the CPU it profiles no memory.
    assert [stage for stage in entered if stage] == [
        Stage.CONFIG,
        PLACEMENT,
        Stage.LOADING_WEIGHTS,
        Stage.KV_CACHE,
        Stage.READY,
    ]
    assert [each for each in tokens if each] == [2_097_152]
    shown = [shown_log_line("vllm", line) for line in REAL_LOG.read_text().splitlines()]
    assert "Worker_TP0 Starting to load model /models/tiny..." in shown
    assert "10.77.0.2: Worker_TP1 Starting to load model /models/tiny..." in shown


@pytest.mark.parametrize("exit_code", [None, 0, 1])
def test_what_lost_its_peer_says_that_the_other_one_ended_first(exit_code: int | None) -> None:
    lines = LOG.with_name("peer_killed.log").read_text().splitlines()
    found = launch_of(profile_of()).diagnose(lines, started=True, exit_code=exit_code)
    assert found is not None and found.failure is FailureClass.CRASH
    assert found.summary == "A worker process of vLLM lost another"
    assert "Connection closed by peer [127.0.0.1]:33671" in found.line and "The other one ended first" in found.advice


@pytest.mark.parametrize(
    ("why", "summary"),
    [
        ("NCCL error: remote process exited or there was a network error", "A worker process of vLLM lost another"),
        ("CPU dispatch key missing", "A worker process of vLLM failed"),
        ("", "vLLM's engine died"),
    ],
)
def test_the_reason_of_a_worker_that_failed_is_told(why: str, summary: str) -> None:
    head = "(EngineCore pid=7) ERROR 11-26 16:08:16 [core.py:1332] "
    lines = [
        f"{head}EngineCore encountered a fatal error.",
        f"{head}RuntimeError: Worker failed with error '{why}', please check the stack trace above for the root cause",
    ]
    found = launch_of(profile_of()).diagnose(lines, started=True, exit_code=None)
    assert found is not None and found.summary == summary


def test_a_line_is_shown_with_the_node_that_wrote_it() -> None:
    shown = [shown_log_line("vllm", line) for line in LOG.read_text().splitlines()]
    assert "10.0.0.2: Worker_PP1_TP0 Starting to load model acme/m-70b..." in shown
    assert "Worker_PP0_TP0 Starting to load model acme/m-70b..." in shown


@pytest.mark.parametrize(
    ("line", "failure", "words"),
    [
        (
            "(EngineCore pid=7) ERROR 11-20 10:00:01 [core.py:1] ValueError: Cannot provide a placement group requiring"
            " 16.0 GPUs (placement_group_specs=[{'GPU': 1.0}]) within 1800 seconds.",
            FailureClass.TOO_MANY_GPUS,
            "16.0 GPUs are asked for",
        ),
        (
            "ValueError: Failed to import Ray: No module named 'ray'.Please install Ray with `pip install ray`.",
            FailureClass.RAY,
            "has no Ray",
        ),
        (
            "ConnectionError: Could not find any running Ray instance. Please specify the one to connect to by setting"
            " `--address` flag or `RAY_ADDRESS` environment variable.",
            FailureClass.RAY,
            "No Ray cluster answers",
        ),
        (
            "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.60.0",
            FailureClass.RAY,
            "another version",
        ),
        (
            "(EngineCore pid=7) ERROR 11-20 10:00:01 [ray_executor_v2.py:523] RayWorkerProc rank=[3] died unexpectedly,"
            " shutting down executor.",
            FailureClass.CRASH,
            "Worker [3] is gone",
        ),
        (
            "RuntimeError: Every node should have a unique IP address. Got 2 nodes with node ids ['a', 'b'] and 1",
            FailureClass.RAY,
            "the same address",
        ),
    ],
)
def test_what_ray_says_is_told_by_its_cause(line: str, failure: FailureClass, words: str) -> None:
    launch = launch_of(profile_of())
    lines = [*line.splitlines(), "RuntimeError: Engine core initialization failed. See root cause above."]
    found = launch.diagnose(lines, started=failure is FailureClass.CRASH, exit_code=1)
    assert found is not None and found.failure is failure
    assert words in f"{found.summary} {found.advice}"
    assert not found.line.startswith("(")


def test_what_the_server_names_itself_stands_before() -> None:
    launch = launch_of(profile_of())
    lines = [
        "(EngineCore pid=7) (RayWorkerProc pid=9, ip=10.0.0.2) (Worker_PP1 pid=9) ERROR 11-20 10:00:01 [x.py:1]"
        " torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.20 GiB.",
        "(EngineCore pid=7) ERROR 11-20 10:00:01 [ray_executor_v2.py:523] RayWorkerProc rank=[1] died unexpectedly",
    ]
    found = launch.diagnose(lines, started=False, exit_code=1)
    assert found is not None and found.failure is FailureClass.OOM_WEIGHTS
