"""The page of a report: one session after the other. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from xml.etree.ElementTree import Element

from tui.core.outcome import Outcome
from tui.metrics.best import best_cell
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.cell_figures import FIGURES, CellFigure
from tui.report import figures, tables
from tui.report.cell_page import cell_page
from tui.report.elements import element
from tui.report.facts import OnStep, SessionFacts
from tui.report.frame import framed
from tui.report.tables import number
from tui.session.export_toml import profile_toml

MOST_PAGES = 400
_MOST_PICTURES = 120
_OPEN_GRIDS = 2
_MOST_LISTED = 200
_MOST_NAMED = 12


def page(sessions: Sequence[SessionFacts], on_step: OnStep = lambda said: None) -> str:
    """Return the page of some sessions, one after the other."""
    mark = " – SIMULATED" if any(facts.simulated for facts in sessions) else ""
    parts: list[Element] = []
    if len(sessions) > 1:
        links = (
            element("li", element("a", f"{_name(facts)}, {facts.meta.session_id}", href=f"#s{place}"))
            for place, facts in enumerate(sessions)
        )
        parts.append(element("nav", element("ol", *links)))
    for place, facts in enumerate(sessions):
        on_step(f"drawing {facts.meta.session_id}")
        parts.append(element("main", *_session(facts, f"s{place}"), id=f"s{place}"))
    return framed(", ".join(_name(facts) for facts in sessions[:3]) + mark, parts)


def _name(facts: SessionFacts) -> str:
    return facts.meta.profile_title or facts.meta.profile_name


def _session(facts: SessionFacts, place: str) -> Iterator[Element]:
    meta = facts.meta
    yield element("h1", _name(facts))
    if meta.simulated:
        told = "SIMULATED: every figure here comes from a model of a server, not from a server."
        yield element("p", told, class_="simulated")
    yield element("p", _when(facts), class_="soft")
    if meta.note:
        yield element("p", f"Note: {meta.note}")
    yield from _summary(facts)
    yield from _grids(facts, place)
    if drawn := list(figures.by_size(facts)):
        yield element("h2", "Time by users and by prompt size")
        yield element("div", *drawn, class_="pair")
    yield from _run(facts)
    yield from _failures(facts)
    if facts.cells:
        yield element("h2", "The cells")
        yield tables.all_cells(facts, place)
        for nth, cell in enumerate(facts.cells[:MOST_PAGES]):
            yield cell_page(facts, cell, place, pictures=nth < _MOST_PICTURES)
        yield from (element("p", said) for said in _left_out(facts.cells))
    yield from _environment(facts)


def _when(facts: SessionFacts) -> str:
    meta, run = facts.meta, facts.whole.session
    long = timedelta(seconds=round(max(0.0, min(1e9, facts.since_start_s(facts.last_ns)))))
    said = f"Session {meta.session_id}, begun {meta.started_at}, {long} long, {run.state}"
    said += f" ({run.ended_how})" if run.ended_how else ""
    if meta.time_scale != 1.0:
        said += f"; in modelled seconds, {meta.time_scale:g} to a real one"
    return said + "."


def _summary(facts: SessionFacts) -> Iterator[Element]:
    yield element("h2", "In short")
    best = best_cell(facts.cells)
    tiles = element("ul", class_="tiles")

    def tile(value: str, words: str) -> None:
        tiles.append(element("li", element("b", value), element("small", tables.marked(words, facts.simulated))))

    if best is not None:
        tile(number(best.tokens_per_s_total), "tokens/s in the best cell")
        tile(f"{best.users:,} × {best.prompt_tokens:,}", "users × prompt tokens of the best cell")
        if best.cost_per_1m_tokens is not None:
            tile(f"{number(best.cost_per_1m_tokens)} {best.currency}", "per million tokens in the best cell")
    failed = f", {facts.requests_failed:,} failed" if facts.requests_failed else ""
    tile(f"{facts.answered:,}", "requests answered" + failed)
    yield tiles
    sentences = [edge.sentence for edge in facts.whole.edges if edge.sentence]
    if sentences:
        yield element("h3", "How many users it carries")
        yield element("ul", *(element("li", sentence) for sentence in sentences[:_MOST_LISTED]))
    if best is not None and best.verdict is not None:
        where = f"{users_in_words(best.users)} × {best.prompt_tokens:,} prompt tokens"
        yield element("p", f"The best cell, {where}, was limited by: {best.verdict.limit}. {best.verdict.sentence}")
    if facts.said:
        yield element("pre", "\n".join(facts.said), class_="wrapped")
    if not facts.cells:
        yield element("p", "No cell was measured.")


def _grids(facts: SessionFacts, place: str) -> Iterator[Element]:
    drawn = [
        (figure, grid)
        for figure in FIGURES
        if (grid := tables.grid(facts.cells, figure, _caption(facts, figure), place)) is not None
    ]
    if not drawn:
        return  # nothing was answered, or its cells lie too far apart for a grid: they are in the table below
    yield element("h2", "The grid")
    yield element(
        "p", "Shades go from the best (green) to the worst (red) of each figure. A cell leads to its own part."
    )
    # The total tells most beside the time; the rest is unfolded.
    drawn.sort(key=lambda one: one[0].field not in ("time_to_resolve_s", "tokens_per_s_total"))
    for nth, (figure, grid) in enumerate(drawn):
        yield element("details", element("summary", figure.name), grid, open=nth < _OPEN_GRIDS)


def _caption(facts: SessionFacts, figure: CellFigure) -> str:
    unit = figure.unit or next((cell.currency for cell in facts.cells if cell.currency), "")
    return tables.marked(f"{figure.name}, {unit}".removesuffix(", "), facts.simulated)


def _run(facts: SessionFacts) -> Iterator[Element]:
    drawn = list(figures.over_time(facts))
    if drawn or facts.events:
        yield element("h2", "Over time")
    if drawn:
        yield element("div", *drawn, class_="pair")
    if facts.events:
        rows = [[number(facts.since_start_s(e.at_ns)), e.level, e.source, e.text] for e in facts.events]
        more = f"; {facts.events_left_out:,} later ones are left out" if facts.events_left_out else ""
        yield tables.rows_of(f"Warnings and errors{more}", ("time, s", "", "from", "what"), rows)


def _failures(facts: SessionFacts) -> Iterator[Element]:
    ends = [end for end in facts.ends if end.outcome not in ("ok", "cancelled")]
    failure = facts.whole.server.failure if facts.whole.server else None
    if not (facts.failed or ends or failure):
        return
    yield element("h2", "What failed")
    if failure is not None:
        yield element("p", f"The server: {failure.failure}. {failure.summary} {failure.advice}")
        if failure.line:
            yield element("pre", failure.line, class_="wrapped")
    if facts.failed:
        rows = [[f"{c.users:,}", f"{c.prompt_tokens:,}", str(c.outcome), c.evidence] for c in facts.failed]
        yield tables.rows_of("Cells", ("users", "prompt tokens", "outcome", "evidence"), rows[: tables.MOST_ROWS])
    if ends:
        told = [
            [
                f"{e.count:,}",
                str(e.outcome),
                str(e.http_status or "–"),
                number(facts.since_start_s(e.first_ns)),
                e.error,
            ]
            for e in ends
        ]
        others = facts.requests_failed - sum(end.count for end in ends)
        caption = "Requests" + (f"; {others:,} more failed in other words" if others else "")
        yield tables.rows_of(caption, ("how many", "outcome", "HTTP", "first at, s", "what was said"), told)


def _left_out(cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield in sentences what is not told of which cells."""
    without = [cell for cell in cells[:_MOST_PICTURES] if cell.outcome is Outcome.OK and cell.distributions is None]
    if without:
        places = ", ".join(f"{cell.users:,} × {cell.prompt_tokens:,}" for cell in without[:_MOST_NAMED])
        more = f" and {len(without) - _MOST_NAMED:,} more" if len(without) > _MOST_NAMED else ""
        yield f"How the latencies are spread was not kept of {places}{more}: no histograms of these."
    if len(cells) > _MOST_PICTURES:
        first = cells[_MOST_PICTURES]
        yield (
            f"Histograms are drawn of the first {_MOST_PICTURES} cells, before {first.users:,} users × "
            f"{first.prompt_tokens:,} prompt tokens; {len(cells) - _MOST_PICTURES:,} cells have none."
        )
    if len(cells) > MOST_PAGES:
        yield f"{len(cells) - MOST_PAGES:,} cells more are only in the table."


