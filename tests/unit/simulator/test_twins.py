"""All cells of the published tables through the pure model: the proof of the fit, printed as a table."""

from __future__ import annotations

import sys
from statistics import median

import pytest

from tui.profile.catalogue import entry_of, reference_names, reference_table, shipped_profiles_dir
from tui.profile.schema import Profile
from tui.simulator.burst import burst
from tui.simulator.gpus import VirtualGpus

LARGEST_MEDIAN = 0.06
LARGEST_ERROR = 0.20
COEFFICIENTS = {
    "step_base_s",
    "step_per_sequence_s",
    "step_sequence_exponent",
    "step_per_cached_token_s",
    "prefill_per_token_s",
    "request_overhead_s",
}


def twin(reference: str) -> Profile:
    entry = entry_of(shipped_profiles_dir() / f"sim-{reference}.toml", shipped=True)
    assert entry.profile is not None, entry.problems
    return entry.profile


def published() -> list[str]:
    return [name for name in reference_names() if (shipped_profiles_dir() / f"sim-{name}.toml").is_file()]


def test_every_published_table_has_its_twin() -> None:
    assert set(published()) == set(reference_names())
    assert len(published()) == 8
    assert sum(len(reference_table(name)) for name in published()) == 448


@pytest.mark.parametrize("reference", published())
def test_a_twin_gives_the_published_figures(reference: str, capsys: pytest.CaptureFixture[str]) -> None:
    profile = twin(reference)
    assert profile.simulator is not None
    cells = reference_table(reference)
    errors: dict[tuple[int, int], float] = {}
    for (users, prompt_tokens), cell in cells.items():
        seconds = burst(profile.simulator, users, prompt_tokens, profile.load.output_tokens).seconds
        assert (seconds is None) == (cell.outcome == "failed"), (users, prompt_tokens)
        if seconds is not None and cell.seconds is not None:
            errors[users, prompt_tokens] = seconds / cell.seconds - 1
    worst = max(errors, key=lambda cell: abs(errors[cell]))
    middle = median(abs(error) for error in errors.values())
    with capsys.disabled():
        failed = len(cells) - len(errors)
        sys.stdout.write(
            f"\n{reference:<19} {len(errors):>3} cells, {failed} failed, median {middle:.1%}, "
            f"worst {errors[worst]:+.1%} at {worst[0]} x {worst[1]}"
        )
    assert middle <= LARGEST_MEDIAN
    assert abs(errors[worst]) <= LARGEST_ERROR


@pytest.mark.parametrize("reference", published())
def test_a_twin_has_the_grid_of_its_table_and_few_coefficients(reference: str) -> None:
    profile = twin(reference)
    assert profile.simulator is not None
    assert profile.simulated
    assert profile.load.mode == "burst"
    assert {(users, prompt) for users in profile.load.users for prompt in profile.load.prompt_tokens} == set(
        reference_table(reference)
    )
    times = {name for name in profile.simulator.model_fields_set if name.endswith(("_s", "_exponent"))}
    assert times <= COEFFICIENTS


@pytest.mark.parametrize("reference", published())
def test_a_twin_fits_its_cards(reference: str) -> None:
    profile = twin(reference)
    assert profile.simulator is not None
    assert profile.server is not None
    gpus = VirtualGpus(profile.simulator, profile.server.gpus)
    assert 0 < gpus.spare_bytes < 0.12 * gpus.total_bytes
    idle = gpus.read(0.0, busy_s=0.0, tokens_alive=0, requests=0)
    full = gpus.read(1.0, busy_s=1.0, tokens_alive=10**9, requests=128)
    assert len(idle) == len(profile.server.gpus)
    for reading in (*idle, *full):
        parts = ("vram_weights_bytes", "vram_kv_cache_bytes", "vram_other_bytes")
        assert sum(reading[part] for part in parts) <= reading["vram_total_bytes"]
        assert "SIMULATED" in reading["name"]
    assert full[0]["vram_other_bytes"] > idle[0]["vram_other_bytes"]
    assert (idle[0]["active_share"], full[0]["active_share"]) == (0.0, 1.0)
    assert full[0]["power_w"] > idle[0]["power_w"]
