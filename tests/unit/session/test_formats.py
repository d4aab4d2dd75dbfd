"""Results of other tools: read as cells, each one's traps, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.comparison import Change, compare
from tui.metrics.measured import Measured
from tui.profile.schema import Profile
from tui.session.formats.recognised import FORMATS, results_of
from tui.session.references import beside_of
from tui.session.sides import read_side

RESULTS = Path(__file__).parents[2] / "corpus" / "results"
VLLM, AIPERF, GUIDELLM = (
    RESULTS / name for name in ("vllm-bench-serve-0.json", "aiperf-0.13.0.json", "guidellm-0.8.1.json")
)


def only(side: Measured) -> CellResult:
    (cell,) = side.cells
    return cell


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def of(*documents: Any) -> Measured:
    return results_of("x", documents, "x.json")


@pytest.mark.parametrize(("path", "tool"), [(VLLM, "vllm bench serve"), (AIPERF, "AIPerf"), (GUIDELLM, "GuideLLM")])
def test_a_tools_own_file_is_a_cell(path: Path, tool: str) -> None:
    side = read_side(str(path))
    assert (side.source, side.simulated, side.sizes_are_means) == (f"result of {tool}", True, True)
    assert side.label.endswith("(SIMULATED)")
    cell = only(side)
    assert (cell.users, cell.output_tokens, cell.mode, cell.outcome, cell.requests_ok) == (4, 32, "steady", "ok", 16)
    # The same server, the same load: TTFT about 12 ms, a token each 5.3 ms, 32 of them.
    assert cell.tpot_p50_s == pytest.approx(0.0053, rel=0.03)
    assert cell.ttft_p50_s == pytest.approx(0.0117, rel=0.1)
    assert cell.e2e_p50_s == pytest.approx(0.0117 + 31 * 0.0053, rel=0.03)
    assert cell.time_to_resolve_s == pytest.approx(0.177, rel=0.02)
    assert cell.ttft_p90_s is cell.tpot_p99_s is None, "16 requests carry no p90"


def test_guidellms_time_per_output_token_is_not_taken_for_it() -> None:
    metrics = document(GUIDELLM)["benchmarks"][0]["metrics"]
    cell = only(read_side(str(GUIDELLM)))
    assert cell.tpot_p50_s == metrics["inter_token_latency_ms"]["successful"]["median"] / 1e3
    with_ttft = metrics["time_per_output_token_ms"]["successful"]["median"] / 1e3
    assert with_ttft == pytest.approx((cell.e2e_p50_s or 0) / 32, rel=0.01), "it holds the time to the first token"
    assert cell.itl_p50_s is None
    assert any("time_per_output_token_ms" in note for note in read_side(str(GUIDELLM)).notes)


def test_aiperfs_inter_token_latency_is_tpot() -> None:
    told = document(AIPERF)
    cell = only(of(told))
    assert cell.tpot_p50_s == pytest.approx(told["inter_token_latency"]["p50"] / 1e3)
    assert cell.itl_p50_s == pytest.approx(told["inter_chunk_latency"]["p50"] / 1e3)
    assert cell.tokens_per_s_per_user == told["e2e_output_token_throughput"]["avg"]
    for change in ({"was_cancelled": True}, {"is_complete": False}):
        with pytest.raises(SessionError, match="cancelled or is incomplete"):
            of(told | change)


def test_vllm_tells_bursts_rates_and_closed_loops() -> None:
    told = document(VLLM)
    burst = only(of(told | {"max_concurrency": None}))
    assert (burst.mode, burst.users) == ("burst", 16)
    rate = only(of(told | {"max_concurrency": None, "request_rate": 5.0, "duration": 1.0, "mean_e2el_ms": 500.0}))
    assert (rate.mode, rate.users) == ("rate", 8), "16 requests of 0.5 s in one second"
    dead = only(of(told | {"completed": 0, "failed": 16, "total_input_tokens": 0}))
    assert (dead.outcome, dead.prompt_tokens, dead.tokens_per_s_total) == ("http-error", 112, None)
    assert burst.distributions is not None and burst.distributions.e2e is not None


def test_sglangs_drawn_sizes_are_means_and_lines_are_cells() -> None:
    side = read_side(str(RESULTS / "sglang.jsonl"))
    assert [(cell.users, cell.prompt_tokens, cell.mode) for cell in side.cells] == [
        (8, 1024, "steady"),
        (5, 512, "rate"),
    ]
    assert side.cells[0].output_tokens == 128 and side.cells[0].e2e_p90_s == 1.3
    assert side.circumstances.told["model"] == "org/model" and side.sizes_are_means


BESIDE = {
    "tokens_per_s_total": (242.4, 0.02),
    "time_to_resolve_s": (2.115, 0.01),
    "e2e_p50_s": (2.108, 0.01),
    "tpot_p50_s": (0.0325, 0.01),
    "ttft_p50_s": (0.0626, 0.15),
}
"""What vramp measured of the same server's cell, and how far from it a tool may be."""


