"""One cell of the grid in words: its figures or its end, and what the server itself says of it."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.limits import Verdict
from tui.view import formatting
from tui.view.widgets.lines import Ink, Line, pack, plain, width_of

_PREFIX_SHARE = 0.01


def story(place: tuple[int, int], cell: CellResult | None, queueing: bool, width: int) -> Line:
    """Return the one line of a cell at `place` (users, prompt tokens): as many figures as fit whole in `width`."""
    line: Line = [(f"{place[0]} × {place[1]}  ", Ink.STRONG)]
    if cell is None or cell.outcome.is_open:
        state = "measuring" if cell is not None and cell.outcome is Outcome.RUNNING else "open"
        return [*line, (state + (", must queue: the KV cache holds fewer" if queueing else ""), Ink.DIM)]
    if cell.outcome is not Outcome.OK:
        ink = Ink.DIM if cell.outcome is Outcome.IMPLIED else Ink.FAILURE
        room = max(1, width - len(line[0][0]) - len(cell.outcome.value) - 2)
        return [*line, (cell.outcome.value, ink), ("  " + plain(cell.evidence, room), Ink.PLAIN)]
    if cell.caveats:
        line.append(("! ", Ink.STRONG))  # the opened cell says what
    told = [
        ("", cell.time_to_resolve_s, "s"),
        ("TTFT p50", cell.ttft_p50_s, "s"),
        ("published", cell.reference_s, "s"),
        ("", cell.tokens_per_s_total, "tok/s"),
        ("before", cell.earlier.time_to_resolve_s if cell.earlier is not None else None, "s"),
        ("delivered", cell.delivered_concurrency, ""),
    ]
    parts: list[Line] = []
    for name, value, unit in told:
        if value is not None:
            error = f" {error_of(cell)}" if unit == "tok/s" and error_of(cell) else ""
            figure = formatting.significant(value, 0)
            parts.append(
                [(f"{name} " if name else "", Ink.DIM), (figure, Ink.PLAIN), (f"{error} {unit}".rstrip(), Ink.DIM)]
            )
    return [*line, *pack(parts, max(0, width - width_of(line)), gap=2)]


def verdict_line(verdict: Verdict) -> Line:
    """Return what limited a cell as one line, to be cut."""
    line: Line = [(f"{verdict.limit.value}  ", Ink.STRONG), (plain(verdict.sentence, 200), Ink.PLAIN)]
    if verdict.evidence:
        line.append((f"  {plain(', '.join(verdict.evidence), 300)}", Ink.DIM))
    return line


def error_of(cell: CellResult) -> str:
    """Return how sure the cell's figures are: ±4.2 %; "" where that is not known."""
    error = cell.precision.error if cell.precision is not None else None
    return "" if error is None else formatting.within(error)


def server_story(cell: CellResult, *, queueing: bool) -> str:
    """Return what the server says beside the client's figures: its tokens, the queue as predicted, the energy."""
    parts = (_first_tokens(cell), _further_tokens(cell), _prefix(cell), _queue(cell, queueing), _energy(cell))
    return " · ".join(part for part in parts if part)


def _first_tokens(cell: CellResult) -> str:
    client_s, server_s = cell.ttft_mean_s, cell.server_ttft_mean_s
    if client_s is None or server_s is None:
        return ""
    here, there, apart = (formatting.milliseconds(value, 0) for value in (client_s, server_s, abs(client_s - server_s)))
    sign = "+" if client_s >= server_s else "−"
    return f"TTFT mean {here} ms, by the server {there} ms: {sign}{apart} ms"


def _further_tokens(cell: CellResult) -> str:
    if cell.itl_p50_s is None or cell.server_itl_mean_s is None:
        return ""
    here, there = (formatting.milliseconds(value, 0) for value in (cell.itl_p50_s, cell.server_itl_mean_s))
    return f"ITL p50 {here} ms, by the server {there} ms on average"


def _prefix(cell: CellResult) -> str:
    """Return how much prefill was spared; not said where hardly any was, as with prompts that are all different."""
    share = cell.server_prefix_hit_share
    if share is None or share < _PREFIX_SHARE:
        return ""
    return f"{formatting.percent(share, 0)} % of the prompts came from the prefix cache"


def _queue(cell: CellResult, predicted: bool) -> str:
    """Return what the size of the KV cache predicted, and what happened. Waiting is read once a second only."""
    waited, preempted = cell.server_waiting_max, cell.preemptions
    if not (predicted or waited or preempted):
        return ""
    seen = []
    if cell.server_queue_mean_s is not None:
        seen.append(f"waited {formatting.milliseconds(cell.server_queue_mean_s, 0)} ms on average")
    if waited is not None:
        seen.append(f"up to {waited:.0f} seen waiting" if waited else "none seen waiting")
    if preempted:
        seen.append(f"{preempted:.0f} preempted")
    if not seen:
        return ""
    return ("had to queue by the size of the KV cache: " if predicted else "") + ", ".join(seen)


def _energy(cell: CellResult) -> str:
    if cell.energy_per_token_j is None:
        return ""
    return f"{formatting.significant(cell.energy_per_token_j, 0)} J per output token"
