"""Fits the twins to the published tables and to our own, and writes profiles/sim-*.toml.

    python benchmarks/fit_twins.py            fit, print the errors, write the profiles
    python benchmarks/fit_twins.py --check    fit, print the errors, write nothing

Needs numpy and scipy beside vramp's own packages; vramp itself does not need them.

In a burst all requests are there from the start, so which sequences a step computes does not depend on how long it
takes. So the model is stepped once per cell, which gives sums over its steps, and the time to resolve is a simple
function of the five coefficients and these sums. They are found by least squares on the logarithms. Two of them, the
cost of a cached token and of a prompt token, are told apart only weakly by the tables; a weak pull towards what the
card's data sheet would give (half its FLOPS, its full memory bandwidth) decides where the tables do not. A second
term, tiny below 12 %, keeps any single cell from being sacrificed to the others.

The memory limit is L in T + w·R <= L, with T the tokens of the running batch and R all requests in the engine: w is
the value that parts the ok cells from the failed ones by the widest margin, L the middle of the gap.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402

from tui.profile.cards import CARDS  # noqa: E402
from tui.profile.catalogue import reference_table  # noqa: E402
from tui.profile.simulator_table import SimulatorTable  # noqa: E402
from tui.simulator.burst import burst  # noqa: E402
from tui.simulator.model import Engine, Sequence  # noqa: E402

OUTPUT_TOKENS = 100
MAX_MODEL_LEN = 4096
MAX_NUM_BATCHED_TOKENS = 2048
BLOCK_SIZE = 16
VRAM_SHARE = 0.95
CONTEXT_AND_WORKSPACE_BYTES = 1.1e9
PULL = 0.02
SMALL_ERROR = 0.12
WEIGHT_PER_REQUEST_TOKENS = [0, 10, 20, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1500, 2000]
FLOPS_AND_BYTES_PER_S = {
    "V100 16GB": (112e12, 0.9e12),
    "A100 40GB": (312e12, 1.555e12),
    "H200 141GB": (989e12, 4.8e12),
}


@dataclass(frozen=True)
class SetUp:
    """One table's hardware and model, by their data sheets."""

    reference: str
    source: str
    title: str
    model: str
    gpu: str
    gpus: int
    parameters_billion: float
    active_billion: float
    bits_per_weight: float
    layers: int
    kv_heads: int
    max_num_batched_tokens: int = MAX_NUM_BATCHED_TOKENS
    known_kv_cache_tokens: int | None = None
    """Where the server told it."""

    @property
    def described(self) -> str:
        """Return which table it models."""
        return f"Table {self.source} of the reference study" if self.source.isupper() else f"table {self.source}"

    @property
    def kv_bytes_per_token(self) -> int:
        return 2 * self.layers * self.kv_heads * 128 * 2

    @property
    def kv_cache_tokens(self) -> int:
        """Return what the weights leave for the KV cache, in whole blocks."""
        if self.known_kv_cache_tokens is not None:
            return self.known_kv_cache_tokens
        per_card = VRAM_SHARE * CARDS[self.gpu].vram_total_bytes - CONTEXT_AND_WORKSPACE_BYTES
        free = self.gpus * per_card - self.parameters_billion * 1e9 * self.bits_per_weight / 8
        return int(free / self.kv_bytes_per_token) // 1000 * 1000 // BLOCK_SIZE * BLOCK_SIZE

    @property
    def table(self) -> SimulatorTable:
        return SimulatorTable(
            gpu=self.gpu,
            parameters_billion=self.parameters_billion,
            bits_per_weight=self.bits_per_weight,
            kv_bytes_per_token=self.kv_bytes_per_token,
            max_model_len=MAX_MODEL_LEN,
            max_num_batched_tokens=self.max_num_batched_tokens,
            block_size=BLOCK_SIZE,
            kv_cache_tokens=self.kv_cache_tokens,
        )


