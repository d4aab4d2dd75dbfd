"""One cell of the grid, opened: how it ended, all its figures, what the server says of it, and its requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line, safe_text
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.distribution import Distributions
from tui.metrics.snapshot import RequestRow, Snapshot
from tui.metrics.verdict import asked_delivered_running, where_they_part
from tui.view import formatting
from tui.view.panes.cell_story import server_story
from tui.view.screens.fact_sheet import Fact, FactSheet
from tui.view.screens.roomy import RoomyScreen
from tui.view.widgets.bars import filled
from tui.view.widgets.histogram_bars import histogram_lines

Place = tuple[int, int]
"""users, prompt tokens"""
_NOTHING = Fact("", ())
_BAR_CELLS = 24
_LABEL_CELLS = 12
"""What labels take of a line."""
_REQUESTS = 40


class CellScreen(RoomyScreen):
    """Shows the cell as it is in the latest snapshot; the run goes on below."""

    CSS = """
    CellScreen { padding: 0 1; }
    CellScreen #title { height: 1; margin-bottom: 1; }
    CellScreen FactSheet { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "close", "back", key_display="esc", id="cell.close", tooltip="back to the grid")
    ]
    HELP = "One cell of the grid: its outcome with the evidence, its figures, and those of its requests still at hand."

    def __init__(self, place: Place, snapshot: Snapshot) -> None:
        super().__init__()
        self.place = place
        self._snapshot = snapshot
        self._composed = False

    def compose(self) -> ComposeResult:
        """One column that scrolls."""
        yield Static(id="title", markup=False)
        yield FactSheet()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Fill it."""
        self._composed = True
        self.show(self._snapshot)
        self.query_one(FactSheet).focus()

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self._snapshot = snapshot
        if not self._composed:
            return
        users, prompt_tokens = self.place
        title = Content.assemble(
            ("vramp", "bold $accent"),
            (f"   {users_in_words(users)} × {formatting.count(prompt_tokens)} prompt tokens", "bold"),
            (f"   {safe_line(snapshot.grid.mode, limit=12)}", "$text-muted"),
            ("   SIMULATED" if snapshot.simulated else "", "bold $warning"),
        )
        self.query_one("#title", Static).update(title)
        sheet = self.query_one(FactSheet)
        sheet.show(cell_facts(self.place, snapshot, sheet.room - _LABEL_CELLS), from_top=False)

    def on_resize(self, _: events.Resize) -> None:
        """Draw the histograms for the new width."""
        self.call_after_refresh(lambda: self.show(self._snapshot))

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


def cell_facts(place: Place, snapshot: Snapshot, width: int = 64) -> list[Fact]:
    """Return all that is known of the cell at `place`, its histograms in at most `width` cells. Pure."""
    cell = next((one for one in snapshot.grid.cells if (one.users, one.prompt_tokens) == place), None)
    queueing = place in snapshot.grid.queueing
    facts = _outcome_facts(cell, queueing=queueing)
    if cell is not None and not cell.outcome.is_open:
        facts += [*_limit_facts(cell), *_figure_facts(cell), *_latency_facts(cell, width)]
        if cell.caveats:
            facts.append(Fact("note", tuple(Content(safe_line(text, limit=200)) for text in cell.caveats.split("; "))))
        if said := server_story(cell, queueing=queueing):
            facts.append(Fact("server", tuple(Content(part) for part in said.split(" · "))))
        if cell.conditions is not None:
            said_of = tuple(Content(safe_line(text, limit=300)) for text in cell.conditions.in_words)
            facts.append(Fact("conditions", said_of or (Content("nothing is known of them"),)))
    facts += _edge_facts(place, snapshot)
    running = cell is not None and cell.outcome is Outcome.RUNNING
    return [*facts, _NOTHING, *_request_facts(place, snapshot, running=running)]


def _outcome_facts(cell: CellResult | None, *, queueing: bool) -> list[Fact]:
    if cell is None or cell.outcome.is_open:
        running = cell is not None and cell.outcome is Outcome.RUNNING
        lines = [Content("being measured now" if running else "not measured yet")]
        if queueing:
            lines.append(Content("must queue: the KV cache holds fewer requests of this size"))
        return [Fact("outcome", tuple(lines))]
    failed = cell.outcome not in (Outcome.OK, Outcome.IMPLIED)
    outcome = Content.styled(cell.outcome.value, "bold $error" if failed else "bold")
    facts = [Fact("outcome", (outcome, Content.styled(f"measured by the {cell.measured_by}", "$text-muted")))]
    if not cell.measured:
        facts = [Fact("outcome", (outcome, Content.styled("not measured: known without asking", "$text-muted")))]
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


def _figure_facts(cell: CellResult) -> list[Fact]:
    told = [
        ("resolve", cell.time_to_resolve_s, "s, mean E2E"),
        ("published", cell.reference_s, "s in the published table"),
        ("tokens/s", cell.tokens_per_s_total, "in total"),
        ("", cell.tokens_per_s_per_user, "per user"),
        ("goodput", cell.goodput_requests_per_s, "requests/s that met the SLO"),
        ("delivered", cell.delivered_concurrency, "requests under way on average"),
        ("measured", cell.duration_s, "s"),
        ("VRAM", None if cell.vram_used_max_bytes is None else cell.vram_used_max_bytes / 1e9, "GB at most"),
        ("cost", cell.cost_per_1m_tokens, f"{safe_line(cell.currency, limit=8)} per 1M tokens"),
    ]
    facts = [
        Fact(name, (Content(f"{formatting.significant(value, 0)} {unit}"),)) for name, value, unit in told if value
    ]
    facts += _sureness_facts(cell)
    requests = f"{formatting.count(cell.requests_ok)} ok, {formatting.count(cell.requests_failed)} failed"
    if cell.requests_dropped:
        requests += f", {formatting.count(cell.requests_dropped)} never started"
    return [*facts, Fact("requests", (Content(requests),))] if cell.measured else facts


def _sureness_facts(cell: CellResult) -> list[Fact]:
    """Return how sure the figures are, and of how many measures they are made."""
    facts = []
    precision, repeats, rate = cell.precision, cell.repeats, cell.rate
    if precision is not None and precision.error is not None:
        parts = [
            f"tokens/s ±{formatting.fixed((precision.tokens_per_s_error or 0.0) * 100, 0, 1)} %",
            f"median E2E ±{formatting.fixed((precision.e2e_p50_error or 0.0) * 100, 0, 1)} %",
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
        facts.append(Fact("rate", (Content(f"{asked} requests/s asked, {answered} answered"),)))
    return facts


def _latency_facts(cell: CellResult, width: int) -> list[Fact]:
    """Return the percentiles as a ladder of bars, one scale for each figure, with their histograms."""
    known = cell.distributions or Distributions()
    rows = [
        ("TTFT", (cell.ttft_p50_s, cell.ttft_p90_s, cell.ttft_p99_s), known.ttft),
        ("ITL", (cell.itl_p50_s, cell.itl_p90_s, cell.itl_p99_s), known.itl),
        ("TPOT", (cell.tpot_p50_s, cell.tpot_p90_s, cell.tpot_p99_s), None),
        ("E2E", (cell.e2e_p50_s, cell.e2e_p90_s, cell.e2e_p99_s), known.e2e),
    ]
    facts = []
    for name, percentiles, distribution in rows:
        top = max((value for value in percentiles if value is not None), default=None)
        if top is None:
            continue
        labelled = zip(("p50", "p90", "p99"), percentiles, strict=True)
        facts.append(Fact(name, tuple(_rung(label, value, top) for label, value in labelled)))
        if distribution is not None:
            facts.append(Fact("", tuple(histogram_lines(distribution, width))))
    if facts and cell.distributions is None:
        why = "not in this session, which an earlier version of vramp has written"
        facts.append(Fact("histograms", (Content.styled(why, "$text-muted"),)))
    return [_NOTHING, *facts] if facts else []


def _rung(label: str, value_s: float | None, top_s: float) -> Content:
    share = value_s / top_s if value_s is not None and top_s > 0 else None
    text = formatting.milliseconds(value_s, 8) + " ms" if value_s is not None else "the sample is too small for it"
    return Content.assemble((f"{label} ", "$text-muted"), ("█" * filled(share, _BAR_CELLS), "$accent"), f" {text}")


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
