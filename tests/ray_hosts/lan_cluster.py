"""A Ray cluster whose nodes are hosts of a network of their own (`tests.fakes.lan`): `ray start` on each of them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.fakes.lan import LanHost, lan
from tests.fakes.sshd import script
from tests.ray_serve.conftest import ENVIRON, PYTHON, START_S
from tui.server.ray_cluster import RayCluster

PORT, CLIENT_PORT = 6379, 10001
STORE_BYTES = 80 * 2**20
ROOT = Path(__file__).parents[2]


class LanCluster:
    """A cluster that runs; its head is on the first host."""

    def __init__(self, hosts: Sequence[LanHost], folder: Path, env: Mapping[str, str]) -> None:
        self.hosts = list(hosts)
        self._folder = folder
        self._env = {**os.environ, **env}
        self.address = f"{hosts[0].address}:{PORT}"
        self.client_address = f"ray://{hosts[0].address}:{CLIENT_PORT}"
        # Ray finds the cluster of "auto" by the node that it is on.
        self.python_on_head = script(folder / "python-on-head", f'exec {" ".join(hosts[0].within)} {PYTHON} "$@"')
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *hosts: LanHost) -> None:
        """Start the nodes on these hosts by turns: in one moment they would choose the same names for their sockets."""
        for host in hosts:
            log = self._start(host)
            until_s = time.monotonic() + START_S
            while "Ray runtime started" not in (said := log.read_text(errors="replace")):
                assert self._started[host.name].poll() is None and time.monotonic() < until_s, said
                time.sleep(0.2)

    def kill(self, host: LanHost) -> None:
        """Kill all that runs on a host in one moment, as its power does."""
        there = host.processes()
        for process in there:
            process.kill()
        psutil.wait_procs(there, timeout=10)
        self._started.pop(host.name).wait()

    def wait_until_given_up(self, host: LanHost) -> None:
        """Return once Ray takes a node for dead, half a minute after it has heard of it last."""
        asked = RayCluster([str(self.python_on_head)], self.address, self._env)
        until_s = time.monotonic() + START_S
        while host.address in {node.ip for node in asked.state().nodes}:
            assert time.monotonic() < until_s, f"{host.address} is still one of the cluster"

    def wait_until_ended(self, host: LanHost) -> None:
        """Return once a node has ended by itself, with all that ran on it."""
        self._started.pop(host.name).wait(START_S)
        psutil.wait_procs(host.processes(), timeout=START_S)

    def end(self) -> None:
        """End all nodes."""
        for started in self._started.values():
            started.terminate()
        for started in self._started.values():
            started.wait(60)

    def _start(self, host: LanHost) -> Path:
        log = self._folder / f"{host.name}.log"
        argv = [*host.within, str(PYTHON.parent / "ray"), "start", "--block", "--disable-usage-stats", "--num-cpus=2"]
        argv += [f"--node-ip-address={host.address}", f"--object-store-memory={STORE_BYTES}"]
        if host is self.hosts[0]:
            argv += ["--head", f"--port={PORT}", f"--ray-client-server-port={CLIENT_PORT}"]
            argv += ["--include-dashboard=false", f"--temp-dir={self._folder}"]
        else:
            argv.append(f"--address={self.address}")
        with log.open("wb") as file:
            self._started[host.name] = subprocess.Popen(argv, env=self._env, stdout=file, stderr=file)
        return log


@contextmanager
def lan_cluster(nodes: int, clocks_ahead_s: Sequence[int]) -> Iterator[tuple[LanCluster, dict[str, str]]]:
    """Have a cluster of so many nodes within the block, and the environment for what uses it."""
    # Short, since its sockets' paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="vr") as home:
        env = {name: value for name, value in ENVIRON.items() if name != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
        env |= {"HOME": home, "RAY_TMPDIR": home, "PYTHONPATH": str(ROOT)}
        with lan(Path(home), nodes, clocks_ahead_s=clocks_ahead_s, with_ssh=False) as hosts:
            cluster = LanCluster(hosts, Path(home), env)
            try:
                cluster.start(*hosts)
                yield cluster, {**env, "RAY_ADDRESS": cluster.address}
            finally:
                cluster.end()
