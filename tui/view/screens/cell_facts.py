"""All that is known of one cell, as facts in groups: its end, figures, latencies, conditions, requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from textual.content import Content

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line, safe_text
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.distribution import Distributions
from tui.metrics.snapshot import RequestRow, Snapshot
from tui.metrics.verdict import asked_delivered_running, where_they_part
from tui.view import formatting
from tui.view.colours.paint import Ink
from tui.view.panes.cell_story import server_story
from tui.view.screens.fact_sheet import Fact
from tui.view.widgets.bars import filled
from tui.view.widgets.histogram_bars import histogram_lines

Place = tuple[int, int]
"""users, prompt tokens"""
Hue = Callable[[Ink], str]
"""Gives the style in which a figure is written on this terminal."""
_NOTHING = Fact("", ())
_LABEL_CELLS = 10
_WIDEST_BAR, _NARROWEST_BAR = 40, 4
_RUNG_CELLS = 16
"""What stands beside the bar of a percentile: its name, the value, the unit."""
_REQUESTS = 40


def accent(_: Ink) -> str:
    """Return the style of figures where their own hues are not asked for."""
    return "$accent"


@dataclass(frozen=True)
class Widths:
    """How many cells blocks of figures, and of histograms, are wide."""

    column: int
    histogram: int


@dataclass(frozen=True)
class CellFacts:
    """The groups, each a block of its own where there is room; empty ones are not shown."""

    ending: list[Fact]
    """How it ended, with the evidence, and what limited it."""
    figures: list[Fact] = field(default_factory=list)
    latencies: list[Fact] = field(default_factory=list)
    histograms: list[Fact] = field(default_factory=list)
    server: list[Fact] = field(default_factory=list)
    """What the server says of it, the edge of its KV cache, and what must be known to read the figures."""
    conditions: list[Fact] = field(default_factory=list)
    requests: list[Fact] = field(default_factory=list)


def grouped_facts(place: Place, snapshot: Snapshot, widths: Widths, hue: Hue = accent) -> CellFacts:
    """Return all that is known of the cell at `place`."""
    cell = next((one for one in snapshot.grid.cells if (one.users, one.prompt_tokens) == place), None)
    queueing = place in snapshot.grid.queueing
    ending = _outcome_facts(cell, queueing=queueing)
    edge = _edge_facts(place, snapshot)
    running = cell is not None and cell.outcome is Outcome.RUNNING
    requests = _request_facts(place, snapshot, running=running)
    if cell is None or cell.outcome.is_open:
        return CellFacts(ending, server=edge, requests=requests)
    notes = [Fact("note", tuple(Content(safe_line(text, limit=200)) for text in cell.caveats.split("; ")))]
    said = server_story(cell, queueing=queueing)
    told = [Fact("server", tuple(Content(part) for part in said.split(" · ")))] if said else []
    latencies, histograms = _latency_facts(cell, widths, hue)
    return CellFacts(
        [*ending, *_limit_facts(cell)],
        _figure_facts(cell, hue),
        latencies,
        histograms,
        [*(notes if cell.caveats else []), *told, *edge],
        _condition_facts(cell),
        requests,
    )


def cell_facts(place: Place, snapshot: Snapshot, width: int = 64) -> list[Fact]:
    """Return the same one below the other, in at most `width` cells beside the labels."""
    facts = grouped_facts(place, snapshot, Widths(width + _LABEL_CELLS, width))
    apart = [_NOTHING] if facts.latencies else []
    return [
        *facts.ending,
        *facts.figures,
        *apart,
        *facts.latencies,
        *facts.histograms,
        *facts.server,
        *facts.conditions,
        _NOTHING,
        *facts.requests,
    ]


def _condition_facts(cell: CellResult) -> list[Fact]:
    if cell.conditions is None:
        return []
    said = tuple(Content(safe_line(text, limit=300)) for text in cell.conditions.in_words)
    return [Fact("conditions", said or (Content("nothing is known of them"),))]


_ENDING_STYLES = {Ink.FAILURE: "$error", Ink.WARNING: "$warning", Ink.GOOD: "$success"}


def _outcome_facts(cell: CellResult | None, *, queueing: bool) -> list[Fact]:
    if cell is None or cell.outcome.is_open:
        running = cell is not None and cell.outcome is Outcome.RUNNING
        lines = [Content("being measured now" if running else "not measured yet")]
        if queueing:
            lines.append(Content("must queue: the KV cache holds fewer requests of this size"))
        return [Fact("outcome", tuple(lines))]
    failed = cell.outcome not in (Outcome.OK, Outcome.IMPLIED)
    ink = Ink.FAILURE if cell.outcome.is_oom else Ink.WARNING if failed else Ink.GOOD
    outcome = Content.styled(cell.outcome.value, f"bold {_ENDING_STYLES[ink]}")
    how = f"measured by the {cell.measured_by}" if cell.measured else "not measured: known without asking"
    facts = [Fact("outcome", (Content.assemble(outcome, (f"   {how}", "$text-muted")),))]
    if cell.evidence:
        facts.append(Fact("evidence", (Content(safe_text(cell.evidence, limit=4000)),)))
    return facts


def _limit_facts(cell: CellResult) -> list[Fact]:
    """Return what limited it, with the figures, and how many requests were asked, delivered, running."""
    facts = []
    if cell.verdict is not None:
        name = Content.styled(cell.verdict.limit.value, "bold")
        said = (cell.verdict.sentence, *cell.verdict.evidence)
        facts.append(Fact("limit", (name, *(Content(safe_line(text, limit=500)) for text in said))))
    if said_of := asked_delivered_running(cell):
        parts = [text for text in where_they_part(cell).split("; ") if text]
        facts.append(Fact("at once", (Content(said_of), *(Content.styled(text, "bold") for text in parts))))
    return facts


def _edge_facts(place: Place, snapshot: Snapshot) -> list[Fact]:
    """Return how many users of this prompt size the KV cache carries, as predicted and as measured."""
    edge = next((one for one in snapshot.grid.edges if one.prompt_tokens == place[1]), None)
    if edge is None:
        return []
    said = []
    if edge.predicted is not None:
        said.append(f"the KV cache holds {users_in_words(edge.predicted)} at once, by its blocks")
    if edge.measured is not None:
        more = f", it gave out at {edge.beyond:,}" if edge.beyond is not None else ", and it has not given out yet"
        said.append(f"{users_in_words(edge.measured)} were measured within it{more}")
    return [Fact("edge", tuple(Content(text) for text in said))]


def _figure_facts(cell: CellResult, hue: Hue) -> list[Fact]:
    told = [
        ("resolve", cell.time_to_resolve_s, "s, mean E2E", Ink.E2E),
        ("published", cell.reference_s, "s in the published table", None),
        ("tokens/s", cell.tokens_per_s_total, "in total", Ink.TOTAL),
        ("", cell.tokens_per_s_per_user, "per user", Ink.EACH),
        ("goodput", cell.goodput_requests_per_s, "requests/s that met the SLO", None),
        ("delivered", cell.delivered_concurrency, "requests under way on average", None),
        ("measured", cell.duration_s, "s", None),
        ("VRAM", None if cell.vram_used_max_bytes is None else cell.vram_used_max_bytes / 1e9, "GB at most", None),
        ("cost", cell.cost_per_1m_tokens, f"{safe_line(cell.currency, limit=8)} per 1M tokens", None),
    ]
    facts = [Fact(name, (_figure(value, unit, hue(ink) if ink else ""),)) for name, value, unit, ink in told if value]
    facts += [*_sureness_facts(cell), *_earlier_facts(cell)]
    requests = f"{formatting.count(cell.requests_ok)} ok, {formatting.count(cell.requests_failed)} failed"
    if cell.requests_dropped:
        requests += f", {formatting.count(cell.requests_dropped)} never started"
    return [*facts, Fact("requests", (Content(requests),))] if cell.measured else facts


def _figure(value: float, unit: str, style: str) -> Content:
    return Content.assemble((formatting.significant(value, 0), f"bold {style}".rstrip()), f" {unit}")


def _sureness_facts(cell: CellResult) -> list[Fact]:
    """Return how sure the figures are, and of how many measures they are made."""
    facts = []
    precision, repeats, rate = cell.precision, cell.repeats, cell.rate
    if precision is not None and precision.error is not None:
        parts = [
            f"tokens/s {formatting.within(precision.tokens_per_s_error or 0.0)}",
            f"median E2E {formatting.within(precision.e2e_p50_error or 0.0)}",
            f"(95 %, {formatting.count(precision.requests)} requests), {safe_line(precision.state, limit=12)}",
        ]
        facts.append(Fact("sure", (Content(", ".join(parts[:2]) + " " + parts[2]),)))
    if repeats is not None:
        spread = " to ".join(formatting.significant(value, 0) for value in (repeats.least_s, repeats.most_s))
        middle = formatting.significant(repeats.median_s, 0)
        told = f"{repeats.count}, {safe_line(repeats.figure, limit=20)} {middle} s ({spread} s)"
        facts.append(Fact("repeats", (Content(told),)))
    if rate is not None:
        asked, answered = (formatting.significant(value, 0) for value in (rate.asked_per_s, rate.answered_per_s))
        cut = f", {formatting.count(rate.cut)} cut unanswered at its end" if rate.cut else ""
        facts.append(Fact("rate", (Content(f"{asked} requests/s asked, {answered} answered{cut}"),)))
    return facts


def _earlier_facts(cell: CellResult) -> list[Fact]:
    """Return what the cell came to when it was measured before, beside what it comes to now."""
    earlier = cell.earlier
    if earlier is None:
        return []
    measures = "one earlier measure" if earlier.count == 1 else f"{formatting.count(earlier.count)} earlier measures"
    launch = f" on launch {earlier.launch}" if earlier.launch else ""
    lines = [Content(f"{measures}, the last{launch}: {earlier.outcome.value}")]
    for name, then, now, unit in (
        ("resolve", earlier.time_to_resolve_s, cell.time_to_resolve_s, " s"),
        ("TTFT p50", earlier.ttft_p50_s, cell.ttft_p50_s, " s"),
        ("tokens/s", earlier.tokens_per_s_total, cell.tokens_per_s_total, ""),
    ):
        if then is not None and now is not None:
            figures = f"{name} {formatting.significant(then, 0)}{unit} then, {formatting.significant(now, 0)}{unit} now"
            change = f" ({now / then - 1:+.1%})".replace("-", "−") if then > 0 else ""
            lines.append(Content(figures + change))
    return [Fact("before", tuple(lines))]


def _latency_facts(cell: CellResult, widths: Widths, hue: Hue) -> tuple[list[Fact], list[Fact]]:
    """Return the percentiles as ladders of bars, one scale for each figure; and the histograms."""
    known = cell.distributions or Distributions()
    rows = [
        ("TTFT", Ink.TTFT, (cell.ttft_p50_s, cell.ttft_p90_s, cell.ttft_p99_s), known.ttft),
        ("ITL", Ink.ITL, (cell.itl_p50_s, cell.itl_p90_s, cell.itl_p99_s), known.itl),
        ("TPOT", Ink.ITL, (cell.tpot_p50_s, cell.tpot_p90_s, cell.tpot_p99_s), None),
        ("E2E", Ink.E2E, (cell.e2e_p50_s, cell.e2e_p90_s, cell.e2e_p99_s), known.e2e),
    ]
    facts, histograms = [], []
    room = min(_WIDEST_BAR, max(_NARROWEST_BAR, widths.column - _LABEL_CELLS - _RUNG_CELLS))
    for name, ink, percentiles, distribution in rows:
        top = max((value for value in percentiles if value is not None), default=None)
        if top is None:
            continue
        labelled = zip(("p50", "p90", "p99"), percentiles, strict=True)
        facts.append(Fact(name, tuple(_rung(label, value, top, room, hue(ink)) for label, value in labelled)))
        if distribution is not None:
            lines = histogram_lines(distribution, widths.histogram, hue(ink))
            histograms.append(Fact(name, tuple(lines)))
    if facts and cell.distributions is None:
        why = "not in this session, which an earlier version of vramp has written"
        histograms.append(Fact("histograms", (Content.styled(why, "$text-muted"),)))
    return facts, histograms


def _rung(label: str, value_s: float | None, top_s: float, room: int, style: str) -> Content:
    share = value_s / top_s if value_s is not None and top_s > 0 else None
    if value_s is None:
        return Content.assemble((f"{label}  – too few requests", "$text-muted"))
    return Content.assemble(
        (f"{label} ", "$text-muted"), f"{formatting.milliseconds(value_s, 7)} ms ", ("█" * filled(share, room), style)
    )


def _request_facts(place: Place, snapshot: Snapshot, *, running: bool) -> list[Fact]:
    """Return the requests of this cell that the snapshot still has, the failed ones first."""
    known: dict[int, RequestRow] = {}
    for row in (*snapshot.requests_failed, *snapshot.requests):
        if (row.users, row.prompt_tokens) == place:
            known.setdefault(row.request_id, row)
    if not known:
        why = "none has ended yet" if running else "none of its requests are at hand any more"
        return [Fact("requests", (Content.styled(why, "$text-muted"),))]
    return [Fact("at hand", tuple(_request_lines(list(known.values())[:_REQUESTS])))]


def _request_lines(rows: Iterable[RequestRow]) -> Iterable[Content]:
    for row in rows:
        ok = row.outcome is Outcome.OK
        head = f"#{row.request_id:<7} {row.outcome.value:<12} "
        figures = f"TTFT {formatting.significant(row.ttft_s, 5)} s  E2E {formatting.significant(row.e2e_s, 5)} s"
        said = f"  {safe_line(row.error, limit=300)}" if row.error else ""
        yield Content.assemble((head, "" if ok else "$error"), figures, (said, "$error"))
