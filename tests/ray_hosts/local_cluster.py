"""A Ray cluster of two nodes, both on this machine: `python local_cluster.py`, by the Python of the environment.

It says READY and its address; a line "remove" takes the second node away, "add" brings another; it ends with its input.
"""

from __future__ import annotations

import os
import sys

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main() -> None:
    """Run until the input ends."""
    client_port = int(os.environ["CLIENT_PORT"])
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES, "ray_client_server_port": client_port},
    )
    second = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    print("READY", cluster.address, flush=True)  # noqa: T201
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(second, allow_graceful=False)
        elif line.strip() == "add":
            second = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        print("DONE", line.strip(), flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
