"""The figures of now as Prometheus text, read by the library's own parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.snapshots import eight_gpus, failed, fresh, full_grid, hostile, launching, mid_ramp, no_gpu, oom_grid
from tui.metrics.snapshot import Snapshot
from tui.remote.exposition import Latest

DASHBOARD = Path(__file__).resolve().parents[3] / "docs" / "grafana-dashboard.json"
UNITS = ("_seconds", "_bytes", "_ratio", "_watts", "_joules_total", "_celsius", "_total", "_per_second", "_tokens")
COUNTS = {
    "vramp_info",
    "vramp_time_scale",
    "vramp_sweep_cells",
    "vramp_users",
    "vramp_requests_in_flight",
    "vramp_output_tokens_per_second_per_user",
    "vramp_server_phase",
    "vramp_server_requests",
    "vramp_gpu_lost",
    "vramp_cells",
}


def text_of(snapshot: Snapshot | None) -> str:
    latest = Latest()
    latest.snapshot = snapshot
    registry = CollectorRegistry(auto_describe=False)
    registry.register(latest)
    return generate_latest(registry).decode()


def samples_of(snapshot: Snapshot) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text_of(snapshot)):
        assert family.documentation and family.type in ("gauge", "counter"), family.name
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize("make", [fresh, launching, failed, mid_ramp, oom_grid, full_grid, no_gpu, eight_gpus, hostile])
def test_every_situation_is_text_that_a_parser_takes(make: object) -> None:
    assert callable(make)
    found = samples_of(make())
    assert "vramp_info" in found
    for name, samples in found.items():
        assert name in COUNTS or name.endswith(UNITS), f"{name} does not say its unit"
        series = [tuple(sorted(labels.items())) for labels, _ in samples]
        assert len(series) == len(set(series)), f"{name} has a series twice"


def test_nothing_is_told_before_anything_is_known() -> None:
    assert text_of(None) == ""


def test_the_figures_are_those_of_the_screen() -> None:
    found = samples_of(mid_ramp())
    figures = mid_ramp().figures
    assert [value for _, value in found["vramp_output_tokens_per_second"]] == [figures.tokens_per_s_total]
    assert {labels["state"]: value for labels, value in found["vramp_users"]} == {"wanted": 32.0, "active": 24.0}
    quantiles = {labels["quantile"]: value for labels, value in found["vramp_time_to_first_token_seconds"]}
    assert quantiles == {"0.5": figures.ttft_p50_s, "0.9": figures.ttft_p90_s}  # the sample carries no p99
    assert {labels["phase"] for labels, value in found["vramp_server_phase"] if value} == {"ready"}
    assert {labels["result"]: value for labels, value in found["vramp_requests_total"]}["failed"] == 3.0


@pytest.mark.parametrize(("simulated", "word"), [(True, "SIMULATED"), (False, "measured")])
def test_every_sample_says_whether_it_is_simulated(simulated: bool, word: str) -> None:
    found = samples_of(mid_ramp(simulated=simulated))
    assert {labels["figures"] for samples in found.values() for labels, _ in samples} == {word}


def test_a_figure_that_is_not_known_has_no_sample() -> None:
    found = samples_of(no_gpu())
    assert not [name for name in found if "gpu_" in name]
    assert "vramp_output_tokens_per_second" not in samples_of(launching())


def test_labels_from_outside_are_cleaned_and_escaped() -> None:
    told = 'a"b\\c\n\x1b[31md'
    snapshot = msgspec.structs.replace(mid_ramp(), profile_name=told)
    ((labels, _),) = samples_of(snapshot)["vramp_info"]
    assert labels["profile"] == 'a"b\\c d'


def test_the_dashboard_asks_for_nothing_that_is_not_there() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    known = {name for make in (mid_ramp, full_grid, eight_gpus) for name in samples_of(make())}
    known |= {"vramp_server_silent_seconds"}
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    ours = {name for expr in asked for name in re.findall(r"vramp_\w+", expr)}
    assert len(asked) >= 10 and ours and ours <= known
    assert any("vllm:" in expr for expr in asked)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(places) == len(set(places)) and all(panel["title"] for panel in dashboard["panels"])
