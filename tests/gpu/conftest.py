"""One NVIDIA GPU and a real vLLM for it, both as `make test-gpu` finds or makes them; see README.md here."""

from __future__ import annotations

import asyncio
import json
import os
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.e2e.conftest import World, world
from tests.gpu.card import Card
from tests.real.conftest import Watched
from tui.gpu.nvml import describe
from tui.profile.schema import Profile

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_GPU_VLLM", Path(__file__).parents[2] / ".venv-vllm-gpu"))
EXECUTABLE = ENVIRONMENT / "bin" / "vllm"
MODELS = ENVIRONMENT / "models"
START_TIMEOUT_S = 300.0
TIMEOUT_S = 900.0
MISTRAL_BYTES = 14.483e9
KV_BYTES_PER_TOKEN = 2 * 32 * 8 * 128 * 2
"""Of Mistral 7B: keys and values, layers, heads, size of a head, bytes."""
GRAPHS = '{"mode":0,"cudagraph_mode":"FULL_DECODE_ONLY","cudagraph_capture_sizes":[1,2,4,8,16,32,64,128]}'
ARGS: dict[str, Any] = {
    "load-format": "dummy",
    "max-model-len": 4096,
    "max-num-seqs": 256,
    "max-num-batched-tokens": 8192,
    "no-enable-prefix-caching": True,
    "compilation-config": GRAPHS,
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    if not here:
        return
    inventory = describe()
    no_card = "" if inventory.gpus else f"no NVIDIA GPU: {inventory.problem or 'none is here'}"
    for item in here:
        item.add_marker(pytest.mark.gpu)
        item.add_marker(pytest.mark.timeout(TIMEOUT_S))
        if no_card:
            item.add_marker(pytest.mark.skip(reason=no_card))
        elif item.path.name != "test_truth.py" and not EXECUTABLE.exists():
            item.add_marker(pytest.mark.skip(reason=f"no {EXECUTABLE}; run: make test-gpu"))


@pytest.fixture
def card() -> Iterator[Card]:
    made = Card()
    yield made
    made.close()


def server_table(model: str = "mistral-7b", args: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return `[server]` for one of the models, with `args` added to those that all have."""
    return {
        "model": str(MODELS / model),
        "executable": [str(EXECUTABLE), "serve"],
        "gpus": [0],
        "startup_timeout_s": START_TIMEOUT_S,
        "args": {**ARGS, **(args or {})},
        "env": OFFLINE,
    }


def write_profile(world: World, name: str, server: dict[str, Any], **load: Any) -> str:
    """Write a profile into the world's folder and return its path."""
    path = world.root / f"{name}.toml"
    document = {"name": name, "engine": "vllm", "server": server, "load": {"endpoint": "completions", **load}}
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    return str(path)


def run(world: World, profile: str, *more: str) -> list[dict[str, Any]]:
    """Run a profile to its end, export it into `out` and return its cells."""
    done = world.run("run", profile, "--json", "--out", str(world.root / "out"), *more, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["cells"])


def exported(world: World) -> dict[str, Any]:
    """Return what the run's session.toml says."""
    return tomllib.loads((world.root / "out" / "session.toml").read_text(encoding="utf-8"))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Callable[[dict[str, Any]], Watched]]:
    """Make supervisors whose servers are stopped at the end, whatever happened."""
    made: list[Watched] = []

    def make(server: dict[str, Any]) -> Watched:
        profile = Profile.model_validate({"name": "gpu", "engine": "vllm", "server": server})
        made.append(Watched(profile, tmp_path / f"server-{len(made)}.log"))
        return made[-1]

    yield make
    await asyncio.gather(*(one.supervisor.stop() for one in made))
