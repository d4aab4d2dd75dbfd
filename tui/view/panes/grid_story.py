"""What is told below the map: one cell's figures or its end, what limited it, and as much more as there is room for.

It is the picked cell, else the present one, else the last that failed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from tui.core.outcome import Outcome
from tui.metrics.best import best_in_words
from tui.metrics.boundary import Edge
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.snapshot import Snapshot
from tui.view.panes.cell_story import server_story, story, verdict_line
from tui.view.panes.grid_beside import Beside, Place
from tui.view.widgets.lines import Ink, Line, pack, plain, shortened, width_of, wrapped


def told_place(snapshot: Snapshot, picked: Place | None) -> Place | None:
    """Return the cell whose story is told: the picked one, else the present one, else the last that failed."""
    grid = snapshot.grid
    if picked is not None:
        return picked
    if grid.current_users is not None and grid.current_prompt_tokens is not None:
        return grid.current_users, grid.current_prompt_tokens
    failed = [cell for cell in grid.cells if not cell.outcome.is_open and not _fine(cell)]
    return (failed[-1].users, failed[-1].prompt_tokens) if failed else None


class GridStory:
    """The lines below one map."""

    def __init__(
        self,
        snapshot: Snapshot,
        cells: Mapping[Place, CellResult],
        beside: Beside,
        picked: Place | None,
        width: int,
    ) -> None:
        self._snapshot = snapshot
        self._grid = snapshot.grid
        self._beside = beside
        self._picked = picked
        self._width = width
        self._place = told_place(snapshot, picked)
        self._cell = cells.get(self._place) if self._place is not None else None

    def lines(self, rows: int, room: int) -> list[Line]:
        """Return the story in `rows` lines, and what it had no room for in at most `room` more."""
        if rows < 1:
            return []
        lines = [self._story(), *[line for line in (self._limit(), self._kv_edge(), self._best()) if line][: rows - 1]]
        parted = self._beside.parts(self._cell)
        if parted or (self._picked is None and self._beside.differs) or self._cell is None:
            more = self._differing()
        else:
            more = self._more()
        more = more or [line for line in (self._kv_edge(), self._best()) if line and line not in lines]
        return [*lines, *more[:room]]

    def _story(self) -> Line:
        if self._place is None:
            done = sum(cell.outcome is Outcome.OK for cell in self._grid.cells)
            return [(f"{done} of {len(self._grid.users) * len(self._grid.prompt_tokens)} cells measured", Ink.DIM)]
        queueing = self._place in self._grid.queueing
        return shortened(story(self._place, self._cell, queueing, self._width), self._width)

    def _limit(self) -> Line:
        """Return what limited the cell whose story is told; where none is picked and it is not known, the last one."""
        if self._cell is not None and self._cell.verdict is not None:
            return shortened(verdict_line(self._cell.verdict), self._width)
        judged = [each for each in self._grid.cells if each.verdict is not None] if self._picked is None else []
        last = max(judged, key=lambda each: each.started_at_ns, default=None)
        if last is None or last.verdict is None:
            return []
        return shortened(
            [(f"{last.users} × {last.prompt_tokens}  ", Ink.DIM), *verdict_line(last.verdict)], self._width
        )

    def _kv_edge(self) -> Line:
        """Return how many users the KV cache carries at this prompt size; nothing where all of the grid's fit."""
        edge = self._edge_here()
        if edge is None or not self._grid.users or self._grid.rate_per_s is not None:
            return []
        parts: list[Line] = []
        if edge.beyond is not None and edge.measured is not None:
            parts.append([(f"KV cache gave out at {users_in_words(edge.beyond)} here", Ink.WARNING)])
        if edge.predicted is not None and edge.predicted < max(self._grid.users):
            said = "its blocks are full at" if parts else "KV cache full here at"
            parts.append([(f"{said} {users_in_words(edge.predicted)}", Ink.DIM)])
        return pack(parts, self._width, gap=2)

    def _edge_here(self) -> Edge | None:
        if self._place is None:
            return None
        return next((edge for edge in self._grid.edges if edge.prompt_tokens == self._place[1]), None)

    def _best(self) -> Line:
        said = best_in_words(self._grid.cells, self._snapshot.terms)
        return [(plain(said, self._width), Ink.GOOD)] if said.startswith("best") else []

    def _more(self) -> list[Line]:
        """Return the whole evidence, or what the server says of the cell; and the edge, where it was looked for."""
        return [*self._server_or_evidence(), *self._looked_for_edge()]

    def _looked_for_edge(self) -> list[Line]:
        if not self._snapshot.sweep.looks_for_edge or self._place is None:
            return []
        edge = next((one for one in self._snapshot.edges if one.prompt_tokens == self._place[1]), None)
        return [] if edge is None else wrapped(f"edge: {plain(edge.sentence)}", self._width, Ink.PLAIN, indent=2)

    def _server_or_evidence(self) -> list[Line]:
        cell = self._cell
        if cell is None:
            return []
        if cell.outcome is Outcome.OK:
            queueing = self._place in self._grid.queueing
            return wrapped(server_story(cell, queueing=queueing), self._width, Ink.DIM, indent=2)
        if width_of([(plain(cell.evidence), Ink.PLAIN)]) < self._width - 30:
            return []
        return wrapped(cell.evidence, self._width, Ink.DIM, indent=2)

    def _differing(self) -> list[Line]:
        """Return how the cell ended otherwise than there, and how the conditions of what lies beside differ."""
        lines: list[Line] = []
        if parting := self._beside.parts(self._cell):
            said = "failed here, was measured" if parting == "failed" else "measured here, had failed"
            lines += wrapped(f"{said} in {self._beside.name}", self._width, Ink.WARNING, indent=2)
        return [*lines, *wrapped(self._beside.differs, self._width, Ink.DIM, indent=2)]


def _fine(cell: CellResult) -> bool:
    return cell.outcome in (Outcome.OK, Outcome.IMPLIED)
