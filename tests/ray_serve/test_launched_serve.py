"""Ray Serve launched by vramp, on this machine and over the two nodes of a real cluster: measured, stopped, killed.

What makes the tokens stands in for `ray.serve.llm` (`llm_standin`); Ray, Serve, its controller and its log are real.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import MEASURED, cells_of, process_of, running_sweep, sweep, wait_for_mid_cell, write_profile
from tests.ray_serve.conftest import PYTHON, Cluster, joined
from tui.core.errors import ExitCode
from tui.preflight import Machine, preflight
from tui.profile.schema import Profile
from tui.server.ray_cluster import ClusterState, RayCluster
from tui.server.tree import descendants
from tui.session.reader import SessionReader

STANDIN = Path(__file__).parent / "llm_standin"
START_S = 200.0
GONE_S = 40.0
SERVES = "import ray, sys; from ray import serve; ray.init(address=sys.argv[1]); serve.start(proxy_location='Disabled')"
ENDS = "import ray, sys; from ray import serve; ray.init(address=sys.argv[1]); serve.shutdown()"
KEPT = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", namespace=b"serve"))
"""


@pytest.fixture
def free_cluster(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    """Give a world the cluster's environment; when it is done nothing of Serve is left on any node."""
    asked = joined(world, cluster, PYTHON, monkeypatch)
    before = asked.state()
    assert (len(before.nodes), before.free_gpus, before.serves) == (2, 4, False)
    yield asked
    wait_until_free(asked, cluster)


def wait_until_free(asked: RayCluster, cluster: Cluster) -> ClusterState:
    """Wait until Ray knows of nothing, and no process of it is there."""
    by = time.monotonic() + GONE_S
    while (state := asked.state()).free_gpus < state.gpus or state.serves or of_serve(cluster):
        assert time.monotonic() < by, (state, [one.cmdline() for one in of_serve(cluster)])
    return state


def of_serve(cluster: Cluster) -> list[psutil.Process]:
    """Return the actors of Serve, and our caretaker, that run on the cluster's nodes."""
    found = []
    for one in descendants(cluster.tree.pid):
        try:
            words = "".join(one.cmdline())
        except psutil.Error:
            continue
        if words.startswith(("ray::Serve", "ray::Proxy", "ray::Caretaker", "ray::LLM")):
            found.append(one)
    return found


def profile_of(
    cluster: Cluster | None, *, replicas: int = 2, args: dict[str, Any] | None = None, **load: Any
) -> Profile:
    """Return one with two GPUs for each replica; on this machine alone, which has none, without any."""
    return _profile_of(cluster, replicas, {"tensor-parallel-size": 2, **(args or {})}, cpu=cluster is None, load=load)


def _profile_of(
    cluster: Cluster | None, replicas: int, args: dict[str, Any], *, cpu: bool, load: dict[str, Any]
) -> Profile:
    server: dict[str, Any] = {
        "model": "tiny",
        "executable": [str(PYTHON)],
        "args": args,
        "env": {"PYTHONPATH": str(STANDIN), **({"VLLM_CPU_KVCACHE_SPACE": "1"} if cpu else {})},
        "serve": {"replicas": replicas},
    }
    if cluster is not None:
        server["ray"] = {"address": cluster.address}
    table = {"users": [2], "prompt_tokens": [31], "output_tokens": 20, "mode": "burst", **load}
    return Profile.model_validate({"name": "served", "engine": "ray-serve", "server": server, "load": table})


def steady(cluster: Cluster | None) -> Profile:
    return profile_of(cluster, mode="steady", warm_up_s=0.5, duration_s=10.0)


def events_of(world: World) -> list[str]:
    with SessionReader(world.session_files[-1]) as reader:
        return [event.text for event in reader.events()]


def test_it_is_placed_on_both_nodes_measured_and_gone_from_both(
    world: World, cluster: Cluster, free_cluster: RayCluster
) -> None:
    profile = profile_of(cluster)
    assert preflight(profile, Machine()).ready
    cells = sweep(world, write_profile(world.root, profile), timeout_s=START_S)
    assert cells[2, 31]["outcome"] in MEASURED and cells[2, 31]["requests_ok"] == 2
    told = events_of(world)
    (held,) = (text for text in told if text.startswith("it holds "))
    assert "2 GPUs of " in held and ", 2 of " in held
    assert "nothing of it is left on the cluster's 2 nodes" in told
    assert not any("Ray is told to end what is left" in text for text in told)
    assert free_cluster.state().free_gpus == 4 and of_serve(cluster) == []
    with SessionReader(world.session_files[-1]) as reader:
        assert reader.server is not None
        stages = {stage.name: stage.seconds for stage in reader.server.stages}
    assert all(stages[name] is not None for name in ("Ray Serve up", "replicas on their nodes", "loading weights"))


def test_on_this_machine_alone_it_brings_its_own_ray(world: World, cluster: Cluster) -> None:
    world.env |= {name: value for name, value in cluster.env.items() if name != "HOME"}
    # A cluster that is there is left alone.
    world.env["RAY_ADDRESS"] = cluster.address
    profile = profile_of(None, replicas=1)
    cells = sweep(world, write_profile(world.root, profile), timeout_s=START_S)
    assert cells[2, 31]["outcome"] in MEASURED and cells[2, 31]["requests_ok"] == 2
    assert any(text.startswith("stopped in ") and text.endswith("nothing of it is left") for text in events_of(world))
    world.wait_until_empty()
    assert of_serve(cluster) == []


def test_an_engine_that_cannot_start_ends_the_launch_with_its_reason(
    world: World, cluster: Cluster, free_cluster: RayCluster
) -> None:
    reason = "To serve at least one request with the models's max seq len (512), (0.5 GiB KV cache is needed, which is"
    reason += " larger than the available KV cache memory (0.1 GiB)."
    done = world.run(
        "run", str(write_profile(world.root, profile_of(cluster, args={"fail": reason}))), timeout_s=START_S
    )
    assert done.returncode == ExitCode.SERVER_UNAVAILABLE, done.stderr
    assert "KV cache" in done.stderr and "max-model-len" in done.stderr, done.stderr
    assert "nothing of it is left on the cluster's 2 nodes" in events_of(world)


def test_a_cluster_that_serves_already_is_left_alone(world: World, cluster: Cluster, free_cluster: RayCluster) -> None:
    subprocess.run([PYTHON, "-c", SERVES, cluster.address], check=True, timeout=START_S, capture_output=True)
    try:
        profile = profile_of(cluster)
        assert any("has a Ray Serve already" in line for line in preflight(profile, Machine()).missing)
        done = world.run("run", str(write_profile(world.root, profile)), timeout_s=START_S)
        assert done.returncode == ExitCode.SERVER_UNAVAILABLE
        assert "has a Ray Serve already" in done.stderr and "Attach to it" in done.stderr
        assert free_cluster.state().serves
    finally:
        subprocess.run([PYTHON, "-c", ENDS, cluster.address], check=True, timeout=START_S, capture_output=True)


def test_a_replica_for_which_no_node_has_room_is_told_at_once(
    world: World, cluster: Cluster, free_cluster: RayCluster
) -> None:
    # The GPUs are there; there are no CPUs for so many replicas.
    profile = _profile_of(cluster, 5, {}, cpu=True, load={"users": [1], "prompt_tokens": [31]})
    began = time.monotonic()
    done = world.run("run", str(write_profile(world.root, profile)), timeout_s=START_S)
    assert done.returncode == ExitCode.SERVER_UNAVAILABLE
    assert "The cluster has no room for a replica" in done.stderr, done.stderr
    assert time.monotonic() - began < START_S


@pytest.mark.parametrize("who", ["bench", "guardian", "server", "all"])
def test_what_is_killed_leaves_nothing_on_any_node(
    world: World, cluster: Cluster, free_cluster: RayCluster, who: str
) -> None:
    with running_sweep(world, write_profile(world.root, steady(cluster))) as run:
        server = wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        assert server.nodes and sum(server.nodes.values()) == 4 and len(of_serve(cluster)) > 4
        victims = {
            "bench": world.running("tui.bench"),
            "guardian": world.running("tui.server.guardian"),
            "server": [process_of(server)],
        }
        victims["all"] = [*victims["guardian"], *world.running("tui.server.watcher"), *victims["server"]]
        victims["all"] += victims["bench"]
        for victim in victims[who]:
            victim.send_signal(signal.SIGKILL)
        if who in ("bench", "all"):
            wait_until_free(free_cluster, cluster)
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=START_S)
    wait_until_free(free_cluster, cluster)
    # Else the next Serve on the cluster would bring the application back.
    kept = subprocess.run([PYTHON, "-c", KEPT, cluster.address], check=True, timeout=GONE_S, capture_output=True)
    assert kept.stdout.strip() == b"[]"
    if who in ("bench", "all"):
        return
    told = events_of(world)
    assert any(text.startswith("nothing of it is left on the cluster's") for text in told), (errors, told)
    assert cells_of(output) is not None


