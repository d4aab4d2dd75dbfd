"""A real vLLM over two nodes of a real Ray cluster. The nodes share the one card; NCCL joins them by sockets, as two
hosts.
"""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import running_sweep, wait_for_mid_cell
from tests.gpu.card import GIB, Card, Record
from tests.gpu.conftest import ENVIRONMENT, MISTRAL_BYTES, run, server_table, write_profile
from tests.ray_serve.conftest import CLUSTER, Cluster, joined, standing
from tests.ray_serve.test_over_nodes import events_of, wait_until_free, workers
from tui.server.ray_cluster import RayCluster
from tui.session.reader import SessionReader

PYTHON = next(
    (one for one in (ENVIRONMENT / "bin" / "python-vllm", ENVIRONMENT / "bin" / "python") if one.exists()), None
)
KV_BYTES = 4 * GIB
SAME = 0.02


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a cluster whose two nodes have the card each, and end it; nothing may be left of it."""
    if PYTHON is None or not [*ENVIRONMENT.glob("**/ray/cluster_utils.py")]:
        pytest.skip("this vLLM has no Ray")
    with standing(CLUSTER, tmp_path_factory.mktemp("cluster"), "1", python=PYTHON) as (said, process, env):
        yield Cluster(said.removeprefix("READY "), process, env)


@pytest.fixture
def over_nodes(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> RayCluster:
    """Give a world the cluster's environment."""
    assert PYTHON is not None
    asked = joined(world, cluster, PYTHON, monkeypatch)
    assert [node.free_gpus for node in asked.state().nodes] == [1, 1]
    return asked


def profile_of(world: World, cluster: Cluster, model: str, **load: Any) -> str:
    args = {"pipeline-parallel-size": 2, "kv-cache-memory-bytes": KV_BYTES, "gpu-memory-utilization": 0.4}
    server = {**server_table(model, args), "ray": {"address": cluster.address}}
    server["executable"] = [str(PYTHON), "-m", "vllm.entrypoints.cli.main", "serve"]
    server["env"] = {name: value for name, value in server["env"].items() if name != "VLLM_HOST_IP"}
    del server["gpus"]  # they are Ray's to give
    return write_profile(world, "over-nodes", server, **load)


def test_a_layer_half_on_each_node(world: World, card: Card, cluster: Cluster, over_nodes: RayCluster) -> None:
    before = card.used_bytes
    load = {"users": [8, 32], "prompt_tokens": [296], "mode": "steady", "warm_up_s": 2.0, "duration_s": 8.0}
    with Record(card) as record:
        cells = run(world, profile_of(world, cluster, "mistral-7b", **load))
    for cell in cells:
        assert cell["outcome"] == "ok", cell
        produced = cell["tokens_per_s_total"] * cell["duration_s"]
        assert produced == pytest.approx(cell["server_output_tokens"], rel=SAME)
    told = events_of(world)
    (said,) = (text for text in told if text.startswith("it holds "))
    assert said.count("1 GPU of ") == 1 and said.count(", 1 of ") == 1
    assert "nothing of it is left on the cluster's 2 nodes" in told
    with SessionReader(world.session_files[-1]) as reader:
        assert reader.server is not None
        stages = {stage.name: stage.seconds for stage in reader.server.stages}
    assert stages["workers on their nodes"] and stages["loading weights"]
    with (world.root / "out" / "gpus.csv").open(newline="") as file:
        held = [int(row["vram_server_bytes"]) for row in csv.DictReader(file) if row["vram_server_bytes"]]
    assert held, "whose memory it is was never told"
    assert held[-1] == pytest.approx(max(sum(look.processes.values()) for look in record.looks), rel=SAME)
    assert held[-1] > MISTRAL_BYTES + 2 * KV_BYTES
    wait_until_free(over_nodes)
    card.wait_until_back(before)


@pytest.mark.parametrize("who", ["bench", "worker"])
def test_what_is_killed_leaves_nothing_on_the_card(
    who: str, world: World, card: Card, cluster: Cluster, over_nodes: RayCluster
) -> None:
    before = card.used_bytes
    load = {"users": [4], "prompt_tokens": [31], "mode": "steady", "warm_up_s": 0.5, "duration_s": 10.0}
    with running_sweep(world, Path(profile_of(world, cluster, "tiny", **load))) as run:
        wait_for_mid_cell(world, run, 4, timeout_s=200.0)
        pids = {process.pid for process in workers(cluster)}
        assert len(pids) == 2 and pids <= set(card.processes)
        if who == "bench":
            world.running("tui.bench")[0].kill()
            world.wait_until_empty()
            wait_until_free(over_nodes)
            run.send_signal(signal.SIGINT)
        else:
            workers(cluster)[-1].kill()
        run.communicate(timeout=300)
    assert pids.isdisjoint(card.processes)
    if who == "worker":
        told = events_of(world)
        # Its peer may tell of it before Ray does.
        words = ("A worker of the server died on its node", "A worker process of vLLM lost another")
        assert any(word in text for text in told for word in words), told
        assert told.count("nothing of it is left on the cluster's 2 nodes") == 2
    wait_until_free(over_nodes)
    card.wait_until_back(before)
