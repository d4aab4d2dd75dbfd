"""The figures of now as Prometheus text, read by the library's own parser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.snapshots import (
    eight_gpus,
    failed,
    fresh,
    full_grid,
    gpu_hosts,
    hostile,
    launching,
    mid_ramp,
    no_gpu,
    oom_grid,
)
from tui.metrics.snapshot import Snapshot
from tui.remote.exposition import Latest

DASHBOARD = Path(__file__).resolve().parents[3] / "docs" / "grafana-dashboard.json"
CORPUS = Path(__file__).resolve().parents[2] / "corpus"
UNITS_OF_GRAFANA = ("short", "s", "bytes", "decbytes", "percentunit", "watt", "reqps")
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


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def series_there_are() -> dict[str, set[str]]:
    """Return by name of a series which labels it has: ours, and those of a real vLLM."""
    labels: dict[str, set[str]] = {"vramp_server_silent_seconds": set()}
    texts = [text_of(make()) for make in (mid_ramp, full_grid, eight_gpus)]
    for text in [*texts, (CORPUS / "vllm" / "metrics-after-load.txt").read_text()]:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def test_the_dashboard_asks_for_nothing_that_is_not_there() -> None:
    known = series_there_are()
    asked = queries()
    names = {name for expr in asked for name in re.findall(r"\b(?:vramp_|vllm:)\w+", expr)}
    assert len(asked) >= 10 and {name.partition("_")[0].partition(":")[0] for name in names} == {"vramp", "vllm"}
    assert names <= set(known)
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            (name,) = re.findall(r"\b(?:vramp_|vllm:)\w+", target["expr"])
            legend = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
            matched = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", target["expr"]))
            summed = {label for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(", ")}
            assert legend | matched | summed <= known[name], target["expr"]


@pytest.mark.parametrize("query", queries())
def test_each_query_of_the_dashboard_can_be_parsed(query: str) -> None:
    """By the part of PromQL that it uses: a selector, a range of it in rate(), and functions of one expression."""
    query = re.sub(r"\{\w+=~\"\$session\"\}", "", query)
    selector = r"[a-z_:][a-z0-9_:]*"
    rate = rf"(?:rate\({selector}\[\d+[smh]\]\))"
    total = rf"(?:sum(?: by \(\w+(?:, \w+)*\) ?)?\({rate}\))"
    quantile = rf"(?:histogram_quantile\(0\.\d+, {total}\))"
    assert re.fullmatch(rf"{selector}|{rate}|{total}|{quantile}", query), query


def test_the_dashboard_is_of_grafanas_form() -> None:
    """By its dashboard kind (schema version 36 on), as far as that is published: required fields, types and bounds."""
    found = dashboard()
    assert isinstance(found["title"], str) and 8 <= len(found["uid"]) <= 40
    assert 36 <= found["schemaVersion"] <= 42 and found["version"] >= 1
    assert found["editable"] in (True, False) and found["graphTooltip"] in (0, 1, 2)
    assert set(found["time"]) == {"from", "to"} and re.fullmatch(r"\d+[smhd]", found["refresh"])
    assert all(isinstance(tag, str) for tag in found["tags"]) and found["annotations"]["list"] == []
    variables = {one["name"]: one for one in found["templating"]["list"]}
    assert {one["type"] for one in variables.values()} <= {"query", "datasource", "custom", "interval", "textbox"}
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert set(place) == {"x", "y", "w", "h"} and all(isinstance(value, int) for value in place.values())
        assert place["w"] > 0 and place["h"] > 0 and place["x"] >= 0 and place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, "none lies over another"
        taken |= cells
        assert panel["title"] and panel["type"] in ("timeseries", "stat", "gauge", "bargauge", "heatmap", "table")
        assert set(panel["fieldConfig"]) == {"defaults", "overrides"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS_OF_GRAFANA
        options = panel.get("options", {})
        assert options.get("legend", {}).get("displayMode", "list") in ("list", "table", "hidden")
        assert options.get("legend", {}).get("placement", "bottom") in ("bottom", "right")
        assert options.get("tooltip", {}).get("mode", "multi") in ("single", "multi", "none")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used == set(variables)


def test_the_same_card_number_on_two_hosts_gives_two_series() -> None:
    samples = samples_of(gpu_hosts(2, 2))["vramp_gpu_power_watts"]
    assert [(labels["host"], labels["gpu"]) for labels, _ in samples] == [
        ("node1", "0"),
        ("node1", "1"),
        ("node2", "0"),
        ("node2", "1"),
    ]
