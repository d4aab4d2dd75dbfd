"""What limited the cells of real servers on a card: the figures as they were measured, and what is right of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit
from tui.metrics.verdict import verdict_of, where_they_part

JUDGED = Path(__file__).parents[2] / "corpus" / "judged"


@dataclass
class Judged:
    """A cell, with all those of its grid and with what limited it."""

    cell: CellResult
    grid: list[CellResult]
    right: Limit


def judged() -> dict[str, Judged]:
    found = {}
    for path in sorted(JUDGED.glob("*.toml")):
        rows = tomllib.loads(path.read_text())["cells"]
        rights = [Limit(row.pop("right")) for row in rows]
        grid = msgspec.convert(rows, list[CellResult])
        for cell, right in zip(grid, rights, strict=True):
            found[f"{path.stem} {cell.users} x {cell.prompt_tokens}"] = Judged(cell, grid, right)
    return found


CELLS = judged()


def with_means_by_times(cell: CellResult) -> CellResult:
    """Return a cell with how many requests ran and waited by the server's times, not by how its gauges were read."""
    seen = cell.occupancy
    assert seen is not None and seen.prefill_mean_s is not None and seen.decode_mean_s is not None
    assert cell.duration_s is not None and cell.server_queue_mean_s is not None
    a_second = cell.requests_ok / cell.duration_s
    running, waiting = (seen.prefill_mean_s + seen.decode_mean_s) * a_second, cell.server_queue_mean_s * a_second
    return msgspec.structs.replace(
        cell, occupancy=msgspec.structs.replace(seen, running_mean=running, waiting_mean=waiting)
    )


def test_there_are_cells_of_three_models() -> None:
    assert len(CELLS) == 27


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("by_times", [False, True], ids=["gauges", "times"])
def test_a_real_cell_is_judged_rightly(name: str, by_times: bool) -> None:
    case = CELLS[name]
    cell, grid = case.cell, case.grid
    if by_times:
        cell, grid = with_means_by_times(cell), [with_means_by_times(each) for each in grid]
    found = verdict_of(cell, grid)
    assert found is not None
    assert found.limit is case.right, found
    # Nothing stood between client and server: where fewer ran than were under way, the others waited in its queue.
    if where_they_part(cell):
        assert cell.server_queue_mean_s is not None and cell.time_to_resolve_s is not None
        assert cell.server_queue_mean_s > 0.05 * cell.time_to_resolve_s


def test_a_share_of_prompts_is_what_the_requests_show() -> None:
    """The last of 48 first tokens came at 1.65 s of 3.13 s, so prompts took half the time, not the 59 % of 48 alone."""
    case = CELLS["codestral-22b 48 x 480"]
    found = verdict_of(case.cell, case.grid)
    assert found is not None and found.sentence == "Prompts take 51% of the server's time"
