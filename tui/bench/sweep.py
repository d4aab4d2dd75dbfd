"""The walk over the grid: all open cells of the profile's mode, one after the other."""

from __future__ import annotations

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.grid import Grid
from tui.bench.measure import DiedUnsettled
from tui.bench.relaunch import Relaunch
from tui.bench.system_under_test import SystemUnderTest
from tui.metrics.control import control_cell
from tui.metrics.snapshot import SweepStatus
from tui.profile.schema import Mode


class Sweep:
    """Gives every cell of one grid an outcome."""

    def __init__(self, testbed: SystemUnderTest, cells: CellResults, asking: Asking, relaunch: Relaunch) -> None:
        self._testbed = testbed
        self._cells = cells
        self._asking = asking
        self._relaunch = relaunch
        self.mode = testbed.profile.load.mode
        self.finished = False
        self.failed = ""
        """Why it ended before its time, where that was no failure of the server."""
        self._controlled = 0
        """The launch for whose sake a cell was last measured again."""
        self.taken_over = ""
        """Who ended it before its time, in words."""

    @property
    def grid(self) -> Grid:
        """Return the grid that is swept."""
        return self._cells.grids[self.mode]

    def reset(self, *, anew: bool) -> None:
        """Take it that the walk begins; `anew`: nothing is known of the grid."""
        if anew:
            for cell in self.grid.asked:
                self.grid.forget(cell)
        self.finished = False
        self.failed = self.taken_over = ""

    async def walk(self) -> None:
        """Measure until no cell is open. Raises LaunchError."""
        grid, asking = self.grid, self._asking
        self._testbed.announce_sweep(grid.open_cells())
        await asking.stop()
        for cell in grid.open_cells():
            # Said before anything else: what cannot fit is not implied by what ran out of memory.
            self._cells.keep_too_long(cell, self.mode)
        while cells := grid.open_cells():
            cell = cells[0]
            if not self._testbed.ready:
                await self._relaunch.wait()
            if await self._measure_control():
                continue
            lost_before = self._cells.workers_lost()
            try:
                result = await asking.measure(cell, self.mode)
            except DiedUnsettled as died:
                self._cells.tell_unsettled(cell, died)
                grid.forget(cell)
                continue
            self._cells.keep_unless_doubtful(result, lost_before)
        self.finished = True
        await asking.stop()
        self._testbed.say("sweep", "all cells of the grid have an outcome")
        if not self._testbed.ready:  # the last cell killed it; the operator may want to go on
            await self._relaunch.wait()

    async def _measure_control(self) -> bool:
        """Measure one earlier cell again on a server that was launched again, once; say whether that was done."""
        launch = self._testbed.conditions.launch
        earlier = control_cell(self.grid.results, launch)
        if earlier is None or self._controlled == launch:
            return False
        self._controlled = launch
        try:
            again = await self._asking.measure((earlier.users, earlier.prompt_tokens), self.mode)
        except DiedUnsettled as died:
            self._cells.tell_unsettled((earlier.users, earlier.prompt_tokens), died)
        else:
            self._cells.keep_control(earlier, again)
        return True

    def status(self, *, running: bool) -> SweepStatus:
        """Return how far it is."""
        asked, still_open = self.grid.asked, self.grid.open_cells()
        return SweepStatus(
            running=running,
            cells_done=len(asked) - len(still_open),
            cells_total=len(asked),
            cell_progress=self._asking.progress,
            remaining_s=self._remaining_s(),
            finished=self.finished,
            taken_over=self.taken_over,
            failed=self.failed,
        )

    def _remaining_s(self) -> float | None:
        load = self._testbed.profile.load
        if load.mode is not Mode.BURST:
            left_s = len(self.grid.open_cells()) * (load.warm_up_s + load.duration_s)
            return left_s / self._testbed.clock.time_scale
        left = self.grid.remaining_s(self._testbed.references)
        return None if left is None else left * load.repeats / self._testbed.clock.time_scale
