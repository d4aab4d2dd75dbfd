"""Asks a Ray cluster what it has and what of a launch is on it, or takes away what is left: a program of its own.

    PYTHON ray_program.py state|release ADDRESS KEY MARK

Another program of that environment (`serve_program`) uses its parts.

It runs in the environment of the server that is launched, whose Ray is the cluster's, and so imports nothing of vramp;
any Python from 3.9 will do. Asked is the cluster's own store (GCS), as `ray status` does: no worker is started, and no
job begins, as by `ray.nodes()`; `ray.util.state` would ask the dashboard, which need not run. Prints one line of JSON;
{"error": why} where the cluster cannot be asked.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Container, Iterable
from typing import Any

# The folder of this program has modules of vramp's, which must not stand before Ray's own.
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
sys.path[:] = [place for place in sys.path if os.path.abspath(place) != _HERE]  # noqa: PTH100
DEAD = "DEAD"
CONTROLLER, SERVE = "SERVE_CONTROLLER_ACTOR", "serve"
"""Of Ray Serve, of which a cluster has one: the actor that starts and restarts all others, and their namespace."""
HEAD = "node:__internal_head__"
"""A resource that only the head has."""
RELEASE_S = 15.0
PAUSE_S = 0.3
KNOWN = "2.44 to 2.60"
"""The versions of Ray that this was tried on."""


class Cluster:
    """The store of a cluster."""

    def __init__(self, address: str) -> None:
        """`address`: as Ray has it itself, with a number for its host."""
        self.gcs: Any = importlib.import_module("ray.core.generated.gcs_pb2")
        state: Any = importlib.import_module("ray._private.state")
        raylet: Any = importlib.import_module("ray._raylet")
        self.address = address
        options = raylet.GcsClientOptions.create(address, None, True, True)
        self._state: Any = state.GlobalState()
        self._state._initialize_global_state(options)
        self.store: Any = raylet.GlobalStateAccessor(options)
        if not self.store.connect():
            raise ConnectionError(f"no Ray cluster answers at {self.address}")

    def nodes(self) -> list[dict[str, object]]:
        """Return the nodes that live, with their GPUs."""
        free = self._state.available_resources_per_node()
        found = []
        for node in self._living():
            name = node["NodeID"]
            ip, gpus = node["NodeManagerAddress"], node.get("Resources", {}).get("GPU", 0.0)
            unused = free.get(name, {}).get("GPU", 0.0)
            found.append({"node": name, "ip": ip, "gpus": gpus, "free_gpus": unused})
        return found

    def _living(self) -> list[dict[str, Any]]:
        return [node for node in self._state.node_table() if node.get("Alive", node.get("alive"))]

    def head(self) -> str:
        """Return the node on which the store itself is."""
        return next(str(node["NodeID"]) for node in self._living() if HEAD in node.get("Resources", {}))

    def free(self) -> dict[str, float]:
        """Return what of each resource no one holds."""
        return dict(self._state.available_resources())

    def waiting(self, job_id: str) -> list[dict[str, float]]:
        """Return what a job's placement groups ask for that no node has had room for yet."""
        pending = self.gcs.PlacementGroupTableData.PENDING
        return [
            dict(bundle.unit_resources)
            for group in self._groups()
            if group.creator_job_id.hex() == job_id and group.state == pending
            for bundle in group.bundles
        ]

    def _groups(self) -> Any:
        return map(self.gcs.PlacementGroupTableData.FromString, self.store.get_placement_group_table())

    def forget_serve(self) -> None:
        """Take what Ray Serve has written down of its applications out of the store: the next one would bring them back
        where the last one was not shut down by itself."""
        store: Any = importlib.import_module("ray._raylet").GcsClient(address=self.address)
        store.internal_kv_del(b"ray-serve-", True, namespace=SERVE.encode(), timeout=RELEASE_S)

    def jobs_of(self, key: str, mark: str) -> dict[bytes, Any]:
        """Return the jobs that bear the mark, those that are over included, by their ids."""
        return {job.job_id: job for job in self._jobs() if job.config.metadata.get(key) == mark}

    def runs(self, job_id: str) -> bool:
        """Say whether a job, by its id in hexadecimal, goes on."""
        return any(job.job_id.hex() == job_id and not job.is_dead for job in self._jobs())

    def _jobs(self) -> Any:
        tables = self.store.get_job_table(skip_submission_job_info_field=True, skip_is_running_tasks_field=True)
        return map(self.gcs.JobTableData.FromString, tables)

    def actors_of(self, jobs: Container[bytes] | None = None) -> list[Any]:
        """Return the actors of jobs, or of all, that are not dead."""
        named = self.gcs.ActorTableData.ActorState.DESCRIPTOR.values_by_number
        actors = map(self.gcs.ActorTableData.FromString, self.store.get_actor_table(None, None))
        return [actor for actor in actors if (jobs is None or actor.job_id in jobs) and named[actor.state].name != DEAD]

    def groups_of(self, jobs: Container[bytes]) -> list[dict[str, object]]:
        """Return the placement groups of jobs that hold resources, or wait for them."""
        return [
            {
                "group": group.placement_group_id.hex(),
                "gpus": [
                    {"node": bundle.node_id.hex(), "gpus": dict(bundle.unit_resources).get("GPU", 0.0)}
                    for bundle in group.bundles
                ],
            }
            for group in self._groups()
            if group.creator_job_id in jobs and group.state != self.gcs.PlacementGroupTableData.REMOVED
        ]