def _environment(facts: SessionFacts) -> Iterator[Element]:
    meta, server = facts.meta, facts.whole.server
    yield element("h2", "Environment, and how to repeat it")
    named = {"vramp": meta.vramp_version, "engine": meta.engine, "GPUs": meta.gpu_summary, "note": meta.gpu_note}
    if server is not None:
        named |= {"server version": server.version, "model": server.model}
        named |= {f"--{name}": value for name, value in server.settings.arguments.items()}
    named |= facts.whole.environment
    listed = element("dl")
    for name, value in list(named.items())[:_MOST_LISTED]:
        if value:
            listed.append(element("dt", name))
            listed.append(element("dd", value))
    yield listed
    if meta.command_line:
        yield element("h3", "The server was started by")
        yield element("pre", meta.command_line, class_="wrapped")
    if not facts.whole.profile:
        return
    file = "".join(c if c.isalnum() or c in "-_" else "-" for c in meta.profile_name)[:80].lstrip("-") or "profile"
    scale = f" --time-scale {meta.time_scale:g}" if meta.simulated and meta.time_scale != 1.0 else ""
    yield element("p", f"Save the profile below as {file}.toml; then:")
    yield element("pre", f"vramp run ./{file}.toml{scale}", class_="wrapped")
    profile = element("pre", profile_toml(facts.whole.profile))
    yield element("details", element("summary", "The profile, with all that was given beside it"), profile)