def test_a_sweep_outlives_the_death_of_all_engines(world: World, cluster: Cluster, free_cluster: RayCluster) -> None:
    profile = profile_of(cluster, users=[2, 4], mode="steady", warm_up_s=0.5, duration_s=10.0)
    with running_sweep(world, write_profile(world.root, profile)) as run:
        wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        engines = [one for one in of_serve(cluster) if "LLMServer" in "".join(one.cmdline())]
        assert len(engines) == 2
        for engine in engines:
            engine.send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=2 * START_S)
    # Requests hang or fail until Serve has others, or until it is launched anew, whichever comes first.
    cells = cells_of(output)
    assert cells[4, 31]["outcome"] in MEASURED, (errors, events_of(world))
    assert cells[2, 31]["outcome"] in MEASURED or cells[2, 31]["evidence"]


def test_a_ray_of_its_own_goes_with_its_keepers(world: World, cluster: Cluster) -> None:
    world.env |= {name: value for name, value in cluster.env.items() if name != "HOME"}
    profile = profile_of(None, replicas=1, mode="steady", duration_s=10.0)
    with running_sweep(world, write_profile(world.root, profile)) as run:
        wait_for_mid_cell(world, run, 2, timeout_s=START_S)
        for word in ("tui.bench", "tui.server.guardian", "tui.server.watcher"):
            for victim in world.running(word):
                victim.send_signal(signal.SIGKILL)
        run.communicate(timeout=START_S)
    world.wait_until_empty()
