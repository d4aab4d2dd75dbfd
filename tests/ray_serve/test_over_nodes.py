"""A server launched over the two nodes of a real Ray cluster: placed, measured, stopped, killed.

The server stands in for vLLM, which takes GPUs for this (`standin.py`); Ray, its actors and its log are real.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import (
    MEASURED,
    cells_of,
    process_of,
    running_sweep,
    sweep,
    wait_for_mid_cell,
    write_profile,
)
from tests.fakes.nvml.build import build, compiler
from tests.ray_serve.conftest import PYTHON, Cluster, joined
from tui.core.errors import ExitCode
from tui.link.client import BenchLink
from tui.preflight import Machine, preflight
from tui.profile.schema import Profile
from tui.server.ray_cluster import ClusterState, RayCluster
from tui.server.tree import descendants
from tui.session.reader import SessionReader

STANDIN = Path(__file__).parent / "standin.py"
GONE_S = 30.0


@pytest.fixture
def over_nodes(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    """Give a world the cluster's environment; when it is done nothing is left of it on any node."""
    asked = joined(world, cluster, PYTHON, monkeypatch)
    before = asked.state()
    assert (len(before.nodes), before.gpus, before.free_gpus) == (2, 4, 4)
    yield asked
    wait_until_free(asked)


def wait_until_free(asked: RayCluster) -> ClusterState:
    by = time.monotonic() + GONE_S
    while (state := asked.state()).free_gpus < state.gpus:
        assert time.monotonic() < by, state
    return state


def profile_of(cluster: Cluster, *, tensor: int = 2, pipeline: int = 2, **load: Any) -> Profile:
    server = {
        "model": "tiny",
        "executable": [str(PYTHON), str(STANDIN), "serve"],
        "args": {"tensor-parallel-size": tensor, "pipeline-parallel-size": pipeline},
        "ray": {"address": cluster.address},
    }
    table = {"users": [2], "prompt_tokens": [31], "output_tokens": 20, "mode": "burst", **load}
    return Profile.model_validate({"name": "over-nodes", "engine": "vllm", "server": server, "load": table})


def workers(cluster: Cluster) -> list[psutil.Process]:
    return [one for one in descendants(cluster.tree.pid) if "".join(one.cmdline()).startswith("ray::RayWorkerProc")]


def events_of(world: World) -> list[str]:
    with SessionReader(world.session_files[-1]) as reader:
        return [event.text for event in reader.events()]


def test_it_is_placed_on_both_nodes_measured_and_gone_from_both(
    world: World, cluster: Cluster, over_nodes: RayCluster
) -> None:
    profile = profile_of(cluster)
    assert preflight(profile, Machine()).ready
    cells = sweep(world, write_profile(world.root, profile), timeout_s=200)
    assert cells[2, 31]["outcome"] in MEASURED and cells[2, 31]["requests_ok"] == 2
    told = events_of(world)
    assert f"the Ray cluster at {cluster.address} has 4 free of 4 on 2 nodes" in told
    (held,) = (text for text in told if text.startswith("it holds "))
    assert held.count("2") >= 2 and "GPUs of " in held
    assert "nothing of it is left on the cluster's 2 nodes" in told
    assert over_nodes.state().free_gpus == 4 and workers(cluster) == []
    with SessionReader(world.session_files[-1]) as reader:
        assert reader.server is not None
        stages = {stage.name: stage.seconds for stage in reader.server.stages}
    assert stages["workers on their nodes"] is not None and stages["loading weights"] is not None
    log = world.session_files[-1].with_suffix(".server.log").read_text()
    # The workers of all nodes write into the one log.
    assert all(f"(Worker_PP{rank} pid=" in log for rank in range(4)) and "(RayWorkerProc pid=" in log


