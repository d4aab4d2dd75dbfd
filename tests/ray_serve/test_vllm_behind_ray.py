"""A real vLLM behind a real Ray Serve (`make test-ray-vllm`): measured, overloaded, its engine killed under load."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

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
from tui.profile.schema import Profile
from tui.session.reader import SessionReader

TOKENS = 20
REBUILT_S = 300.0
"""vLLM starts anew within: 70 s on a quiet machine."""


def profile_of(folder: Path, server: RayServe, **load: Any) -> Path:
    table = {"users": [1, 4], "prompt_tokens": [31], "output_tokens": TOKENS, **load}
    profile = {"name": "ray", "engine": "ray-serve", "attach": {"base_url": server.url}, "load": table}
    return write_profile(folder, Profile.model_validate(profile))


def test_lengths_are_exact_and_what_fails_is_told_by_its_words(world: World, ray_with_vllm: RayServe) -> None:
    cells = sweep(world, profile_of(world.root, ray_with_vllm, users=[1, 4, 24], prompt_tokens=[31, 600]))
    for users in (1, 4):
        cell = cells[users, 31]
        assert cell["outcome"] in MEASURED, cell
        assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (TOKENS, True, "usage")
        assert cells[users, 600]["outcome"] == "too-long"
    assert "maximum context length is 512 tokens" in cells[1, 600]["evidence"]
    assert cells[24, 31]["outcome"] == "overloaded" and "backpressure" in cells[24, 31]["evidence"]


def test_a_sweep_outlives_the_death_of_the_engine(world: World, ray_with_vllm: RayServe) -> None:
    load = {"users": [2, 4], "mode": "steady", "warm_up_s": 0.5, "duration_s": 8.0}
    with running_sweep(world, profile_of(world.root, ray_with_vllm, **load)) as run:
        wait_for_mid_cell(world, run, 2)
        ray_with_vllm.process("VLLM::EngineCore").send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=REBUILT_S)
    assert run.returncode in MEASURED_EXIT_CODES, errors
    assert {cell["outcome"] for cell in cells_of(output).values()} <= MEASURED
    with SessionReader(world.session_files[0]) as reader:
        told = [event.text for event in reader.events()]
    assert sum("engine-dead" in text and "will be measured once more" in text for text in told) == 1, told
    assert ray_with_vllm.tree.is_running()
