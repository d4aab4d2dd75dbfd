"""A Ray cluster of two nodes on this machine, each with two GPUs that it only says it has: `python cluster.py`.

It says READY and its address once it is up, and goes on until it is interrupted.
"""

import signal
import threading

import ray
from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main() -> None:
    """Stand until interrupted."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    cluster = Cluster()
    cluster.add_node(num_cpus=2, num_gpus=2, include_dashboard=False, object_store_memory=STORE_BYTES)
    cluster.add_node(num_cpus=2, num_gpus=2, object_store_memory=STORE_BYTES)
    cluster.wait_for_nodes()
    print("READY", cluster.address, flush=True)  # noqa: T201
    ended.wait()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
