"""A real tritonserver, as PyPI's nvidia-pytriton brings it: `make test-triton`. Its models are of our own making."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import world
from tui.metrics.reading import Event
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_TRITON", Path(__file__).parents[2] / ".venv-triton"))
PYTHON = ENVIRONMENT / "bin" / "python"
MODELS = Path(__file__).parent / "models"
_WHERE = """
import sys, sysconfig
print(sysconfig.get_path("purelib"), sysconfig.get_config_var("LIBDIR"), "%d.%d" % sys.version_info[:2])
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            if not PYTHON.exists():
                item.add_marker(pytest.mark.skip(reason=f"no {PYTHON}; run: make test-triton"))


Make = Callable[..., Profile]


@pytest.fixture
def profile_of(tmp_path: Path) -> Make:
    """Return what makes profiles of a real tritonserver with some of the models."""

    def make(engine: str, *models: str, **load: object) -> Profile:
        said = subprocess.run([PYTHON, "-c", _WHERE], capture_output=True, text=True, check=True).stdout
        packages, libraries, version = said.split()
        triton = Path(packages) / "pytriton" / "tritonserver"
        backends, repository = tmp_path / "backends", tmp_path / "repository"
        shutil.copytree(triton / "backends" / "python", backends / "python")
        shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
        for model in models:
            shutil.copytree(MODELS / model, repository / model)
        server = {
            "model": str(repository),
            "executable": [str(triton / "bin" / "tritonserver")],
            "startup_timeout_s": 60.0,
            "args": {"backend-directory": str(backends)},
            "env": {
                "LD_LIBRARY_PATH": f"{packages}/nvidia_pytriton.libs:{libraries}",
                # The stub takes the first python that it finds.
                "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
            },
        }
        return Profile.model_validate({"name": "p", "engine": engine, "server": server, "load": load})

    return make


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Callable[[Profile], Supervisor]]:
    """Make supervisors whose servers are stopped at the end, whatever happened."""
    made: list[Supervisor] = []
    events: list[Event] = []

    def make(profile: Profile) -> Supervisor:
        made.append(Supervisor(profile, None, tmp_path / "server.log", on_event=events.append))
        return made[-1]

    yield make
    await asyncio.gather(*(one.stop() for one in made))
