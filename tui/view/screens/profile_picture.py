"""What the picker draws of a profile: its memory against the card's, and its last grid as a small heat map. Pure."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.preflight import VramPlan
from tui.session.session_summary import SessionSummary
from tui.view import formatting
from tui.view.widgets.bars import stacked
from tui.view.widgets.heat_map import HeatScale
from tui.view.widgets.lines import Ink, Line, cut, pack, plain

_BAR_CELLS = 48
_LABEL = 10
_MOST_ROWS = 8
_GB = 1e9
_INKS = {
    Outcome.OOM_RUNTIME: Ink.HEAT_FAILED,
    Outcome.OOM_KV: Ink.HEAT_FAILED,
    Outcome.OOM_LAUNCH: Ink.HEAT_FAILED,
    Outcome.OOM_HOST: Ink.HEAT_FAILED,
}


def profile_picture(vram: VramPlan | None, last: SessionSummary | None, width: int, rows: int) -> list[Line]:
    """Return what there is to draw in at most `rows` lines of `width` cells; none where nothing is known."""
    memory = vram_lines(vram, width) if vram is not None else []
    grid = grid_lines(last, width, rows - len(memory) - 1) if last is not None else []
    return [*memory, *([[]] if memory and grid else []), *grid][: max(0, rows)]


def vram_lines(plan: VramPlan, width: int) -> list[Line]:
    """Return the card as a bar: weights and KV cache by estimate, what others hold, what is free; and in words."""
    total, used = plan.total_bytes, plan.used_bytes or 0
    parts = [
        (plan.weights_bytes, "█", Ink.WEIGHTS),
        (plan.kv_bytes, "▓", Ink.KV_RESERVED),
        (float(used), "▒", Ink.OTHER),
    ]
    room = max(8, min(_BAR_CELLS, width - _LABEL - 9))
    bar: Line = [("VRAM".ljust(_LABEL), Ink.DIM), *stacked(parts, max(total, sum(part[0] for part in parts)), room)]
    bar.append((f" {total / _GB:.0f} GB", Ink.DIM))
    said: list[Line] = [
        [("weights ", Ink.DIM), (f"~{plan.weights_bytes / _GB:.1f}", Ink.WEIGHTS)],
        [("KV cache ", Ink.DIM), (f"~{plan.kv_bytes / _GB:.1f}", Ink.KV)],
    ]
    if plan.used_bytes is not None:
        said.append([("others ", Ink.DIM), (f"{used / _GB:.1f}", Ink.OTHER)])
    if plan.over_bytes > 0:
        said.append([(f"{plan.over_bytes / _GB:.1f} GB too much", Ink.FAILURE)])
    else:
        free = total - plan.allowed_bytes - used
        said.append([("free ", Ink.DIM), (f"{max(0.0, free) / _GB:.1f}", Ink.PLAIN)])
    if plan.gpus > 1:
        said.append([(f"on each of {plan.gpus}", Ink.DIM)])
    return [bar, [(" " * _LABEL, Ink.PLAIN), *pack(said, max(1, width - _LABEL), gap=2)]]


def grid_lines(session: SessionSummary, width: int, rows: int) -> list[Line]:
    """Return the last grid, two cells for each of its own, and its best figures beside it."""
    users = sorted({cell.users for cell in session.grid})
    sizes = sorted({cell.prompt_tokens for cell in session.grid})
    if not users or rows < 2:
        return []
    each = 2 if _LABEL + 2 * len(sizes) <= width else 1
    scale = HeatScale(cell.time_to_resolve_s for cell in session.grid if cell.outcome is Outcome.OK)
    known = {(cell.users, cell.prompt_tokens): cell for cell in session.grid}
    best = (session.best_users, session.best_prompt_tokens)
    kept = _spread_over(users, min(rows, _MOST_ROWS))
    beside = _best_figures(session)
    lines: list[Line] = []
    for place, count in enumerate(kept):
        label = "last grid" if place == 0 else ""
        line: Line = [(label.ljust(_LABEL), Ink.DIM)]
        for size in sizes:
            cell = known.get((count, size))
            if cell is None:
                line.append(("· "[:each], Ink.HEAT_OPEN))
            elif cell.outcome is Outcome.OK:
                glyph = ("★ " if (count, size) == best else "▪ ")[:each]  # few colours have no ground
                line.append((glyph, scale.ink(cell.time_to_resolve_s)))
            else:
                line.append(("✕ "[:each], _INKS.get(cell.outcome, Ink.HEAT_IMPLIED)))
        line.append((f" {count:>5}", Ink.DIM))
        if place < len(beside):
            line += [("   ", Ink.PLAIN), *beside[place]]
        lines.append(cut(line, width))
    indent = " " * (_LABEL + each * len(sizes) + 9)
    lines += [cut([(indent, Ink.PLAIN), *figure], width) for figure in beside[len(kept) : rows]]
    return lines


def _best_figures(session: SessionSummary) -> list[Line]:
    """Return the best cell and what it gave, a line each."""
    when: Line = [(plain(session.started_at[:16].replace("T", " ")), Ink.DIM)]
    mark: Line = [("  SIMULATED", Ink.WARNING)] if session.simulated else []
    if session.best_tokens_per_s_total is None:
        return [[*when, *mark]]
    figures = (
        (session.best_tokens_per_s_total, "tok/s", Ink.TOTAL),
        (session.best_tokens_per_s_per_user, "tok/s each", Ink.EACH),
        (session.best_ttft_p50_s, "s to the first token", Ink.TTFT),
    )
    best = f"★ {session.best_users} users × {session.best_prompt_tokens} tok"
    told: list[Line] = [
        [(formatting.significant(value, 0).strip(), ink), (f" {unit}", Ink.DIM)]
        for value, unit, ink in figures
        if value is not None
    ]
    return [[*when, *mark], [(best, Ink.STRONG)], *told]


def _spread_over(values: list[int], rows: int) -> list[int]:
    """Return at most so many of the values, the least and the greatest among them."""
    if len(values) <= rows:
        return values
    return [values[round(place * (len(values) - 1) / (rows - 1))] for place in range(rows)]