def test_more_gpus_than_the_cluster_has_are_refused_at_once(
    world: World, cluster: Cluster, over_nodes: RayCluster
) -> None:
    profile = profile_of(cluster, tensor=4, pipeline=2)
    found = preflight(profile, Machine())
    assert found.state == "needs 8 GPUs"
    assert any("4 free of 4 on 2 nodes" in line for line in found.missing)
    done = world.run("run", str(write_profile(world.root, profile)))
    assert done.returncode == ExitCode.SERVER_UNAVAILABLE, done.stderr
    assert "8 GPUs are asked for and the cluster has 4 free of 4 on 2 nodes" in done.stderr


def test_a_cluster_that_is_not_there_is_told(world: World, cluster: Cluster) -> None:
    world.env |= cluster.env
    profile = profile_of(Cluster("127.0.0.1:9", cluster.tree, cluster.env))
    done = world.run("run", str(write_profile(world.root, profile)), timeout_s=200)
    assert done.returncode == ExitCode.SERVER_UNAVAILABLE
    assert "The Ray cluster (127.0.0.1:9) cannot be asked" in done.stderr and "ray start --head" in done.stderr


def test_a_worker_that_dies_on_its_node_ends_the_server_and_is_named(
    world: World, cluster: Cluster, over_nodes: RayCluster
) -> None:
    load: dict[str, Any] = {"users": [2, 4], "mode": "steady", "warm_up_s": 0.5, "duration_s": 6.0}
    with running_sweep(world, write_profile(world.root, profile_of(cluster, **load))) as run:
        wait_for_mid_cell(world, run, 2)
        workers(cluster)[-1].send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=200)
    # Launched again over both nodes, on which the cell is measured once more, since it was no fault of its load.
    assert {cell["outcome"] for cell in cells_of(output).values()} <= MEASURED, errors
    told = events_of(world)
    assert any("A worker of the server died on its node" in text for text in told)
    assert any("engine-dead: RayWorkerProc rank=[" in text for text in told)
    assert told.count("nothing of it is left on the cluster's 2 nodes") == 2


@pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake libnvidia-ml")
def test_the_memory_of_its_workers_is_the_servers(world: World, cluster: Cluster, over_nodes: RayCluster) -> None:
    situation = world.root / "situation"
    situation.write_text("eight")
    world.env |= {"LD_LIBRARY_PATH": str(build(world.root)), "FAKE_NVML": str(situation)}
    load: dict[str, Any] = {"users": [2], "mode": "steady", "duration_s": 60.0}
    with running_sweep(world, write_profile(world.root, profile_of(cluster, **load))) as run:
        wait_for_mid_cell(world, run, 2)
        # They are children of Ray's own daemon, of which only Ray says that they are the server's.
        held = [one.pid for one in workers(cluster)]
        assert len(held) == 4
        situation.write_text(" ".join(["eight", *map(str, held), "1"]))
        told = asyncio.run(memory_told(world))
        assert told == [30 * 2**30] * 4 + [0] * 4
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=200)


async def memory_told(world: World) -> list[int | None]:
    """Return what the server holds of each card, once it holds something of the first."""
    link = await BenchLink.connect(world.sockets[0], read_only=True)
    try:
        async with asyncio.timeout(60):
            async for seen in link.snapshots():
                if seen.gpus and seen.gpus[0].vram_server_bytes:
                    return [gpu.vram_server_bytes for gpu in seen.gpus]
    finally:
        await link.close()
    raise AssertionError("the bench has ended")


@pytest.mark.parametrize("who", ["bench", "server"])
def test_what_is_killed_leaves_nothing_on_any_node(
    world: World, cluster: Cluster, over_nodes: RayCluster, who: str
) -> None:
    load: dict[str, Any] = {"users": [2], "mode": "steady", "warm_up_s": 0.5, "duration_s": 8.0}
    with running_sweep(world, write_profile(world.root, profile_of(cluster, **load))) as run:
        server = wait_for_mid_cell(world, run, 2)
        assert server.nodes and sum(server.nodes.values()) == 4
        victim = world.running("tui.bench")[0] if who == "bench" else process_of(server)
        victim.send_signal(signal.SIGKILL)
        if who == "bench":
            world.wait_until_empty()
            wait_until_free(over_nodes)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=200)
    wait_until_free(over_nodes)
    assert workers(cluster) == []