def release(cluster: Cluster, key: str, mark: str, but: str = "") -> None:
    """Take away what bears a mark, until nothing is left, or for RELEASE_S. This process is to be connected to Ray.

    Placement groups, which ends the actors in them; named actors, which may outlive their job, `but` this one. An actor
    without a name ends with its owner.
    """
    ray: Any = importlib.import_module("ray")
    placement: Any = importlib.import_module("ray.util.placement_group")
    by = time.monotonic() + RELEASE_S
    served = False
    while time.monotonic() < by:
        jobs = cluster.jobs_of(key, mark)
        groups = cluster.groups_of(jobs)
        actors = [actor for actor in cluster.actors_of(jobs) if not but or actor.name != but]
        served = served or any(actor.ray_namespace == SERVE for actor in actors)
        if not groups and not actors:
            break
        for actor in sorted(actors, key=lambda actor: actor.name != CONTROLLER):
            # Whatever says that it is gone already, or that Ray is at it: it is looked at again.
            with contextlib.suppress(Exception):
                if actor.name:
                    ray.kill(ray.get_actor(actor.name, namespace=actor.ray_namespace), no_restart=True)
        for group in groups:
            with contextlib.suppress(Exception):
                group_id = ray.PlacementGroupID(bytes.fromhex(str(group["group"])))
                placement.remove_placement_group(placement.PlacementGroup(group_id))
        time.sleep(PAUSE_S)
    if served:
        cluster.forget_serve()


def serves(actors: Iterable[Any]) -> bool:
    """Say whether a Ray Serve is among a cluster's actors, whoever's."""
    return any(actor.name == CONTROLLER and actor.ray_namespace == SERVE for actor in actors)


def told_of(cluster: Cluster, key: str, mark: str) -> dict[str, object]:
    """Return what the cluster has, and what bears a mark."""
    named = cluster.gcs.ActorTableData.ActorState.DESCRIPTOR.values_by_number
    jobs = cluster.jobs_of(key, mark)
    actors = cluster.actors_of()
    return {
        "address": cluster.address,
        "nodes": cluster.nodes(),
        "programs": [{"pid": job.driver_pid, "ip": job.driver_ip_address} for job in jobs.values() if not job.is_dead],
        "actors": [
            {
                "name": actor.name or actor.class_name,
                "pid": actor.pid,
                "node": node_of(actor.address),
                "ip": actor.address.ip_address,
                "state": named[actor.state].name,
            }
            for actor in actors
            if actor.job_id in jobs
        ],
        "groups": cluster.groups_of(jobs),
        "serves": serves(actors),
    }


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
        services: Any = importlib.import_module("ray._private.services")
        cluster = Cluster(services.canonicalize_bootstrap_address_or_die(address))
        if what == "release":
            ray: Any = importlib.import_module("ray")
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
            release(cluster, key, mark)
            ray.shutdown()
        told = told_of(cluster, key, mark)
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
