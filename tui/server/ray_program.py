"""Asks a Ray cluster what it has and what of a launch is on it, or takes away what is left: a program of its own.

    PYTHON ray_program.py state|release ADDRESS KEY MARK

It runs in the environment of the server that is launched, whose Ray is the cluster's, and so imports nothing of vramp;
any Python from 3.9 will do. Asked is the cluster's own store (GCS), as `ray status` does: no worker is started, and no
job begins, as by `ray.nodes()`; `ray.util.state` would ask the dashboard, which need not run. Prints one line of JSON;
{"error": why} where the cluster cannot be asked.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

# The folder of this program has modules of vramp's, which must not stand before Ray's own.
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
sys.path[:] = [place for place in sys.path if os.path.abspath(place) != _HERE]  # noqa: PTH100
DEAD = "DEAD"
KNOWN = "2.44 to 2.60"
"""The versions of Ray that this was tried on."""


class Cluster:
    """The store of a cluster."""

    def __init__(self, address: str) -> None:
        self.gcs: Any = importlib.import_module("ray.core.generated.gcs_pb2")
        services: Any = importlib.import_module("ray._private.services")
        state: Any = importlib.import_module("ray._private.state")
        raylet: Any = importlib.import_module("ray._raylet")
        self.address: str = services.canonicalize_bootstrap_address_or_die(address)
        options = raylet.GcsClientOptions.create(self.address, None, True, True)
        self._state: Any = state.GlobalState()
        self._state._initialize_global_state(options)
        self.store: Any = raylet.GlobalStateAccessor(options)
        if not self.store.connect():
            raise ConnectionError(f"no Ray cluster answers at {self.address}")

    def nodes(self) -> list[dict[str, object]]:
        """Return the nodes that live, with their GPUs."""
        free = self._state.available_resources_per_node()
        found = []
        for node in self._state.node_table():
            if node.get("Alive", node.get("alive")):
                name = node["NodeID"]
                ip, gpus = node["NodeManagerAddress"], node.get("Resources", {}).get("GPU", 0.0)
                unused = free.get(name, {}).get("GPU", 0.0)
                found.append({"node": name, "ip": ip, "gpus": gpus, "free_gpus": unused})
        return found

    def jobs_of(self, key: str, mark: str) -> set[bytes]:
        """Return the jobs that bear the mark, those that are over included."""
        tables = self.store.get_job_table(skip_submission_job_info_field=True, skip_is_running_tasks_field=True)
        jobs = map(self.gcs.JobTableData.FromString, tables)
        return {job.job_id for job in jobs if job.config.metadata.get(key) == mark}

    def actors_of(self, jobs: set[bytes]) -> list[dict[str, object]]:
        """Return the actors of jobs that are not dead."""
        named = self.gcs.ActorTableData.ActorState.DESCRIPTOR.values_by_number
        actors = map(self.gcs.ActorTableData.FromString, self.store.get_actor_table(None, None))
        return [
            {
                "name": actor.name or actor.class_name,
                "pid": actor.pid,
                "node": node_of(actor.address),
                "ip": actor.address.ip_address,
                "state": named[actor.state].name,
            }
            for actor in actors
            if actor.job_id in jobs and named[actor.state].name != DEAD
        ]

    def groups_of(self, jobs: set[bytes]) -> list[dict[str, object]]:
        """Return the placement groups of jobs that hold resources, or wait for them."""
        groups = map(self.gcs.PlacementGroupTableData.FromString, self.store.get_placement_group_table())
        return [
            {
                "group": group.placement_group_id.hex(),
                "gpus": [
                    {"node": bundle.node_id.hex(), "gpus": dict(bundle.unit_resources).get("GPU", 0.0)}
                    for bundle in group.bundles
                ],
            }
            for group in groups
            if group.creator_job_id in jobs and group.state != self.gcs.PlacementGroupTableData.REMOVED
        ]


def release(address: str, groups: list[dict[str, object]]) -> None:
    """Remove placement groups, which ends the actors in them."""
    ray: Any = importlib.import_module("ray")
    placement: Any = importlib.import_module("ray.util.placement_group")
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    for group in groups:
        group_id = ray.PlacementGroupID(bytes.fromhex(str(group["group"])))
        placement.remove_placement_group(placement.PlacementGroup(group_id))
    ray.shutdown()


def node_of(address: Any) -> str:
    """Return the node of an actor's address, which 2.44 calls its raylet."""
    node: bytes = address.node_id if hasattr(address, "node_id") else address.raylet_id
    return node.hex()


def of_ray() -> str:
    """Return which Ray this is."""
    return f"Ray {getattr(sys.modules['ray'], '__version__', 'of an unknown version')}"


def main() -> None:
    """Answer."""
    what, address, key, mark = sys.argv[1:]
    # What Ray has to say goes to stderr, its own printing included.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    told: dict[str, object]
    try:
        cluster = Cluster(address)
        jobs = cluster.jobs_of(key, mark)
        groups = cluster.groups_of(jobs)
        if what == "release" and groups:
            release(cluster.address, groups)
        told = {
            "address": cluster.address,
            "nodes": cluster.nodes(),
            "jobs": len(jobs),
            "actors": cluster.actors_of(jobs),
            "groups": cluster.groups_of(jobs),
        }
    except BaseException as error:  # a Ray without a cluster ends the process, some by SystemExit
        why = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        # Ray is asked by what it has for itself, which another version may call or keep otherwise.
        strange = isinstance(error, (AttributeError, TypeError, ImportError)) and "ray" in sys.modules
        told = {"error": f"{of_ray()} keeps its state otherwise than {KNOWN} do: {why}" if strange else why}
    answers.write(json.dumps(told) + "\n")
    answers.flush()
    os._exit(0)  # threads of Ray's may not end by themselves


if __name__ == "__main__":
    main()
