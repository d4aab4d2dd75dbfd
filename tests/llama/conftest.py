"""A real llama-server, built of its sources, and a tiny model: `make test-llama`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import world
from tui.metrics.reading import Event
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_LLAMA", Path(__file__).parents[2] / ".venv-llama"))
EXECUTABLE = ENVIRONMENT / "bin" / "llama-server"
PYTHON = ENVIRONMENT / "bin" / "python"
MODEL = ENVIRONMENT / "tiny.gguf"
SLOTS, CONTEXT = 4, 512
ARGS = {"ctx-size": SLOTS * CONTEXT, "parallel": SLOTS, "threads": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            if not (EXECUTABLE.exists() and MODEL.exists()):
                item.add_marker(pytest.mark.skip(reason=f"no {EXECUTABLE}; run: make test-llama"))


def llama_profile(args: dict[str, Any] | None = None, load: dict[str, Any] | None = None, **server: Any) -> Profile:
    """Return a profile for the real llama-server; `args` are added to those that make it small."""
    table = {
        "model": str(MODEL),
        "executable": [str(EXECUTABLE)],
        "startup_timeout_s": 60.0,
        "args": {**ARGS, **(args or {})},
        **server,
    }
    return Profile.model_validate({"name": "tiny", "engine": "llama-cpp", "server": table, "load": load or {}})


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
