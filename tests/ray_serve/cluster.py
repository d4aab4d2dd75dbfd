"""A Ray cluster of two nodes here, with GPUs that they only say they have: `python cluster.py GPUS`, of each.

It says READY and its address once it is up, and goes on until it is interrupted.
"""

import signal
import sys
import threading

import ray
from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main(gpus: int) -> None:
    """Stand until interrupted."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    cluster = Cluster()
    # NCCL refuses to use one card twice on a host: where the nodes share one, it is to take them for two hosts.
    hosts = [{"NCCL_HOSTID": name} for name in ("one", "two")]
    more = {"num_cpus": 2, "num_gpus": gpus, "object_store_memory": STORE_BYTES}
    cluster.add_node(include_dashboard=False, env_vars=hosts[0], **more)
    cluster.add_node(env_vars=hosts[1], **more)
    cluster.wait_for_nodes()
    print("READY", cluster.address, flush=True)  # noqa: T201
    ended.wait()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