@pytest.mark.parametrize(
    "name", ["vllm-bench-serve.json", "guidellm-0.8.1.json", "aiperf-0.13.0.json", "sglang-0.5.23.jsonl"]
)
def test_what_other_tools_measured_of_the_same_cell_is_what_vramp_measured(name: str) -> None:
    cell = only(read_side(str(RESULTS / "beside" / name)))
    assert (cell.users, cell.output_tokens, cell.mode, cell.simulated) == (
        8,
        64,
        "steady",
        name != "sglang-0.5.23.jsonl",
    )
    assert cell.prompt_tokens == pytest.approx(512, rel=0.03)
    assert (cell.requests_ok, cell.requests_failed) == (96, 0)
    for figure, (ours, share) in BESIDE.items():
        assert getattr(cell, figure) == pytest.approx(ours, rel=share), figure


def test_a_result_with_pythons_own_infinity_is_read_and_its_errors_are_failures() -> None:
    path = RESULTS / "beside" / "sglang-0.5.23.jsonl"
    assert '"request_rate": Infinity' in path.read_text()
    with pytest.raises(ValueError, match="malformed"):
        msgspec.json.decode(path.read_bytes())
    told = json.loads(path.read_text()) | {"completed": 77, "errors": [""] * 77 + ["too long"] * 19}
    assert (only(of(told)).requests_ok, only(of(told)).requests_failed) == (77, 19)
    assert "--output-details" not in " ".join(of(told).notes)
    del told["errors"]
    assert "how many requests failed is not told (--output-details tells it)" in of(told).notes


def test_inferencex_rows_are_the_cells_of_one_system() -> None:
    side = read_side(str(RESULTS / "inferencex.json"))
    assert [(cell.users, cell.prompt_tokens, cell.output_tokens) for cell in side.cells] == [
        (4, 1024, 1024),
        (64, 1024, 1024),
    ]
    assert [cell.tokens_per_s_total for cell in side.cells] == [400.0, 4000.0], "of answers, of all eight GPUs"
    assert side.cells[0].tpot_p99_s == 0.012 and side.circumstances.told["GPUs"] == "8 × h200"
    rows = document(RESULTS / "inferencex.json")
    rows[1]["hw"] = "b200"
    with pytest.raises(SessionError, match=r"one system, found 2 \(h200 .*; b200"):
        of(rows)


def test_a_folder_of_results_is_one_grid(tmp_path: Path) -> None:
    for users in (1, 2, 4):
        told = document(VLLM) | {"max_concurrency": users}
        (tmp_path / f"c{users}.json").write_text(json.dumps(told))
    (tmp_path / "notes.json").write_text('{"by": "somebody"}')
    assert [cell.users for cell in read_side(str(tmp_path)).cells] == [1, 2, 4]
    (tmp_path / "other.json").write_text(GUIDELLM.read_text())
    with pytest.raises(SessionError, match="results of one tool, found"):
        read_side(str(tmp_path))


def test_tools_compare_and_no_difference_is_claimed_that_they_do_not_carry(tmp_path: Path) -> None:
    here, there = document(VLLM), document(VLLM)
    there["median_ttft_ms"] *= 1.02
    (pair,) = compare([of(here), of(there)]).pairs
    changes = {each.figure: each.change for each in pair.cells[0].figures}
    assert changes["ttft_p50_s"] is Change.SAME
    assert changes["tpot_p50_s"] is Change.UNSURE


def test_results_lie_beside_a_profile() -> None:
    profile = Profile.model_validate(
        {
            "name": "demo",
            "engine": "simulated",
            "server": {"model": "m"},
            "load": {"users": [4], "prompt_tokens": [112], "mode": "burst", "output_tokens": 32},
            "reference": {"session": str(VLLM)},
        }
    )
    found = beside_of(profile).reference
    assert found is not None and found.problem == ""
    assert found.words == f"the result of vllm bench serve {VLLM.name} (SIMULATED)"
    assert "mode steady there, burst here" in found.differs
    assert [(cell.users, cell.prompt_tokens, cell.ok) for cell in found.cells] == [(4, 112, True)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ('{"a": 1}', "found something else"),
        ("[" * 100_000, "expected JSON"),
        ('{"benchmarks": []}', "found something else"),
        ('[{"hw": "x", "tput_per_gpu": 1, "conc": 0, "isl": 1}]', "users"),
        ('[{"hw": "x", "tput_per_gpu": 1, "conc": 1e9, "isl": 1}]', "users"),
        ('[{"hw": "x", "tput_per_gpu": 1, "conc": 1}]', "prompt tokens, found none"),
        ('[{"hw": "x", "tput_per_gpu": 1, "conc": 1, "isl": 8}, 7]', "found something else"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(SessionError, match=why) as error:
        read_side(str(path))
    assert "x.json" in str(error.value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", [VLLM, AIPERF, GUIDELLM, RESULTS / "inferencex.json"], ids=lambda path: path.stem)
@given(data=st.data())
def test_a_file_that_somebody_altered_is_cells_or_a_sentence(path: Path, data: st.DataObject) -> None:
    told = document(path)
    place = told
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if (
            not keys
            or not isinstance(inner := place[key := data.draw(st.sampled_from(keys))], dict | list)
            or not inner
        ):
            break
        place = inner
    key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
    place[key] = data.draw(_json)
    try:
        side = of(told)
    except SessionError:
        return
    for cell in side.cells:
        assert cell.users >= 1 and cell.prompt_tokens >= 1
        assert cell.outcome in (Outcome.OK, Outcome.HTTP_ERROR)


def test_every_tool_is_known_by_its_own_file_alone() -> None:
    assert len({form.tool for form in FORMATS}) == len(FORMATS) == 5
