"""A real Ray cluster of two nodes, both on this machine, whose nodes users ask from: `make test-ray`."""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.fakes.sshd import free_port
from tests.ray_serve.conftest import ENVIRONMENT, PYTHON
from tui.server.tree import descendants

START_S = 240.0
ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(2 * START_S))
            if not PYTHON.exists():
                item.add_marker(pytest.mark.skip(reason=f"no {ENVIRONMENT}; run: make test-ray"))


@dataclass
class LocalCluster:
    """A cluster that runs."""

    address: str
    client_address: str
    process: subprocess.Popen[bytes]

    def do(self, word: str) -> None:
        """Take a node away, or bring one."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()
        self.until(rf"DONE {word}")

    def until(self, pattern: str) -> re.Match[bytes]:
        """Return what comes first of a pattern in what it says."""
        assert self.process.stdout is not None
        until, said = time.monotonic() + START_S, b""
        while (left_s := until - time.monotonic()) > 0 and select.select([self.process.stdout], [], [], left_s)[0]:
            piece = os.read(self.process.stdout.fileno(), 65536)
            said += piece
            if found := re.search(pattern.encode() + rb".*\n", said):
                return found
            if not piece:
                break
        raise AssertionError(said.decode(errors="replace"))

    def running(self, *modules: str) -> list[psutil.Process]:
        """Return the processes on its nodes that run these modules."""
        found = []
        for process in descendants(self.process.pid):
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if any(module in words for module in modules):
                found.append(process)
        return found

    def actors(self) -> list[psutil.Process]:
        """Return the processes of our actors."""
        return [each for each in descendants(self.process.pid) if "NodeActor" in "".join(_words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Start it, and end it; nothing may be left."""
    log = tmp_path_factory.mktemp("ray") / "log.txt"
    port = free_port()
    # Short, since its sockets' paths may have 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="vr") as home,
        log.open("wb") as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {
            "HOME": home,
            "RAY_TMPDIR": home,
            "RAY_AUTH_MODE": "disabled",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "CLIENT_PORT": str(port),
        }.items():
            patch.setenv(name, value)
        process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name("local_cluster.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
        )
        assert process.stdin is not None and process.stdout is not None
        made = LocalCluster("", f"127.0.0.1:{port}", process)
        try:
            made.address = made.until("READY").group().split()[1].decode()
            patch.setenv("RAY_ADDRESS", made.address)
            yield made
        finally:
            tree = descendants(process.pid)
            process.stdin.close()
            try:
                process.wait(60)
            finally:
                _, left = psutil.wait_procs(tree, timeout=10)
                for one in left:
                    one.kill()
                process.kill()
                process.stdout.close()
        assert left == [], left
