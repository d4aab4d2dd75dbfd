"""A real vLLM over the two nodes of a real Ray cluster (`make test-ray-vllm`): its workers, log, end, and their deaths.

It computes on the CPU, which stands for the GPU of each node (`cpu_over_ray.py`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import MEASURED, cells_of, running_sweep, sweep, wait_for_mid_cell, write_profile
from tests.ray_serve.conftest import CPU_OVER_RAY, MODEL, PYTHON_WITH_VLLM, Cluster, joined
from tests.ray_serve.test_over_nodes import events_of, wait_until_free, workers
from tui.profile.schema import Profile
from tui.server.ray_cluster import RayCluster
from tui.session.reader import SessionReader

TOKENS = 20
START_S = 300.0
"""So long a start may take: 60 s on a quiet machine."""


@pytest.fixture
def over_nodes(world: World, cluster_with_vllm: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    """Give a world the cluster's environment; when it is done nothing is left of it on any node."""
    asked = joined(world, cluster_with_vllm, PYTHON_WITH_VLLM, monkeypatch)
    assert [node.free_gpus for node in asked.state().nodes] == [1, 1]
    yield asked
    wait_until_free(asked)


def profile_of(folder: Path, cluster: Cluster, **load: Any) -> Path:
    server = {
        "model": str(MODEL),
        "executable": [str(PYTHON_WITH_VLLM), "-m", "vllm.entrypoints.cli.main", "serve"],
        "args": {
            "tensor-parallel-size": 2,
            "max-model-len": 512,
            "enforce-eager": True,
            "kv-cache-memory-bytes": 64 * 2**20,
        },
        "ray": {"address": cluster.address},
        "env": {name: CPU_OVER_RAY[name] for name in ("HF_HUB_OFFLINE", "VLLM_CPU_KVCACHE_SPACE")},
    }
    table = {"users": [1, 2], "prompt_tokens": [31], "output_tokens": TOKENS, "mode": "burst", **load}
    profile = {"name": "over-nodes", "engine": "vllm", "server": server, "load": table}
    return write_profile(folder, Profile.model_validate(profile))


def test_its_workers_are_on_both_nodes_and_gone_from_both(
    world: World, cluster_with_vllm: Cluster, over_nodes: RayCluster
) -> None:
    cells = sweep(world, profile_of(world.root, cluster_with_vllm), timeout_s=2 * START_S)
    for cell in cells.values():
        assert cell["outcome"] in MEASURED, cell
        assert (cell["output_tokens_mean"], cell["output_forced"]) == (TOKENS, True)
    told = events_of(world)
    (held,) = (text for text in told if text.startswith("it holds "))
    assert held.count("1 GPU of ") == 1 and held.count(", 1 of ") == 1
    assert "nothing of it is left on the cluster's 2 nodes" in told
    assert over_nodes.state().free_gpus == 2 and workers(cluster_with_vllm) == []
    with SessionReader(world.session_files[-1]) as reader:
        assert reader.server is not None
        stages = {stage.name: stage.seconds for stage in reader.server.stages}
    for stage in ("workers on their nodes", "loading weights", "KV cache", "ready"):
        assert stages[stage] is not None, stages
    log = world.session_files[-1].with_suffix(".server.log").read_text()
    # The workers of both nodes write into the one log.
    assert all(f"(Worker_TP{rank} pid=" in log for rank in range(2))


def test_a_worker_that_is_killed_on_its_node_is_named_and_the_server_comes_again(
    world: World, cluster_with_vllm: Cluster, over_nodes: RayCluster
) -> None:
    load = {"users": [2], "mode": "steady", "warm_up_s": 0.5, "duration_s": 10.0}
    with running_sweep(world, profile_of(world.root, cluster_with_vllm, **load)) as run:
        wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        workers(cluster_with_vllm)[-1].send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=2 * START_S)
    assert {cell["outcome"] for cell in cells_of(output).values()} <= MEASURED, errors
    told = events_of(world)
    assert any("A worker of the server died on its node" in text for text in told), told
    assert told.count("nothing of it is left on the cluster's 2 nodes") == 2


def test_a_bench_that_is_killed_leaves_nothing_on_any_node(
    world: World, cluster_with_vllm: Cluster, over_nodes: RayCluster
) -> None:
    load = {"users": [2], "mode": "steady", "warm_up_s": 0.5, "duration_s": 10.0}
    with running_sweep(world, profile_of(world.root, cluster_with_vllm, **load)) as run:
        wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        assert len(workers(cluster_with_vllm)) == 2
        world.running("tui.bench")[0].kill()
        world.wait_until_empty()
        wait_until_free(over_nodes)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=2 * START_S)
    assert workers(cluster_with_vllm) == []
