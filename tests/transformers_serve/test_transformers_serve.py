"""A real `transformers serve`: attached to, measured, killed under load. It is never stopped."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import MEASURED, cells_of, running_sweep, sweep, wait_for_mid_cell, write_profile
from tests.transformers_serve.conftest import MODEL, Served, serving
from tui.bench.testbed import MAX_LAUNCHES_IN_A_ROW
from tui.core.errors import ExitCode
from tui.core.outcome import Outcome
from tui.profile.schema import Profile
from tui.session.reader import SessionReader

TOKENS = 20
SWEEP_S = 280.0
"""A sweep ends by itself; on a busy machine the first answer of a server that batches may take a minute."""


def profile_of(folder: Path, url: str, **load: Any) -> Path:
    table = {"users": [1, 4], "prompt_tokens": [31, 200], "output_tokens": TOKENS, **load}
    profile = {"name": "tiny", "engine": "transformers-serve", "attach": {"base_url": url}, "load": table}
    return write_profile(folder, Profile.model_validate(profile))


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_lengths_are_exact_on_both_ends(world: World, served: Served, endpoint: str) -> None:
    cells = sweep(world, profile_of(world.root, served.url, endpoint=endpoint), timeout_s=SWEEP_S)
    assert {cell["outcome"] for cell in cells.values()} <= MEASURED, cells
    for cell in cells.values():
        assert (cell["output_tokens_mean"], cell["output_tokens_std"]) == (TOKENS, 0)
        assert (cell["output_forced"], cell["counted_by"], cell["prompt_tokens_exact"]) == (True, "usage", True)
    with SessionReader(world.session_files[0]) as reader:
        assert {record.prompt_tokens_usage for record in reader.requests()} == {31, 200}
    assert served.process.is_running()


def test_an_answer_is_not_ended_by_the_model(world: World, tmp_path: Path) -> None:
    """Every token of this model is the one that ends a text."""
    model = tmp_path / "ending"
    shutil.copytree(MODEL, model)
    config = model / "generation_config.json"
    config.write_text(json.dumps({"bos_token_id": 1, "eos_token_id": list(range(2048))}))
    with serving(tmp_path, model=model) as one:
        (cell,) = sweep(
            world, profile_of(world.root, one.url, users=[1], prompt_tokens=[31]), timeout_s=SWEEP_S
        ).values()
        assert (cell["output_tokens_mean"], cell["output_forced"]) == (TOKENS, True)
        profile = profile_of(world.root, one.url, users=[1], prompt_tokens=[31], body={"generation_config": False})
        (cell,) = sweep(world, profile, timeout_s=SWEEP_S).values()
        assert (cell["output_tokens_mean"], cell["output_forced"]) == (1, False)


def test_the_death_of_a_server_that_others_run_ends_the_sweep(world: World, tmp_path: Path) -> None:
    load = {"users": [2, 4], "prompt_tokens": [31], "mode": "steady", "warm_up_s": 0.5, "duration_s": 8.0}
    with serving(tmp_path) as one, running_sweep(world, profile_of(world.root, one.url, **load)) as run:
        wait_for_mid_cell(world, run, 2)
        one.process.send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=SWEEP_S)
    assert run.returncode == ExitCode.SERVER_UNAVAILABLE, errors
    assert cells_of(output) == {}
    with SessionReader(world.session_files[0]) as reader:
        told = [event.text for event in reader.events()]
        cut = {record.outcome for record in reader.requests()} - MEASURED
    assert sum("engine-dead" in text and "will be measured once more" in text for text in told) == 1, told
    assert sum("relaunch failed: Nothing answers" in text for text in told) == MAX_LAUNCHES_IN_A_ROW, told
    assert cut <= {Outcome.DISCONNECTED, Outcome.CANCELLED}


def test_another_engine_s_profile_is_told_what_answers(world: World, served: Served) -> None:
    path = profile_of(world.root, served.url, users=[1], prompt_tokens=[31])
    path.write_text(path.read_text().replace('engine = "transformers-serve"', 'engine = "vllm"'))
    done = world.run("run", str(path), "--json")
    assert 'this speaks the API of transformers serve: engine = "transformers-serve"' in done.stderr
