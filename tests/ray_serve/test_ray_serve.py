"""A real Ray Serve: attached to, measured, overloaded, its engine's replica killed under load. It is left as it was."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import (
    MEASURED,
    MEASURED_EXIT_CODES,
    cells_of,
    running_sweep,
    sweep,
    wait_for_mid_cell,
    write_profile,
)
from tests.ray_serve.conftest import RayServe
from tui.core.outcome import Outcome
from tui.profile.schema import Profile
from tui.session.reader import SessionReader

TOKENS = 20
ROOM = 8
"""How many requests the app takes at once: four that run and four that wait."""


def profile_of(folder: Path, server: RayServe, **load: Any) -> Path:
    table = {"users": [1, 4], "prompt_tokens": [31], "output_tokens": TOKENS, **load}
    attach = {"base_url": server.url}
    profile = {"name": "ray", "engine": "ray-serve", "attach": attach, "load": table}
    return write_profile(folder, Profile.model_validate(profile))


def test_lengths_are_exact_and_too_long_is_told(world: World, ray_serve: RayServe) -> None:
    cells = sweep(world, profile_of(world.root, ray_serve, prompt_tokens=[31, 600]))
    assert {cells[users, 600]["outcome"] for users in (1, 4)} == {"too-long"}
    for users in (1, 4):
        cell = cells[users, 31]
        assert cell["outcome"] in MEASURED, cell
        assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (TOKENS, True, "usage")
        assert cell["prompt_tokens_exact"] is True
        assert cell["ttft_p50_s"] > 0


def test_what_is_beyond_its_queue_is_refused_and_told_as_overload(world: World, ray_serve: RayServe) -> None:
    users = 3 * ROOM
    done = world.run("run", str(profile_of(world.root, ray_serve, users=[users])), "--json")
    cell = cells_of(done.stdout)[users, 31]
    assert cell["outcome"] == "overloaded", cell
    assert "backpressure" in cell["evidence"]
    assert cell["requests_ok"] >= ROOM / 2


@pytest.mark.parametrize("name", ["Engine", "Ingress"])
def test_a_sweep_outlives_the_death_of_a_replica(world: World, ray_serve: RayServe, name: str) -> None:
    victim = ray_serve.replica(name)
    load = {"users": [2, 4], "mode": "steady", "warm_up_s": 0.5, "duration_s": 8.0}
    with running_sweep(world, profile_of(world.root, ray_serve, **load)) as run:
        wait_for_mid_cell(world, run, 2)
        victim.send_signal(signal.SIGKILL)
        # The proxy is well while there is no engine.
        assert httpx.get(f"{ray_serve.url}/-/healthz", trust_env=False).status_code == httpx.codes.OK
        output, errors = run.communicate(timeout=200)
    assert run.returncode in MEASURED_EXIT_CODES, errors
    cells = cells_of(output)
    # How long requests hang, and whether they then fail, is for Ray: in any case the cell says that something was lost.
    assert cells[2, 31]["outcome"] not in MEASURED and cells[2, 31]["evidence"]
    assert cells[4, 31]["outcome"] in MEASURED
    with SessionReader(world.session_files[0]) as reader:
        assert reader.server is not None and reader.server.attached
        told = [event.text for event in reader.events()]
        records = list(reader.requests())
    if cells[2, 31]["outcome"] == Outcome.TIMEOUT:
        assert "it answers again" in told
    assert all(record.output_tokens == TOKENS for record in records if record.outcome in MEASURED)
    assert ray_serve.tree.is_running()
