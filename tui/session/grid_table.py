"""The grid as a table: plain text for a terminal, Markdown, HTML. Pure.

Each cell has its time to resolve in seconds, or the word of its outcome; modes are never mixed in one table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from itertools import islice

from tabulate import tabulate

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.session.judged import verdict_lines
from tui.session.meta import SessionMeta
from tui.session.reader import latest_cells
from tui.session.references import Beside

OPEN = "·"
MOST_NOTES = 12
MOST_PLACES = 20_000
"""Of a grid, measured or not: cells that lie apart would make an endless one. They are listed, one below the other."""
MOST_LISTED = 2_000
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def grid_table(meta: SessionMeta, cells: Sequence[CellResult], beside: Beside, edges: Sequence[Carried] = ()) -> str:
    """Return the grid as plain text: a line of what it is, users down and prompt tokens across, what it comes to."""
    title = _title(meta)
    parts = [title]
    for heading, headers, rows in _grids(cells):
        table = tabulate(rows, headers, disable_numparse=True, colalign=["right"] * len(headers))
        parts.append(f"{heading}\n{table}")
    if edges:
        parts.append("\n".join(safe_line(edge.sentence, limit=400) for edge in edges))
    parts += _notes(cells)[:MOST_NOTES]
    if said := verdict_lines(meta, cells, beside):
        parts.append("\n".join(said))
    return "\n\n".join(parts if len(parts) > 1 else [title, "no cell was measured"])


def grid_markdown(meta: SessionMeta, cells: Sequence[CellResult], beside: Beside) -> str:
    """Return the grid as a Markdown document; text from outside is escaped."""
    parts = ["# " + _MARKDOWN.sub(r"\\\1", _title(meta))]
    for heading, headers, rows in _grids(cells):
        table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=["right"] * len(headers))
        parts += [heading, table]
    if said := verdict_lines(meta, cells, beside):
        parts.append("\n".join(f"    {line}" for line in said))  # a code block: bars stand under one another
    return "\n\n".join(parts) + "\n"


def grid_html(meta: SessionMeta, cells: Sequence[CellResult], beside: Beside) -> str:
    """Return the grid as an HTML document; text from outside is escaped."""
    title = html.escape(_title(meta))
    parts = ["<!DOCTYPE html>", f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>']
    parts.append(f"<body><h1>{title}</h1>")
    for heading, headers, rows in _grids(cells):
        parts += [f"<p>{html.escape(heading)}</p>", tabulate(rows, headers, tablefmt="html", disable_numparse=True)]
    if said := verdict_lines(meta, cells, beside):
        parts.append(f"<pre>{html.escape(chr(10).join(said))}</pre>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _title(meta: SessionMeta) -> str:
    mark = " - SIMULATED" if meta.simulated else ""
    if meta.time_scale != 1.0:
        mark += f", in modelled seconds ({meta.time_scale:g} to a real one)"
    return safe_line(f"{meta.profile_title or meta.profile_name} - session {meta.session_id}{mark}", limit=300)


def _grids(cells: Iterable[CellResult]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return heading, headers and rows for each mode and number of output tokens."""
    groups: dict[tuple[str, int], list[CellResult]] = {}
    for cell in cells:
        groups.setdefault((cell.mode, cell.output_tokens), []).append(cell)
    grids = []
    for (mode, output_tokens), group in sorted(groups.items()):
        known = {(cell.users, cell.prompt_tokens): _word(cell) for cell in latest_cells(group, mode)}
        prompts = sorted({prompt for _, prompt in known})
        users = sorted({n for n, _ in known})
        heading = f"Time to resolve in s, mode {safe_line(mode, limit=20)}, {output_tokens} output tokens"
        rates = {cell.users: f"{cell.rate.asked_per_s:g}" for cell in group if cell.rate is not None}
        axis = "requests/s" if rates else "users"
        if len(users) * len(prompts) > MOST_PLACES:
            said = f"the first {MOST_LISTED:,} of {len(known):,}" if len(known) > MOST_LISTED else f"{len(known):,}"
            listed = [[rates.get(n, str(n)), str(p), word] for (n, p), word in islice(known.items(), MOST_LISTED)]
            heading = f"{heading}; {said} cells, which lie too far apart for a grid"
            grids.append((heading, [axis, "prompt tokens", "time to resolve"], listed))
            continue
        headers = [axis, *(f"{prompt} tok" for prompt in prompts)]
        rows = [[rates.get(n, str(n)), *(known.get((n, p), OPEN) for p in prompts)] for n in users]
        grids.append((heading, headers, rows))
    return grids


def _notes(cells: Iterable[CellResult]) -> list[str]:
    """Return what must be known to read the cells rightly, each sentence once, with the cells it is said of."""
    said: dict[str, list[str]] = {}
    for cell in cells:
        for text in filter(None, cell.caveats.split("; ")):
            text = safe_line(text, limit=200)
            said.setdefault(text, []).append(f"{cell.users} × {cell.prompt_tokens}")
    return [f"{', '.join(places[:5])}{' …' if len(places) > 5 else ''}: {text}" for text, places in said.items()]


def _word(cell: CellResult) -> str:
    if cell.outcome is not Outcome.OK or cell.time_to_resolve_s is None:
        return str(cell.outcome)
    return f"{cell.time_to_resolve_s:.3g}" if cell.time_to_resolve_s < 100 else f"{cell.time_to_resolve_s:.0f}"
