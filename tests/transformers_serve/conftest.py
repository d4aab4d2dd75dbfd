"""A real `transformers serve` on the CPU with a tiny model: `make test-transformers`."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.conftest import world
from tui.server.readiness import free_port

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_TRANSFORMERS", Path(__file__).parents[2] / ".venv-transformers"))
EXECUTABLE = ENVIRONMENT / "bin" / "transformers"
MODEL = ENVIRONMENT / "tiny-model"
START_S = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(600))
            if not (EXECUTABLE.exists() and MODEL.exists()):
                item.add_marker(pytest.mark.skip(reason=f"no {EXECUTABLE}; run: make test-transformers"))


@dataclass
class Served:
    """A server that somebody else started."""

    url: str
    process: psutil.Process
    log: Path


@contextmanager
def serving(folder: Path, *options: str, model: Path = MODEL) -> Iterator[Served]:
    """Start a server, and end it."""
    port = free_port("127.0.0.1")
    log = folder / "log.txt"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    argv = [
        str(EXECUTABLE),
        "serve",
        str(model),
        "--device",
        "cpu",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        *options,
    ]
    with log.open("wb") as file:
        started = subprocess.Popen(argv, env=os.environ | offline, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_S
        while not _healthy(url):
            assert started.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.2)  # nothing but asking tells
        yield Served(url, psutil.Process(started.pid), log)
    finally:
        started.kill()
        started.wait()


@pytest.fixture(scope="module", params=["one by one", "batching"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server as it is by default, and one that batches."""
    options = ["--continuous-batching"] if request.param == "batching" else []
    with serving(tmp_path_factory.mktemp("serve"), *options) as one:
        yield one


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
