"""GuideLLM's `benchmarks.json` (2): a list of benchmarks, each a cell; a metric has successful, errored, incomplete.

Its traps: `time_per_output_token_ms` holds the time to the first token as well (E2E / tokens), and what it calls
`inter_token_latency_ms` is what others call TPOT; it keeps no gaps, so there is no ITL. `request_latency` is in
seconds, the others in ms. A sweep's benchmarks at a rate have no users.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.metrics.cell import CellResult
from tui.metrics.measured import Measured
from tui.profile.schema import Mode
from tui.session.formats.fields import Fields, cell_of, is_simulated, side_of
from tui.session.formats.vllm_bench import SENT

TOOL = "GuideLLM"
_CLOSED_LOOPS = frozenset({"concurrent", "synchronous", "throughput"})


def recognises(document: Fields) -> bool:
    """Say whether an object is such a result."""
    benchmarks = document.objects("benchmarks")
    return bool(benchmarks) and benchmarks[0].at("metrics", "request_latency") is not None


def read(name: str, documents: Sequence[Fields]) -> Measured:
    """Return all benchmarks as one grid. Raises SessionError."""
    benchmarks = [each for document in documents for each in document.objects("benchmarks")]
    backend = benchmarks[0]
    told = {
        "model": _model(backend),
        "endpoint": "chat" if "chat" in backend.text("config", "backend", "request_format") else "completions",
    }
    notes = [
        SENT,
        "GuideLLM's inter_token_latency_ms is taken as TPOT; its time_per_output_token_ms, which holds TTFT, is not",
        "prompt sizes are means",
    ]
    cells = [_cell(each) for each in benchmarks]
    if any(cell.mode == Mode.RATE for cell in cells):
        notes.append("at a rate the mean number of requests under way stands for the users")
    return side_of(name, TOOL, cells, told, notes, sizes_are_means=True)


def _cell(benchmark: Fields) -> CellResult:
    def statistic(metric: str, *path: str) -> float | None:
        return benchmark.number("metrics", metric, "successful", *path)

    def scaled(metric: str, scale: float, *path: str) -> float | None:
        value = statistic(metric, *path)
        return None if value is None else value * scale

    kind = benchmark.text("config", "strategy", "type_")
    users = benchmark.number("config", "strategy", "streams")
    closed = kind in _CLOSED_LOOPS
    if users is None:
        concurrency = statistic("request_concurrency", "mean")
        users = 1.0 if kind == "synchronous" else None if concurrency is None else max(1.0, concurrency)
    figures: dict[str, float | None] = {}
    for metric, ours, scale in (
        ("time_to_first_token_ms", "ttft", 1e-3),
        ("inter_token_latency_ms", "tpot", 1e-3),
        ("request_latency", "e2e", 1.0),
    ):
        figures |= {f"{ours}_p{q}_s": scaled(metric, scale, "percentiles", f"p{q}") for q in (90, 99)}
        figures[f"{ours}_p50_s"] = scaled(metric, scale, "median")
    return cell_of(
        users,
        statistic("prompt_token_count", "mean"),
        statistic("output_token_count", "mean"),
        Mode.STEADY if closed else Mode.RATE,
        ok=benchmark.count("metrics", "request_totals", "successful") or 0,
        failed=benchmark.count("metrics", "request_totals", "errored") or 0,
        simulated=is_simulated(_model(benchmark)),
        duration_s=benchmark.number("duration"),
        tokens_per_s_total=statistic("output_tokens_per_second", "mean"),
        time_to_resolve_s=statistic("request_latency", "mean"),
        ttft_mean_s=scaled("time_to_first_token_ms", 1e-3, "mean"),
        **figures,
    )


def _model(benchmark: Fields) -> str:
    return benchmark.text("config", "backend", "model")
