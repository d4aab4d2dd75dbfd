"""A real vLLM on the CPU and a tiny model, made by `make test-vllm`. One server is shared, since a start costs 40 s."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import world
from tests.e2e.sweeps import running
from tui.metrics.reading import Event
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_VLLM", Path(__file__).parents[2] / ".venv-vllm"))
EXECUTABLE = ENVIRONMENT / "bin" / "vllm"
MODEL = ENVIRONMENT / "tiny-model"
START_TIMEOUT_S = 400.0
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1"}
ARGS = {
    "served-model-name": "tiny",
    "max-model-len": 4096,
    "max-num-seqs": 32,
    "kv-cache-memory-bytes": "64M",
    "enforce-eager": True,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(2 * START_TIMEOUT_S))
            if not EXECUTABLE.exists():
                item.add_marker(pytest.mark.skip(reason=f"no {EXECUTABLE}; run: make test-vllm"))


def vllm_profile(args: dict[str, Any] | None = None, **server: Any) -> Profile:
    """Return a profile for the real vLLM; `args` are added to those that make it small."""
    table = {
        "model": str(MODEL),
        "executable": [str(EXECUTABLE), "serve"],
        "startup_timeout_s": START_TIMEOUT_S,
        "args": {**ARGS, **(args or {})},
        "env": OFFLINE,
        **server,
    }
    return Profile.model_validate({"name": "tiny", "engine": "vllm", "server": table})


class Watched:
    """A supervisor with what it said."""

    def __init__(self, profile: Profile, log_file: Path) -> None:
        self.events: list[Event] = []
        self.supervisor = Supervisor(profile, None, log_file, on_event=self.events.append)

    def said(self, source: str = "engine") -> list[str]:
        return [event.text for event in self.events if event.source == source]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Callable[[Profile], Watched]]:
    """Make supervisors whose servers are stopped at the end, whatever happened."""
    made: list[Watched] = []

    def make(profile: Profile) -> Watched:
        made.append(Watched(profile, tmp_path / f"server-{len(made)}.log"))
        return made[-1]

    yield make
    await asyncio.gather(*(one.supervisor.stop() for one in made))


def titled(pids: frozenset[int], title: str) -> psutil.Process:
    """Return the process of vLLM that calls itself so, e.g. "VLLM::EngineCore"."""
    return next(one for one in running(pids) if "".join(one.cmdline()).startswith(title))
