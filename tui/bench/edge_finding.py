"""The search for the edge: at each prompt size the most users that are served well, in the fewest cells."""

from __future__ import annotations

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.grid import Grid
from tui.bench.measuring import Measuring
from tui.bench.system_under_test import SystemUnderTest
from tui.metrics.edge import Carried, searches, start_of
from tui.metrics.snapshot import SweepStatus

# A cell that has no outcome after so many tries (load workers that die again and again) is given up with its size.
TRIES = 10


class EdgeFinding:
    """Measures what `EdgeSearch` asks for, size by size, short prompts first: these bound the longer ones.

    What was measured before counts, by whomever in the same mode; so a search that was cut short goes on where it was.
    """

    def __init__(self, testbed: SystemUnderTest, cells: CellResults, asking: Asking, measuring: Measuring) -> None:
        self._testbed = testbed
        self._cells = cells
        self._asking = asking
        self._measuring = measuring
        self._mode = testbed.profile.load.mode
        self._sizes = self._all_sizes = sorted(testbed.profile.load.prompt_tokens)
        self._sizes_done = 0
        self.finished = False

    @property
    def grid(self) -> Grid:
        """Return the grid that the cells on the way fill."""
        return self._cells.grids[self._mode]

    def reset(self, prompt_tokens: int | None = None) -> None:
        """Take it that the search begins; `prompt_tokens`: at this size alone."""
        self._sizes = self._all_sizes if prompt_tokens is None else [prompt_tokens]
        self._sizes_done = 0
        self.finished = False

    async def find(self) -> None:
        """Search until the edge is known at each prompt size. Raises LaunchError."""
        await self._measuring.begin()
        for size in self._sizes:
            await self._find_at(size)
            self._sizes_done += 1
            if (edge := next((one for one in self._cells.edges if one.prompt_tokens == size), None)) is not None:
                self._tell(edge)
        self.finished = True
        await self._measuring.end()

    async def _find_at(self, size: int) -> None:
        untold = 0
        while (users := self._next(size)) is not None and untold < TRIES:
            if self._cells.keep_too_long((users, size), self._mode):
                return
            untold = 0 if await self._measuring.measure((users, size), self._mode) else untold + 1

    def _next(self, size: int) -> int | None:
        profile = self._testbed.profile
        measures = self._cells.measures(self._mode)
        shorter = [one for one in {*self._all_sizes, size} if one <= size]
        return searches(measures, shorter, profile.sweep, start_of(profile.load.users))[size].next

    def _tell(self, edge: Carried) -> None:
        self._testbed.say("sweep", edge.sentence)
        self._testbed.show_notice(edge.sentence)

    def status(self) -> SweepStatus:
        """Return how far it is: its cells are not known beforehand, its sizes are."""
        return SweepStatus(
            looks_for_edge=True,
            cells_done=self._sizes_done,
            cells_total=len(self._sizes),
            cell_progress=None,
            finished=self.finished,
        )
