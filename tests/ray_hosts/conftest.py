"""A real Ray cluster of two nodes, both on this machine, whose nodes users ask from: `make test-ray`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.fakes.sshd import free_port
from tests.ray_serve.conftest import CLUSTER, ENVIRON, ENVIRONMENT, PYTHON, START_S, Program, standing
from tui.server.tree import descendants

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
    program: Program

    def running(self, *modules: str) -> list[psutil.Process]:
        """Return the processes on its nodes that run these modules."""
        return [each for each in descendants(self.program.pid) if {*modules} & {*_words(each)}]

    def actors(self) -> list[psutil.Process]:
        """Return the processes of our actors."""
        return [each for each in descendants(self.program.pid) if "NodeActor" in "".join(_words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Start it, and end it; nothing may be left."""
    port = free_port()
    env = {**ENVIRON, "PYTHONPATH": str(ROOT)}
    folder = tmp_path_factory.mktemp("ray")
    with (
        standing(CLUSTER, folder, "0", str(port), env=env) as (said, program, its),
        pytest.MonkeyPatch.context() as patch,
    ):
        made = LocalCluster(said.removeprefix("READY "), f"127.0.0.1:{port}", program)
        for name, value in {**its, "RAY_ADDRESS": made.address}.items():
            patch.setenv(name, value)
        yield made
