"""`vllm bench serve` (and `vllm-rs bench serve`): one JSON object, one cell, as vllm/benchmarks/serve.py writes it.

Its traps: latencies count from when a request was sent, not from when it was due; prompts are counted by the client's
tokenizer; without `--max-concurrency` and with an infinite rate all prompts are sent at once, which is a burst.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tui.metrics.cell import CellResult
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.measured import Measured
from tui.profile.schema import Mode
from tui.session.formats.fields import Fields, cell_of, is_simulated, side_of

TOOL = "vllm bench serve"
SENT = "latencies count from when a request was sent; ours from when it was due"


def recognises(document: Fields) -> bool:
    """Say whether an object is such a result."""
    return document.has("request_throughput", "output_throughput", "total_input_tokens", "num_prompts", "model_id")


def read(name: str, documents: Sequence[Fields]) -> Measured:
    """Return several results as one grid. Raises SessionError."""
    first = documents[0]
    told = {"model": first.text("model_id"), "endpoint": _endpoint(first), "rate": _rate_in_words(first)}
    cells = [_cell(each) for each in documents]
    notes = [SENT, "prompt sizes are means by the client's tokenizer"]
    if any(cell.mode == Mode.RATE for cell in cells):
        notes.append("at a rate the mean number of requests under way stands for the users")
    if all(each.has("vramp_prompt_tokens") for each in documents):
        version = first.text("vramp_version")
        return side_of(name, f"vramp {version}", cells, told, [], source="export for vllm bench serve")
    return side_of(name, TOOL, cells, told, notes, sizes_are_means=True)


def _cell(document: Fields) -> CellResult:
    """Return the cell; where the file is of ours, under the sizes and the mode that it was measured as."""
    ok = document.count("completed") or 0
    duration_s = document.number("duration")
    mode, users = mode_and_users(document, duration_s)
    ttfts, latencies = sorted(document.numbers("ttfts")), sorted(document.numbers("latencies"))
    return cell_of(
        document.number("vramp_users") or users,
        document.number("vramp_prompt_tokens")
        or _each(document.number("total_input_tokens"), ok)
        or _mean(document.numbers("input_lens")),
        document.number("vramp_output_tokens") or _each(document.number("total_output_tokens"), ok),
        document.text("vramp_mode") or mode,
        ok=ok,
        failed=document.count("failed") or 0,
        simulated=document.at("vramp_simulated") is True or is_simulated(document.text("model_id")),
        duration_s=duration_s,
        tokens_per_s_total=document.number("output_throughput"),
        goodput_requests_per_s=document.number("request_goodput"),
        time_to_resolve_s=document.seconds("mean_e2el_ms"),
        ttft_mean_s=document.seconds("mean_ttft_ms"),
        distributions=Distributions(ttft=Distribution.of_ordered_s(ttfts), e2e=Distribution.of_ordered_s(latencies))
        if len(ttfts) == ok or len(latencies) == ok
        else None,
        **percentiles(document, {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2e"}),
    )


def percentiles(document: Fields, latencies: dict[str, str]) -> dict[str, float | None]:
    """Return median, p90 and p99 in ms of each latency, given by the tool's name of it, as figures of a cell."""
    figures: dict[str, float | None] = {}
    for theirs, ours in latencies.items():
        median = document.seconds(f"median_{theirs}_ms")
        figures[f"{ours}_p50_s"] = document.seconds(f"p50_{theirs}_ms") if median is None else median
        figures |= {f"{ours}_p{q}_s": document.seconds(f"p{q}_{theirs}_ms") for q in (90, 99)}
    return figures


def mode_and_users(document: Fields, duration_s: float | None) -> tuple[Mode, float | None]:
    """Return how requests came, and how many users that is."""
    rate, limit = document.number("request_rate"), document.number("max_concurrency")
    if rate is not None and rate < 1e9:
        mean_s = document.seconds("mean_e2el_ms") or document.seconds("mean_e2e_latency_ms")
        completed = document.number("completed")
        known = None not in (mean_s, completed) and duration_s
        under_way = (completed or 0) * (mean_s or 0) / duration_s if known and duration_s else None
        return Mode.RATE, None if under_way is None else max(1.0, under_way)
    if limit:
        return Mode.STEADY, limit
    return Mode.BURST, document.number("num_prompts") or document.number("completed")


def _endpoint(document: Fields) -> str:
    kind = document.text("endpoint_type") or document.text("backend")
    return "chat" if "chat" in kind else "completions" if kind in ("openai", "vllm") else kind


def _rate_in_words(document: Fields) -> str:
    rate = document.number("request_rate")
    return "" if rate is None else f"{rate:g} requests/s"


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _each(total: float | None, count: int) -> float | None:
    return total / count if total is not None and count else None
