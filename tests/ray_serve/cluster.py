"""A Ray cluster of two nodes here, with GPUs that they only say they have: `python cluster.py GPUS [CLIENT_PORT]`.

GPUS is of each node; with a port, Ray Client connects there. It says READY and its address once it is up; a line
"remove" takes the second node away, "add" brings another. It ends with its input.
"""

import signal
import sys

import ray
from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main(gpus: int, client_port: int | None) -> None:
    """Stand until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as ignored, their children would inherit it
    cluster = Cluster()
    # NCCL refuses to use one card twice on a host: where the nodes share one, it is to take them for two hosts.
    hosts = [{"NCCL_HOSTID": name} for name in ("one", "two")]
    more = {"num_cpus": 2, "num_gpus": gpus, "object_store_memory": STORE_BYTES}
    head = {} if client_port is None else {"ray_client_server_port": client_port}
    cluster.add_node(include_dashboard=False, env_vars=hosts[0], **more, **head)
    second = cluster.add_node(env_vars=hosts[1], **more)
    cluster.wait_for_nodes()
    print("READY", cluster.address, flush=True)  # noqa: T201
    for line in sys.stdin:
        if line == "remove\n":
            cluster.remove_node(second, allow_graceful=False)
        elif line == "add\n":
            second = cluster.add_node(env_vars=hosts[1], **more)
        print("DONE", line.strip(), flush=True)  # noqa: T201
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
