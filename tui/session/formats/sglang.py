"""SGLang's `bench_serving`: JSON lines, one object a cell, as sglang/benchmark/serving.py appends them.

Its traps: `random_input_len` is the most, not the size, unless `random_range_ratio` is 1 (lengths are drawn from that
share of it on), so that means are taken; `total_output_tokens` is what was asked where answers may end earlier; an
infinite rate is written as `Infinity`, which is no JSON; what failed is told by `--output-details` alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.metrics.cell import CellResult
from tui.metrics.measured import Measured
from tui.session.formats.fields import Fields, cell_of, is_simulated, side_of
from tui.session.formats.vllm_bench import SENT, mode_and_users, percentiles

TOOL = "SGLang bench_serving"


def recognises(document: Fields) -> bool:
    """Say whether an object is such a result."""
    return document.has("backend", "mean_e2e_latency_ms", "output_throughput", "total_input_tokens")


def read(name: str, documents: Sequence[Fields]) -> Measured:
    """Return several results as one grid. Raises SessionError."""
    first = documents[0]
    told = {"model": _model(first), "engine": first.text("backend")}
    notes = [SENT]
    if any(_drawn(each) for each in documents):
        notes.append("sizes are drawn (random_range_ratio below 1); their means stand for them")
    if any(not document.has("errors") for document in documents):
        notes.append("how many requests failed is not told (--output-details tells it)")
    return side_of(
        name, TOOL, [_cell(each) for each in documents], told, notes, sizes_are_means=any(map(_drawn, documents))
    )


def _cell(document: Fields) -> CellResult:
    ok = document.count("completed") or 0
    duration_s = document.number("duration")
    mode, users = mode_and_users(document, duration_s)
    total_in, total_out = document.number("total_input_tokens"), document.number("total_output_tokens")
    mean_in = total_in / ok if total_in is not None and ok else None
    mean_out = total_out / ok if total_out is not None and ok else None
    exact = not _drawn(document)
    prompt = document.number("random_input_len") if exact else None
    output = document.number("random_output_len") if exact else None
    return cell_of(
        users,
        prompt or mean_in,
        output or mean_out,
        mode,
        ok=ok,
        failed=len([each for each in _errors(document) if each]),
        simulated=is_simulated(_model(document)),
        duration_s=duration_s,
        tokens_per_s_total=document.number("output_throughput"),
        time_to_resolve_s=document.seconds("mean_e2e_latency_ms"),
        ttft_mean_s=document.seconds("mean_ttft_ms"),
        **percentiles(document, {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e_latency": "e2e"}),
    )


def _errors(document: Fields) -> list[object]:
    found = document.at("errors")
    return found if isinstance(found, list) else []


def _drawn(document: Fields) -> bool:
    return document.number("random_range_ratio") != 1.0


def _model(document: Fields) -> str:
    return document.text("model") or document.text("server_info", "model_path") or document.text("tokenizer_id")
