"""The simulated server's metrics beside those of a real vLLM 0.32.0."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator.gauges import Gauges
from tui.simulator.gpus import VirtualGpus, fitted
from tui.simulator.model import Engine, Sequence

IDLE = Path(__file__).parents[2] / "corpus" / "vllm" / "metrics-idle.txt"
NEEDED = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions",
    "vllm:prompt_tokens",
    "vllm:generation_tokens",
    "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits",
    "vllm:request_success",
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:cache_config_info",
}


def families(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return type and bucket bounds of each of vLLM's families."""
    found = {}
    exposition = "\n".join(line for line in text.splitlines() if line.startswith(("# ", "vllm:")))
    for family in text_string_to_metric_families(exposition + "\n"):
        if family.name.startswith("vllm:") and not family.name.endswith("_created"):
            bounds = sorted({sample.labels["le"] for sample in family.samples if "le" in sample.labels}, key=float)
            found[family.name] = (family.type, bounds)
    return found


def test_names_types_and_buckets_are_vllms() -> None:
    table = SimulatorTable()
    ours = families(Gauges("m", table).text(Engine(table)).decode())
    real = families(IDLE.read_text())
    assert ours.keys() >= NEEDED
    assert {name: real.get(name) for name in ours} == ours


def test_counters_follow_the_engine() -> None:
    table = SimulatorTable(max_model_len=64, kv_cache_tokens=64, max_num_batched_tokens=64)
    engine, gauges = Engine(table), Gauges("m", table)
    for _ in range(2):
        engine.add(Sequence(30, 20))
    seen = 0.0
    while engine.has_work:
        engine.finish_step(engine.begin_step())
        text = gauges.text(engine).decode()
        line = next(line for line in text.splitlines() if line.startswith("vllm:num_preemptions_total"))
        assert float(line.split()[-1]) == engine.preemptions_total >= seen
        seen = engine.preemptions_total
    assert seen == 1


@pytest.mark.parametrize(
    ("table", "way"),
    [
        (SimulatorTable(gpu="V100 16GB", kv_cache_tokens=16_384), None),
        (SimulatorTable(gpu="V100 16GB", max_model_len=2_048), None),
        (SimulatorTable(gpu="V100 16GB"), None),
        (SimulatorTable(gpu="V100 16GB", max_model_len=20_000), FailOnPurpose.KV_TOO_SMALL),
        (SimulatorTable(gpu="V100 16GB", parameters_billion=13.0), FailOnPurpose.OOM_WEIGHTS),
        (SimulatorTable(gpu="A100 40GB"), None),
    ],
)
def test_a_modelled_server_never_holds_more_than_its_card(table: SimulatorTable, way: FailOnPurpose | None) -> None:
    held = fitted(table, [0])
    assert held.fail is way
    gpus = VirtualGpus(held, [0])
    if way is None:
        assert gpus.spare_bytes >= 0
        (full,) = gpus.read(0.0, busy_s=0.0, tokens_alive=10**9, requests=100)
        used = sum(full[part] for part in ("vram_weights_bytes", "vram_kv_cache_bytes", "vram_other_bytes"))
        assert used <= full["vram_total_bytes"]
        assert held.kv_cache_tokens <= table.kv_cache_tokens
        assert held.kv_cache_tokens >= held.max_model_len