SET_UPS = [
    SetUp("mistral-7b", "I", "Mistral 7B", "mistral-7b", "V100 16GB", 2, 7.24, 7.24, 16, 32, 8),
    SetUp(
        "codestral-22b-awq",
        "II",
        "Codestral 22B AWQ 4-bit",
        "codestral-22b-awq",
        "A100 40GB",
        1,
        22.2,
        22.2,
        4.25,
        56,
        8,
    ),
    SetUp(
        "codestral-22b-gptq",
        "III",
        "Codestral 22B GPTQ 8-bit",
        "codestral-22b-gptq",
        "V100 16GB",
        2,
        22.2,
        22.2,
        8.25,
        56,
        8,
    ),
    SetUp("codestral-22b", "IV", "Codestral 22B", "codestral-22b", "A100 40GB", 2, 22.2, 22.2, 16, 56, 8),
    SetUp(
        "mixtral-8x7b-awq", "V", "Mixtral 8x7B AWQ 4-bit", "mixtral-8x7b-awq", "A100 40GB", 2, 46.7, 12.9, 4.25, 32, 8
    ),
    SetUp(
        "mixtral-8x22b-awq",
        "VI",
        "Mixtral 8x22B AWQ 4-bit",
        "mixtral-8x22b-awq",
        "A100 40GB",
        4,
        140.6,
        39.1,
        4.25,
        56,
        8,
    ),
    SetUp(
        "llama-3-70b-awq", "VII", "LLaMa-3 70B AWQ 4-bit", "llama-3-70b-awq", "A100 40GB", 2, 70.6, 70.6, 4.25, 80, 8
    ),
    SetUp(
        "h200-mistral-7b",
        "h200-mistral-7b, measured by vramp",
        "Mistral 7B",
        "mistral-7b",
        "H200 141GB",
        1,
        7.24,
        7.24,
        16,
        32,
        8,
        max_num_batched_tokens=8192,
        known_kv_cache_tokens=934_048,
    ),
]


@dataclass(frozen=True)
class Sums:
    """One burst's sums over its steps, each step weighted by the share of the requests that still wait for it."""

    steps: float
    sequences: Mapping[int, float]
    """By how many ran in the step."""
    cached_tokens: float
    prefill_tokens: float
    batches: list[tuple[int, int]]
    """(tokens in the running batch, requests in the engine), step by step."""


def sums_of(table: SimulatorTable, users: int, prompt_tokens: int) -> Sums:
    """Step the model through one burst."""
    engine = Engine(table)
    for _ in range(users):
        engine.add(Sequence(prompt_tokens, OUTPUT_TOKENS))
    left = users
    steps = cached = prefill = 0.0
    sequences: defaultdict[int, float] = defaultdict(float)
    batches = []
    while engine.has_work:
        step = engine.begin_step()
        share = left / users
        steps += share
        sequences[len(step.scheduled)] += share
        cached += share * step.cached_tokens
        prefill += share * step.prefill_tokens
        tokens_alive = engine.tokens_alive + sum(tokens for _, tokens in step.scheduled)
        batches.append((tokens_alive, left))
        left -= sum(sequence.finished for sequence in engine.finish_step(step))
    return Sums(steps, sequences, cached, prefill, batches)


def coefficients(set_up: SetUp, sums: list[Sums], seconds: list[float]) -> dict[str, float]:
    """Return the five coefficients that fit best."""
    widest = max(max(each.sequences) for each in sums)
    histogram = np.zeros((len(sums), widest + 1))
    for row, each in enumerate(sums):
        for count, share in each.sequences.items():
            histogram[row, count] = share
    steps = np.array([each.steps for each in sums])
    cached = np.array([each.cached_tokens for each in sums])
    prefill = np.array([each.prefill_tokens for each in sums])
    flops, bandwidth = FLOPS_AND_BYTES_PER_S[set_up.gpu]
    cached_by_sheet = set_up.kv_bytes_per_token / (set_up.gpus * bandwidth)
    prefill_by_sheet = 2 * set_up.active_billion * 1e9 / (set_up.gpus * flops / 2)

    def misses(parameters):  # type: ignore[no-untyped-def]
        base, per_sequence, per_cached, per_prefill = np.exp(parameters[:4])
        batch = histogram @ np.power(np.arange(widest + 1.0), parameters[4])
        modelled = base * steps + per_sequence * batch + per_cached * cached + per_prefill * prefill
        miss = np.log(modelled / np.array(seconds))
        pulls = PULL * np.array([np.log(per_cached / cached_by_sheet), np.log(per_prefill / prefill_by_sheet)])
        return np.concatenate([miss, 0.05 * (miss / SMALL_ERROR) ** 4, pulls])

    bounds = ([-12, -16, -20, -16, 0.2], [1, 1, -4, -2, 3])
    starts = [[np.log(0.02), np.log(5e-4), np.log(cached_by_sheet), np.log(2e-4), e] for e in (0.6, 1.0, 1.5)]
    best = min((least_squares(misses, start, bounds=bounds) for start in starts), key=lambda fit: fit.cost)
    base, per_sequence, per_cached, per_prefill = np.exp(best.x[:4])
    return {
        "step_base_s": float(f"{base:.4g}"),
        "step_per_sequence_s": float(f"{per_sequence:.4g}"),
        "step_sequence_exponent": float(f"{best.x[4]:.4g}"),
        "step_per_cached_token_s": float(f"{per_cached:.4g}"),
        "prefill_per_token_s": float(f"{per_prefill:.4g}"),
    }


