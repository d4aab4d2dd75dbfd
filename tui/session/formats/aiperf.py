"""NVIDIA AIPerf's `profile_export_aiperf.json` (1.4): one object, one cell; a statistic is {unit, avg, p50, ...}.

Its traps: `inter_token_latency` is the mean gap of each request, which others call TPOT; the gaps themselves are
`inter_chunk_latency`. `output_token_throughput_per_user` leaves out the time to the first token; what we call tokens/s
per user is `e2e_output_token_throughput`. A run may be cancelled or incomplete and say so only in a flag. Synthetic
prompts need not have the size that was asked for: the mean of what was sent is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.core.errors import SessionError
from tui.metrics.cell import CellResult
from tui.metrics.measured import Measured
from tui.profile.schema import Mode
from tui.session.formats.fields import Fields, cell_of, is_simulated, side_of
from tui.session.formats.vllm_bench import SENT

TOOL = "AIPerf"
_UNITS_S = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def recognises(document: Fields) -> bool:
    """Say whether an object is such a result."""
    return document.has("aiperf_version") or document.has("request_latency", "input_config", "output_token_throughput")


def read(name: str, documents: Sequence[Fields]) -> Measured:
    """Return several results as one grid. Raises SessionError for a run that was not finished."""
    first = documents[0]
    told = {"model": _model(first), "endpoint": first.text("input_config", "endpoint", "type")}
    notes = [SENT, "AIPerf's inter_token_latency is taken as TPOT, its inter_chunk_latency as ITL"]
    notes.append("prompt sizes are means of what was sent")
    return side_of(name, TOOL, [_cell(each) for each in documents], told, notes, sizes_are_means=True)


def _cell(document: Fields) -> CellResult:
    if document.at("was_cancelled") is True or document.at("is_complete") is False:
        raise SessionError("the run of AIPerf was cancelled or is incomplete: its figures are of a part of it")
    phase = next(
        (each for each in document.objects("input_config", "phases") if each.text("kind") == "profiling"), None
    )
    concurrency = document.number("input_config", "loadgen", "concurrency")
    if phase is not None:
        concurrency = phase.number("concurrency")
    ok = document.count("request_count", "avg") or 0
    figures: dict[str, float | None] = {}
    for theirs, ours in (
        ("time_to_first_token", "ttft"),
        ("inter_token_latency", "tpot"),
        ("inter_chunk_latency", "itl"),
        ("request_latency", "e2e"),
    ):
        figures |= {f"{ours}_p{q}_s": _seconds(document, theirs, f"p{q}") for q in (50, 90, 99)}
    return cell_of(
        concurrency if concurrency is not None else document.number("effective_concurrency", "max"),
        document.number("input_sequence_length", "avg"),
        document.number("output_sequence_length", "avg"),
        Mode.STEADY if concurrency is not None else Mode.RATE,
        ok=ok,
        failed=_failed(document),
        simulated=is_simulated(_model(document)),
        duration_s=_seconds(document, "benchmark_duration", "avg"),
        tokens_per_s_total=document.number("output_token_throughput", "avg"),
        tokens_per_s_per_user=document.number("e2e_output_token_throughput", "avg"),
        time_to_resolve_s=_seconds(document, "request_latency", "avg"),
        ttft_mean_s=_seconds(document, "time_to_first_token", "avg"),
        **figures,
    )


def _seconds(document: Fields, metric: str, statistic: str) -> float | None:
    value, unit = document.number(metric, statistic), document.text(metric, "unit")
    return None if value is None or unit not in _UNITS_S else value * _UNITS_S[unit]


def _failed(document: Fields) -> int:
    told = document.count("error_request_count", "avg")
    return told if told is not None else sum(each.count("count") or 0 for each in document.objects("error_summary"))


def _model(document: Fields) -> str:
    items = document.objects("input_config", "models", "items")
    if items:
        return items[0].text("name")
    names = document.at("input_config", "endpoint", "model_names")
    return Fields({"name": names[0]}).text("name") if isinstance(names, list) and names else ""
