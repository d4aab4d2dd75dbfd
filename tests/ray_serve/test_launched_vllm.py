"""A real vLLM behind `ray.serve.llm`, launched by vramp over two real nodes (`make test-ray-vllm`).

It computes on the CPU, which stands for the GPU of each node (`cpu_over_ray.py`).
"""

from __future__ import annotations

import signal
import time
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import MEASURED, running_sweep, sweep, wait_for_mid_cell, write_profile
from tests.ray_serve.conftest import CPU_OVER_RAY, MODEL, PYTHON_WITH_VLLM, Cluster, joined
from tui.core.errors import ExitCode
from tui.profile.schema import Profile
from tui.server.ray_cluster import RayCluster
from tui.server.tree import descendants
from tui.session.reader import SessionReader

TOKENS = 20
START_S = 400.0
GONE_S = 90.0


@pytest.fixture
def nodes(world: World, cluster_with_vllm: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Give a world the cluster's environment."""
    joined(world, cluster_with_vllm, PYTHON_WITH_VLLM, monkeypatch)
    return cluster_with_vllm


def profile_of(nodes: Cluster, *, replicas: int = 1, parts: int = 1, length: int = 512, **load: Any) -> Profile:
    server = {
        "model": str(MODEL),
        "executable": [str(PYTHON_WITH_VLLM)],
        "args": {
            "tensor-parallel-size": parts,
            "max-model-len": length,
            "enforce-eager": True,
            "kv-cache-memory-bytes": 64 * 2**20,
        },
        "env": {"HF_HUB_OFFLINE": CPU_OVER_RAY["HF_HUB_OFFLINE"]},
        "serve": {"replicas": replicas, "max_ongoing_requests": 4, "max_queued_requests": 4},
        "ray": {"address": nodes.address},
        "startup_timeout_s": START_S,
    }
    table = {"users": [1, 4, 40], "prompt_tokens": [31], "output_tokens": TOKENS, **load}
    return Profile.model_validate({"name": "served", "engine": "ray-serve", "server": server, "load": table})


def of_serve(nodes: Cluster) -> list[psutil.Process]:
    """Return the processes of Serve and of vLLM on the nodes."""
    found = []
    for one in descendants(nodes.tree.pid):
        try:
            if "".join(one.cmdline()).startswith(
                ("ray::Serve", "ray::SERVE", "ray::Proxy", "ray::Caretaker", "ray::RayWorker", "VLLM::")
            ):
                found.append(one)
        except psutil.Error:
            continue
    return found


def wait_until_free(nodes: Cluster) -> None:
    asked, by = RayCluster([str(PYTHON_WITH_VLLM)], nodes.address), time.monotonic() + GONE_S
    while (left := of_serve(nodes)) or asked.state().serves:
        assert time.monotonic() < by, [one.cmdline() for one in left]


def events_of(world: World) -> list[str]:
    with SessionReader(world.session_files[-1]) as reader:
        return [event.text for event in reader.events()]


def test_an_engine_over_both_nodes_is_measured_and_gone_from_both(world: World, nodes: Cluster) -> None:
    cells = sweep(world, write_profile(world.root, profile_of(nodes, parts=2)), timeout_s=2 * START_S)
    for users in (1, 4):
        cell = cells[users, 31]
        assert cell["outcome"] in MEASURED, cell
        assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (TOKENS, True, "usage")
    # Four run and as many wait.
    assert cells[40, 31]["outcome"] == "overloaded" and "backpressure" in cells[40, 31]["evidence"]
    told = events_of(world)
    (held,) = (text for text in told if text.startswith("it holds "))
    assert held.count("1 GPU of ") == 1 and held.count(", 1 of ") == 1
    assert "nothing of it is left on the cluster's 2 nodes" in told
    assert not any("Ray is told to end what is left" in text for text in told)
    wait_until_free(nodes)
    with SessionReader(world.session_files[-1]) as reader:
        assert reader.server is not None
        assert (reader.server.version, reader.server.max_model_len) == ("0.32.0", 512)
        assert reader.server.kv_cache_tokens == 2_097_152
        stages = {stage.name: stage.seconds for stage in reader.server.stages}
    assert all(stages[name] is not None for name in ("replicas on their nodes", "loading weights", "KV cache"))
    log = world.session_files[-1].with_suffix(".server.log").read_text()
    # The workers of both nodes write into the one log, each line once.
    loaded = [line for line in log.splitlines() if "Starting to load model" in line]
    assert sorted(rank for line in loaded for rank in range(2) if f"(Worker_TP{rank} pid=" in line) == [0, 1], loaded


def test_an_engine_that_cannot_start_is_told_in_vllm_s_own_words(world: World, nodes: Cluster) -> None:
    profile = write_profile(world.root, profile_of(nodes, length=99_999))
    done = world.run("run", str(profile), timeout_s=START_S)
    assert done.returncode == ExitCode.SERVER_UNAVAILABLE, done.stderr
    assert "Lower --max-model-len from 99999 to 8192 or less" in done.stderr, done.stderr
    assert "nothing of it is left on the cluster's 2 nodes" in events_of(world)
    wait_until_free(nodes)


def test_a_bench_that_is_killed_leaves_neither_of_two_engines(world: World, nodes: Cluster) -> None:
    load: dict[str, Any] = {"users": [2], "mode": "steady", "warm_up_s": 0.5, "duration_s": 20.0}
    with running_sweep(world, write_profile(world.root, profile_of(nodes, replicas=2, **load))) as run:
        wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        assert sum("VLLM::EngineCore" in "".join(one.cmdline()) for one in of_serve(nodes)) == 2
        world.running("tui.bench")[0].send_signal(signal.SIGKILL)
        wait_until_free(nodes)
        run.communicate(timeout=START_S)
