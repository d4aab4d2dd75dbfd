"""A session's cells in the formats of other tools: read back as they were, and as those formats allow."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.session import made
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.comparison import compare
from tui.metrics.snapshot import Phase, ServerSettings, ServerStatus
from tui.session.export import export_session
from tui.session.reader import SessionReader
from tui.session.sides import read_side
from tui.session.store import SessionWriter


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Two answered cells, one of them measured twice, and one that failed."""
    path = tmp_path / "2026-11-20-180400-demo-ab12.vramp"
    writer = SessionWriter(path, made.meta(gpu_summary="2 × L4"))
    asked = {1: (1, 31, 1), 2: (2, 31, 20), 3: (2, 31, 20)}
    number = 0
    for tag, (users, prompt, count) in asked.items():
        requests = [made.request(number + n, tag=tag, prompt_tokens=prompt) for n in range(1, count + 1)]
        number += count
        writer.add_requests(requests)
        if tag == 3:
            writer.add_requests([made.request(99, tag=3, outcome=Outcome.TIMEOUT, last_token_ns=None)])
        e2e = [request.e2e_s or 0.0 for request in requests]
        cell = made.cell(
            users,
            prompt,
            tag=tag,
            output_tokens=4,
            started_at_ns=made.START_NS + number * NS_PER_S,
            duration_s=2.0,
            tokens_per_s_total=4 * count / 2.0,
            time_to_resolve_s=sum(e2e) / count,
            ttft_p50_s=0.1,
            e2e_p50_s=0.4,
            tpot_p50_s=0.1,
            requests_ok=count,
            requests_failed=int(tag == 3),
            preemptions=2.0,
            vram_used_max_bytes=2**31,
        )
        writer.add_cell(cell, made.START_NS + number * NS_PER_S + 1)
    writer.add_cell(made.cell(4, 31, outcome=Outcome.OOM_KV, tag=0), made.START_NS + number * NS_PER_S + 2)
    for second in range(60):
        writer.add_series(made.point(second, kv_cache_usage=0.5, server_running=2.0, server_waiting=1.0))
    writer.set_server(
        ServerStatus(
            phase=Phase.READY, version="0.9", launches=3, settings=ServerSettings(arguments={"max-num-seqs": "8"})
        )
    )
    writer.close("finished")
    assert writer.failure == ""
    return path


def test_what_is_written_for_vllm_reads_back_as_the_same_cells(session: Path, tmp_path: Path) -> None:
    written = export_session(session, tmp_path / "out", formats=("vllm",))
    assert [path.name for path in written] == ["burst-00001x0000031.json", "burst-00002x0000031.json"]
    side, ours = read_side(str(tmp_path / "out" / "vllm")), read_side(str(session))
    assert side.source == "export for vllm bench serve" and side.simulated and not side.sizes_are_means
    (pair,) = compare([ours, side]).pairs
    assert [(cell.users, cell.prompt_tokens, cell.output_tokens) for cell in pair.cells] == [(1, 31, 4), (2, 31, 4)]
    ratios = {each.figure: each.ratio for cell in pair.cells for each in cell.figures}
    assert ratios.keys() >= {"tokens_per_s_total", "time_to_resolve_s", "ttft_p50_s", "tpot_p50_s", "e2e_p50_s"}
    assert list(ratios.values()) == pytest.approx([1.0] * len(ratios), rel=1e-3)
    assert [cell.requests_failed for cell in side.cells] == [0, 1]


def test_a_file_for_vllm_has_what_its_readers_take(session: Path, tmp_path: Path) -> None:
    (_, path) = export_session(session, tmp_path, formats=("vllm",))
    told = json.loads(path.read_text())
    genuine = json.loads((Path(__file__).parents[2] / "corpus" / "results" / "vllm-bench-serve-0.json").read_text())
    absent = genuine.keys() - told.keys()
    assert absent <= {"itls", "queue_times", "max_output_tokens_per_s", "max_concurrent_requests", "rtfx"}
    for key in told.keys() & genuine.keys():
        if told[key] is not None and genuine[key] is not None:
            number = isinstance(genuine[key], int | float)
            assert isinstance(told[key], (int, float) if number else type(genuine[key])), key
    assert (told["num_prompts"], told["completed"], told["failed"], told["max_concurrency"]) == (21, 20, 1, 2)
    assert told["mean_itl_ms"] == pytest.approx(100.0, rel=0.01) and told["mean_tpot_ms"] == pytest.approx(100.0)
    assert len(told["ttfts"]) == len(told["input_lens"]) == len(told["start_times"]) == 20


