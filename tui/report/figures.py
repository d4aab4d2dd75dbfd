"""The figures of a report: time by users and by prompt size, tokens/s and VRAM over time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from tui.core.outcome import Outcome
from tui.metrics.gpu_hosts import in_order, rounds
from tui.metrics.reference import Reference
from tui.metrics.trend import curve
from tui.report import charts
from tui.report.charts import Line, Point
from tui.report.elements import element
from tui.report.facts import SessionFacts
from tui.report.tables import marked

_GB = 1e9
_MOST_MARKS = 40


def by_size(facts: SessionFacts) -> Iterator[Element]:
    """Yield the study's two figures: the time to resolve by users, and by prompt tokens."""
    for words, across, of, over in (
        ("Time to resolve by users", "users at once", "prompt_tokens", "users"),
        ("Time to resolve by prompt size", "prompt tokens", "users", "prompt_tokens"),
    ):
        name = "{:,} tokens" if of == "prompt_tokens" else "{:,} users"
        known = [cell for cell in facts.cells if cell.outcome is Outcome.OK and cell.time_to_resolve_s is not None]
        lines: list[Line] = []
        beside: dict[str, list[Point]] = {}
        for fixed in charts.few_of(sorted({getattr(cell, of) for cell in known})):
            points: list[Point | None] = [
                (getattr(cell, over), cell.time_to_resolve_s)
                for cell in sorted(known, key=lambda cell: int(getattr(cell, over)))
                if getattr(cell, of) == fixed and cell.time_to_resolve_s is not None
            ]
            lines.append((name.format(fixed), points))
            beside[name.format(fixed)] = _of_reference(facts.reference, of, fixed, over)
        drawn = charts.by_size(marked(words, facts.simulated), lines, across, "time to resolve, s", beside)
        if drawn is not None:
            told = facts.reference.words if facts.reference is not None and any(beside.values()) else ""
            yield element("figure", drawn, element("figcaption", f"Dashed: {told}", class_="soft") if told else None)


def _of_reference(reference: Reference | None, of: str, fixed: int, over: str) -> list[Point]:
    """Return the reference's points of the line on which `of` is so much, in the order of what is across."""
    return sorted(
        (float(getattr(cell, over)), cell.time_to_resolve_s)
        for cell in (reference.cells if reference is not None else ())
        if cell.ok and cell.time_to_resolve_s is not None and getattr(cell, of) == fixed
    )


def over_time(facts: SessionFacts) -> Iterator[Element]:
    """Yield tokens/s and VRAM over the session, with the moments of its warnings and errors."""
    until_s = facts.since_start_s(facts.last_ns)
    marks = [(facts.since_start_s(event.at_ns), event.text) for event in facts.events[:_MOST_MARKS]]
    tokens, users = (curve(facts.trend, name, facts.meta.started_at_ns) for name in ("tokens_per_s_total", "users"))
    for words, up, lines in (
        ("Tokens/s in total", "tokens/s", [("tokens/s", tokens)]),
        ("Users at work", "users", [("users", users)]),
        ("VRAM used", "GB", _vram(facts)),
    ):
        if (drawn := charts.over_time(marked(words, facts.simulated), lines, up, until_s, marks)) is not None:
            yield element("figure", drawn)


def _vram(facts: SessionFacts) -> list[Line]:
    """Return a line for each GPU; where there are too many and several hosts, for the GPUs of each host together."""
    places = list(dict.fromkeys(point.place for point in facts.vram))
    hosts = sorted({point.host for point in facts.vram}, key=in_order)
    if len(places) > charts.MOST_LINES and len(hosts) > 1:
        named = {host or "this host": list(rounds(p for p in facts.vram if p.host == host)) for host in hosts}
    else:
        named = {f"GPU {place}": [[point] for point in facts.vram if point.place == place] for place in places}
    lines: list[Line] = []
    for name, together in list(named.items())[: charts.MOST_LINES]:
        total = max(sum(point.total_bytes or 0 for point in points) for points in together)
        told: list[Point | None] = [
            (max(0.0, facts.since_start_s(points[-1].at_ns)), sum(point.used_bytes or 0 for point in points) / _GB)
            for points in together
            if all(point.used_bytes is not None for point in points)
        ]
        lines.append((f"{name} of {total / _GB:.0f} GB" if total else name, told))
    return lines
