"""A real Ray Serve on a cluster of two nodes, both on this machine, with an app of ours: `make test-ray`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil
import pytest

from tests.e2e.conftest import World, world
from tui.server.ray_cluster import RayCluster
from tui.server.readiness import free_port
from tui.server.tree import descendants, living

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_RAY", Path(__file__).parents[2] / ".venv-ray"))
PYTHON = ENVIRONMENT / "bin" / "python"
APP = Path(__file__).parent / "app.py"
CLUSTER = Path(__file__).parent / "cluster.py"
BOTH = Path(os.environ.get("VRAMP_TEST_RAY_VLLM", Path(__file__).parents[2] / ".venv-ray-vllm"))
PYTHON_WITH_VLLM = BOTH / "bin" / "python"
VLLM_APP = Path(__file__).parent / "vllm_app.py"
MODEL = Path(os.environ.get("VRAMP_TEST_VLLM", Path(__file__).parents[2] / ".venv-vllm")) / "tiny-model"
START_S = 240.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            with_vllm = {"ray_with_vllm", "cluster_with_vllm"} & {*getattr(item, "fixturenames", ())}
            item.add_marker(pytest.mark.timeout((4 if with_vllm else 2) * START_S))
            python, target = (PYTHON_WITH_VLLM, "test-ray-vllm") if with_vllm else (PYTHON, "test-ray")
            if not python.exists():
                item.add_marker(pytest.mark.skip(reason=f"no {python}; run: make {target}"))


@dataclass
class RayServe:
    """A cluster with the app on it."""

    url: str
    tree: Program

    def replica(self, name: str) -> psutil.Process:
        """Return the process of a deployment's replica, as Ray calls it: "ray::ServeReplica:llm:Engine"."""
        return self.process(f"ray::ServeReplica:llm:{name}")

    def process(self, title: str) -> psutil.Process:
        """Return the process whose command line begins so."""
        return next(one for one in descendants(self.tree.pid) if "".join(one.cmdline()).startswith(title))


ENVIRON = {
    "RAY_AUTH_MODE": "disabled",
    # What it calls a cluster of Windows or macOS is one on the loopback address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONUNBUFFERED": "1",
}
CPU_OVER_RAY = {**ENVIRON, "VRAMP_TEST_CPU_OVER_RAY": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


@pytest.fixture(scope="module")
def ray_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayServe]:
    """Start the cluster and the app, and end both; nothing may be left of them."""
    port = free_port("127.0.0.1")
    with standing(APP, tmp_path_factory.mktemp("ray"), str(port)) as (said, process, _):
        assert said == "READY 2"
        yield RayServe(f"http://127.0.0.1:{port}", process)


@pytest.fixture(scope="module")
def ray_with_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayServe]:
    """Start a real vLLM behind a Ray Serve, and end both; nothing may be left of them."""
    port, folder = free_port("127.0.0.1"), tmp_path_factory.mktemp("ray")
    with standing(VLLM_APP, folder, str(port), str(MODEL), python=PYTHON_WITH_VLLM) as (said, process, _):
        assert said == "READY 1"
        yield RayServe(f"http://127.0.0.1:{port}", process)


@dataclass
class Cluster:
    """A cluster of two nodes with GPUs, so it says."""

    address: str
    tree: psutil.Process
    env: dict[str, str]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a cluster with two GPUs a node, and end it; nothing may be left of it."""
    with standing(CLUSTER, tmp_path_factory.mktemp("cluster"), "2") as (said, process, env):
        yield Cluster(said.removeprefix("READY "), process, env)


@pytest.fixture(scope="module")
def cluster_with_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a cluster with a GPU a node, for which a real vLLM takes the CPU, and end it; nothing may be left of it."""
    folder = tmp_path_factory.mktemp("cluster")
    with standing(CLUSTER, folder, "1", python=PYTHON_WITH_VLLM, env=CPU_OVER_RAY) as (said, process, env):
        yield Cluster(said.removeprefix("READY "), process, env)


def joined(world: World, cluster: Cluster, python: Path, monkeypatch: pytest.MonkeyPatch) -> RayCluster:
    """Give a world, and this process, the environment of a cluster; return the cluster as it is asked by a Python."""
    env = {name: value for name, value in cluster.env.items() if name != "HOME"}
    world.env |= env
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return RayCluster([str(python)], cluster.address)


class Program(psutil.Process):
    """A program that stands while tests run: it says what it is about, and does what it is told."""

    def __init__(self, started: subprocess.Popen[bytes]) -> None:
        super().__init__(started.pid)
        self._started = started
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        # Nobody is to wait for a full pipe: the words of Ray's workers come by it.
        self._reader = threading.Thread(target=self._read_on)
        self._reader.start()

    def until(self, start: str) -> str:
        """Return the next line that begins so. Raises AssertionError with all that came until its end, or too long."""
        until_s, said = time.monotonic() + START_S, ""
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left_s)
            except Empty:
                break
            if not line:
                break
            said += line.decode(errors="replace")
            if line.startswith(start.encode()):
                return line.decode().strip()
        raise AssertionError(said)

    def do(self, word: str) -> None:
        """Have it do what it knows by a word."""
        assert self._started.stdin is not None
        self._started.stdin.write(f"{word}\n".encode())
        self._started.stdin.flush()
        self.until(f"DONE {word}")

    def end(self) -> list[psutil.Process]:
        """End it by the end of its input; return what was left of its processes, which is killed."""
        assert self._started.stdin is not None and self._started.stdout is not None
        tree = descendants(self.pid)
        self._started.stdin.close()
        try:
            self._started.wait(60)
        finally:
            # A zombie runs no more: whoever inherited it may be slow to read its exit status.
            left = living(psutil.wait_procs(tree, timeout=10)[1])
            for one in left:
                one.kill()
            self._started.kill()
            self._started.wait()
        self._reader.join()
        self._started.stdout.close()
        return left

    def _read_on(self) -> None:
        assert self._started.stdout is not None
        for line in self._started.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@contextmanager
def standing(
    program: Path, folder: Path, *arguments: str, python: Path = PYTHON, env: Mapping[str, str] = ENVIRON
) -> Iterator[tuple[str, Program, dict[str, str]]]:
    """Run a program of Ray's environment until the block ends; what it said, itself, and its environment."""
    log = folder / "log.txt"
    # Short, since its sockets' paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="vr") as home, log.open("wb") as file:
        env = {**env, "HOME": home, "RAY_TMPDIR": home}
        started = Program(
            subprocess.Popen(
                [python, program, *arguments],
                # Ray looks for its own programs there.
                env={**os.environ, **env, "PATH": f"{python.parent}:{os.environ['PATH']}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        )
        try:
            try:
                said = started.until("READY")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from None
            yield said, started, env
        finally:
            left = started.end()
        assert left == [], left
