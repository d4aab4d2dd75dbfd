"""The walk over the grid: all open cells of the profile's mode, cheap ones first, one by one."""

from __future__ import annotations

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.grid import Grid
from tui.bench.measuring import Measuring
from tui.bench.system_under_test import SystemUnderTest
from tui.metrics.snapshot import SweepStatus
from tui.profile.schema import Mode


class Sweep:
    """Gives every cell of one grid an outcome."""

    def __init__(self, testbed: SystemUnderTest, cells: CellResults, asking: Asking, measuring: Measuring) -> None:
        self._testbed = testbed
        self._cells = cells
        self._asking = asking
        self._measuring = measuring
        self._mode = testbed.profile.load.mode
        self.finished = False

    @property
    def grid(self) -> Grid:
        """Return the grid that is swept."""
        return self._cells.grids[self._mode]

    async def walk(self) -> None:
        """Measure until no cell is open. Raises LaunchError."""
        grid = self.grid
        self._testbed.announce_sweep(grid.open_cells())
        await self._measuring.begin()
        for cell in grid.open_cells():
            # Said before anything else: what cannot fit is not implied by what ran out of memory.
            self._cells.keep_too_long(cell, self._mode)
        while cells := grid.open_cells():
            await self._measuring.measure(cells[0], self._mode)
        self.finished = True
        self._testbed.say("sweep", "all cells of the grid have an outcome")
        await self._measuring.end()

    def status(self) -> SweepStatus:
        """Return how far it is."""
        asked, still_open = self.grid.asked, self.grid.open_cells()
        return SweepStatus(
            cells_done=len(asked) - len(still_open),
            cells_total=len(asked),
            cell_progress=self._asking.progress,
            remaining_s=self._remaining_s(),
            finished=self.finished,
        )

    def _remaining_s(self) -> float | None:
        load = self._testbed.profile.load
        if load.mode is not Mode.BURST:
            left_s = len(self.grid.open_cells()) * (load.warm_up_s + load.duration_s)
            return left_s / self._testbed.clock.time_scale
        left = self.grid.remaining_s(self._testbed.references)
        return None if left is None else left * load.repeats / self._testbed.clock.time_scale