def memory_limit(fine: list[Sums], failed: list[Sums]) -> dict[str, float]:
    """Return the limit that parts the failed cells from the others. Raises SystemExit when none does."""
    if not failed:
        return {}

    def need(sums: Sums, weight: float) -> float:
        return max(tokens + weight * requests for tokens, requests in sums.batches)

    def gap(weight: float) -> tuple[float, float]:
        return max(need(each, weight) for each in fine), min(need(each, weight) for each in failed)

    weight = max(WEIGHT_PER_REQUEST_TOKENS, key=lambda each: gap(each)[1] / gap(each)[0])
    low, high = gap(weight)
    if low >= high:
        raise SystemExit(f"no memory limit parts the failed cells from the others: {low:.0f} >= {high:.0f}")
    return {"memory_limit_tokens": round((low + high) / 2), "memory_per_request_tokens": float(weight)}


def fit(set_up: SetUp) -> SimulatorTable:
    """Return the twin's table."""
    cells = reference_table(set_up.reference)
    sums = {cell: sums_of(set_up.table, *cell) for cell in cells}
    fine = [cell for cell, found in cells.items() if found.outcome == "ok"]
    failed = [cell for cell, found in cells.items() if found.outcome == "failed"]
    found = coefficients(set_up, [sums[cell] for cell in fine], [cells[cell].seconds or 0.0 for cell in fine])
    limits = memory_limit([sums[cell] for cell in fine], [sums[cell] for cell in failed])
    return set_up.table.model_copy(update={**found, **limits})


def errors_of(set_up: SetUp, table: SimulatorTable) -> dict[tuple[int, int], float]:
    """Return the relative error of each ok cell. Raises SystemExit for a cell that fails here or there only."""
    errors = {}
    for (users, prompt_tokens), cell in reference_table(set_up.reference).items():
        seconds = burst(table, users, prompt_tokens, OUTPUT_TOKENS).seconds
        if (seconds is None) != (cell.outcome == "failed"):
            raise SystemExit(f"{set_up.reference}: {users} users x {prompt_tokens}: {seconds}, published {cell}")
        if seconds is not None and cell.seconds is not None:
            errors[users, prompt_tokens] = seconds / cell.seconds - 1
    return errors


def profile_text(set_up: SetUp, table: SimulatorTable) -> str:
    """Return the twin as a profile."""
    cards = f"{set_up.gpus} x {set_up.gpu.replace('GB', ' GB')}"
    cells = reference_table(set_up.reference)
    users = sorted({cell[0] for cell in cells})
    prompts = sorted({cell[1] for cell in cells})
    values = "\n".join(
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value!r}"
        for key, value in table.model_dump(mode="json", exclude_defaults=True).items()
    )
    return f"""\
name = "sim-{set_up.reference}"
title = "{set_up.title} on {cards}, SIMULATED"
notes = "Models {set_up.described}, fitted to it by benchmarks/fit_twins.py."
engine = "simulated"

[server]
model = "vramp/simulated-{set_up.model}"
gpus = {list(range(set_up.gpus))}
startup_timeout_s = 30
stop_grace_s = 3

[simulator]
{values}

[load]
endpoint = "completions"
users = {users}
prompt_tokens = {prompts}
output_tokens = {OUTPUT_TOKENS}
mode = "burst"

[reference]
table = "{set_up.reference}"
"""


def main() -> None:
    """Fit all tables."""
    columns = "| {:<19} | {:>5} | {:>6} | {:>6} | {:>16} | {:>7} |"
    print(columns.format("table", "cells", "median", "worst", "worst cell", "failed"))
    for set_up in SET_UPS:
        table = fit(set_up)
        errors = errors_of(set_up, table)
        worst = max(errors, key=lambda cell: abs(errors[cell]))
        middle = median(abs(error) for error in errors.values())
        failed = len(reference_table(set_up.reference)) - len(errors)
        where = f"{worst[0]} x {worst[1]}"
        print(columns.format(set_up.reference, len(errors), f"{middle:.1%}", f"{errors[worst]:+.1%}", where, failed))
        print("   ", table.model_dump(exclude_defaults=True))
        if "--check" not in sys.argv:
            path = ROOT / "profiles" / f"sim-{set_up.reference}.toml"
            path.write_text(profile_text(set_up, table), encoding="utf-8")


if __name__ == "__main__":
    main()
