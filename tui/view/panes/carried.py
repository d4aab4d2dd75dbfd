"""How far the present prompt size has been carried: a broad block for each number of users. Pure."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.snapshot import Snapshot
from tui.view.panes.memory_end import people
from tui.view.panes.stage_words import end_for_all
from tui.view.widgets.lines import Ink, Line, pack

_LEAST_CELLS = 3
"""A block that is narrower cannot bear its number."""


def carried(snapshot: Snapshot, width: int, *, rows: int) -> list[Line]:
    """Return the numbers, `rows` rows of blocks, and in words how far it went; nothing where there is no grid."""
    grid = snapshot.grid
    found = {cell.users: cell for cell in grid.cells if cell.prompt_tokens == snapshot.load.prompt_tokens}
    # What was measured beside the profile's own numbers, as a search does by the dozen, would be too narrow to read.
    users = _shown(grid.asked_users or grid.users, snapshot.load.users_wanted, (width + 1) // (_LEAST_CELLS + 1))
    if not users:
        return []
    size = min(20, (width + 1) // len(users) - 1)
    numbers: Line = []
    blocks: Line = []
    for place, number in enumerate(users):
        running = number == grid.current_users and snapshot.load.prompt_tokens == grid.current_prompt_tokens
        glyph, ink = _block(found.get(number), running=running)
        gap = " " if place else ""
        label = str(number) if len(str(number)) <= size else "#" * size
        numbers.append((gap + label.center(size), Ink.STRONG if running else Ink.DIM))
        blocks += [(gap, Ink.PLAIN), (glyph * size, ink)]
    return [numbers, *([blocks] * rows), _in_words(found, width)]


def _shown(users: list[int], wanted: int, most: int) -> list[int]:
    """Return the numbers around the one that is wanted, as many as fit."""
    if len(users) <= most:
        return users
    here = sum(number <= wanted for number in users)
    start = min(max(0, here - most // 2), len(users) - most)
    return users[start : start + most]


def _block(cell: CellResult | None, *, running: bool) -> tuple[str, Ink]:
    if running or (cell is not None and cell.outcome is Outcome.RUNNING):
        return "▓", Ink.STEER
    if cell is None or cell.outcome is Outcome.PENDING:
        return "░", Ink.FAINT
    if cell.outcome is Outcome.OK:
        return "█", Ink.GOOD
    if cell.outcome is Outcome.IMPLIED:
        return "╱", Ink.DIM
    return ("✕", Ink.FAILURE) if cell.outcome.is_oom else ("✕", Ink.WARNING)


def _in_words(found: dict[int, CellResult], width: int) -> Line:
    carried_at = max((users for users, cell in found.items() if cell.outcome is Outcome.OK), default=0)
    full_at = min((users for users, cell in found.items() if cell.outcome.is_oom), default=0)
    other = min((cell for cell in found.values() if _failed_otherwise(cell)), key=lambda cell: cell.users, default=None)
    parts: list[Line] = []
    if full_at:
        parts.append([(f"✕ out of memory at {people(full_at)}", Ink.FAILURE)])
    if carried_at:
        parts.append([("█ ", Ink.GOOD), (f"answered: {people(carried_at)} at once", Ink.PLAIN)])
    if other is not None:
        parts.append([(f"✕ {end_for_all(other.outcome)} at {people(other.users)}", Ink.WARNING)])
    return pack(parts, width, gap=4)


def _failed_otherwise(cell: CellResult) -> bool:
    known = (Outcome.PENDING, Outcome.RUNNING, Outcome.OK, Outcome.IMPLIED, Outcome.CANCELLED)
    return cell.outcome not in known and not cell.outcome.is_oom
