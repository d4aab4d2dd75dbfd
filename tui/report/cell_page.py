"""What a report tells of one cell: its verdict, figures, conditions, and how long its requests took. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import msgspec

from tui.metrics.cell import CellResult, users_in_words
from tui.report.charts import histogram
from tui.report.elements import element
from tui.report.facts import SessionFacts
from tui.report.tables import anchor_of, marked, number

_SAID = (
    ("requests answered", "requests_ok", ""),
    ("requests failed", "requests_failed", ""),
    ("never started", "requests_dropped", ""),
    ("measured time", "duration_s", " s"),
    ("time to resolve, mean", "time_to_resolve_s", " s"),
    ("tokens/s in total", "tokens_per_s_total", ""),
    ("tokens/s per user", "tokens_per_s_per_user", ""),
    ("under way at once, mean", "delivered_concurrency", ""),
    ("VRAM of the fullest GPU", "vram_used_max_bytes", " GB"),
    ("KV cache at most", "kv_cache_usage_max", " %"),
    ("preemptions", "preemptions", ""),
    ("goodput", "goodput_requests_per_s", " requests/s"),
    ("energy per output token", "energy_per_token_j", " J"),
    ("client late by, p99", "client_delay_p99_s", " s"),
)
_FACTORS = {" GB": 1e-9, " %": 100.0}
_PERCENTILES = ("p50", "p90", "p99")


def cell_page(facts: SessionFacts, cell: CellResult, place: str, *, pictures: bool) -> Element:
    """Return a cell as something to unfold; with `pictures`, how its latencies are spread."""
    head = f"{users_in_words(cell.users)} × {cell.prompt_tokens:,} prompt tokens: {cell.outcome}"
    if cell.time_to_resolve_s is not None:
        head += f", {number(cell.time_to_resolve_s)} s to resolve, {number(cell.tokens_per_s_total)} tokens/s"
    body = element("div", id=anchor_of(place, cell))
    for said in _sentences(cell):
        body.append(element("p", said))
    figures = element("dl")
    for name, value in _figures(cell):
        figures.append(element("dt", name))
        figures.append(element("dd", value))
    if len(figures):
        body.append(figures)
    charts = element("div", class_="charts")
    spread = cell.distributions if pictures else None
    for name, of in (("TTFT", "ttft"), ("ITL", "itl"), ("E2E", "e2e")):
        if spread is not None and (drawn := histogram(marked(name, facts.simulated), getattr(spread, of))) is not None:
            charts.append(element("figure", drawn))
    if len(charts):
        body.append(charts)
    if cell.conditions is not None and (told := cell.conditions.in_words):
        body.append(element("p", "Conditions: " + "; ".join(told), class_="soft"))
    return element("details", element("summary", marked(head, facts.simulated)), body)


def _sentences(cell: CellResult) -> Iterator[str]:
    if not cell.measured:
        yield "No request was sent for it."
    if cell.verdict is not None:
        yield f"Limited by: {cell.verdict.limit}. {cell.verdict.sentence}"
        if cell.verdict.evidence:
            yield "It goes by: " + "; ".join(cell.verdict.evidence)
    if cell.evidence:
        yield f"Evidence: {cell.evidence}"
    if cell.caveats:
        yield f"To be known: {cell.caveats}"
    if cell.rate is not None:
        yield "Requests per second: " + ", ".join(
            f"{name.removesuffix('_per_s').replace('_', ' ')} {number(value)}"
            for name, value in msgspec.structs.asdict(cell.rate).items()
            if name.endswith("_per_s") and value is not None
        )


def _figures(cell: CellResult) -> Iterator[tuple[str, str]]:
    for name, field, unit in _SAID:
        value = getattr(cell, field)
        if value is None or (field in ("requests_failed", "requests_dropped") and not value):
            continue
        yield name, number(value * _FACTORS.get(unit, 1)) + unit
    for latency in ("ttft", "tpot", "itl", "e2e"):
        told = [
            f"{name} {number(value)} s"
            for name in _PERCENTILES
            if (value := getattr(cell, f"{latency}_{name}_s")) is not None
        ]
        if told:
            yield latency.upper(), ", ".join(told)
    if cell.cost_per_1m_tokens is not None:
        yield "cost per million tokens", f"{number(cell.cost_per_1m_tokens)} {cell.currency}"