def report(told: dict[str, Any]) -> Any:
    """Return a report as llm-d's own package reads it. Raises ValueError for what its schema, or a reader, refuses."""
    return importlib.import_module("llmd_benchmark_report.schema_v0_2_1").BenchmarkReportV021.model_validate(told)


def test_a_report_of_llm_d_is_as_its_schema_allows(session: Path, tmp_path: Path) -> None:
    for path in export_session(session, tmp_path, formats=("llm-d",)):
        assert report(json.loads(path.read_text())).version == "0.2.1"
    told = json.loads(path.read_text())
    performance = told["results"]["request_performance"]["aggregate"]
    assert (performance["requests"]["total"], performance["requests"]["failures"]) == (21, 1)
    latency = performance["latency"]
    assert latency["request_latency"]["mean"] == pytest.approx(0.4)
    assert latency["normalized_time_per_output_token"]["mean"] == pytest.approx(0.1)
    assert performance["throughput"]["output_token_rate"]["mean"] == 40.0
    (component,) = told["results"]["observability"]["components"]
    assert component["aggregate"]["kv_cache_usage"] == {"units": "percent", "mean": 50.0, "min": 50.0, "max": 50.0}
    assert component["aggregate"]["gpu_memory_usage"]["mean"] == 2.0
    over_time = component["time_series"]
    assert {name: len(told["series"]) for name, told in over_time.items()} == {
        "kv_cache_usage": 2,
        "num_requests_running": 2,
        "num_requests_waiting": 2,
    }
    assert [point["mean"] for point in over_time["num_requests_running"]["series"]] == [2.0, 2.0]
    assert told["results"]["component_health"][0]["total_restarts"] == 2
    assert "SIMULATED" in told["run"]["description"] and told["run"]["uid"].endswith("-3")
    assert told["scenario"]["stack"][0]["native"]["args"]["max-num-seqs"] == "8"


def test_a_report_tells_the_engine_and_its_cards(tmp_path: Path) -> None:
    server = {"model": "m", "gpus": [0, 1], "args": {"tensor-parallel-size": 2}}
    profile = made.PROFILE.model_dump(mode="json") | {"server": server}
    writer = SessionWriter(tmp_path / "x.vramp", made.meta(profile_json=json.dumps(profile), gpu_summary="2 × L4"))
    writer.add_requests([made.request(1)])
    writer.add_cell(made.cell(tag=1, duration_s=1.0), made.START_NS + 1)
    writer.close("finished")
    (path,) = export_session(tmp_path / "x.vramp", tmp_path, formats=("llm-d",))
    (component,) = report(json.loads(path.read_text())).scenario.stack
    told = component.standardized
    assert (told.kind, told.model.name, told.accelerator.model) == ("inference_engine", "m", "2 × L4")
    assert (told.accelerator.count, told.accelerator.parallelism.tp) == (2, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": {"uid": "x"}, "results": {"speed": 1}},
        {"results": {}},
        {"run": {"uid": "x"}, "results": {"request_performance": {"aggregate": {"latency": {"request_latency": 1.0}}}}},
    ],
)
def test_a_wrong_report_would_be_seen(wrong: dict[str, Any]) -> None:
    assert report({"run": {"uid": "x"}, "results": {}}).run.uid == "x"
    with pytest.raises(ValueError, match="validation error"):
        report(wrong)


def test_a_session_without_requests_gives_no_files(tmp_path: Path) -> None:
    path = made.session(tmp_path / "x.vramp", requests=[], cells=[msgspec.structs.replace(made.cell(), tag=7)])
    assert export_session(path, tmp_path, formats=("vllm", "llm-d")) == []


def test_requests_of_cells_that_went_at_once_are_told_apart_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "mixed.vramp"
    writer = SessionWriter(path, made.meta())
    # Of three measurements in turn, the last of which no cell is of.
    writer.add_requests([made.request(number, tag=number % 3 + 1, prompt_tokens=number) for number in range(1, 31)])
    for tag in (1, 2):
        writer.add_cell(made.cell(tag, 31, tag=tag, duration_s=1.0), made.START_NS + tag)
    writer.close("finished")
    shares: list[float] = []
    written = export_session(path, tmp_path, formats=("vllm",), on_progress=shares.append)
    lens = [json.loads(each.read_text()) for each in written]
    assert {each["vramp_users"]: each["num_prompts"] for each in lens} == {1: 10, 2: 10}
    assert shares == [0.5, 1.0]
    with SessionReader(path) as reader:
        assert reader.count_by_tag([1, 3, 9]) == {1: 10, 3: 10}
        assert {record.tag for record in reader.requests_of([3])} == {3}
