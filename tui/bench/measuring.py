"""One cell measured until it has an outcome: a dead server is brought back, and what is doubtful measured again.

Whatever walks over cells by itself (the sweep, the search for the edge, a cell that is asked for again) goes by this.
"""

from __future__ import annotations

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.grid import Cell
from tui.bench.relaunch import Relaunch
from tui.bench.server_death import DiedUnsettled
from tui.bench.system_under_test import SystemUnderTest
from tui.metrics.control import control_cell
from tui.profile.schema import Mode


class Measuring:
    """Measures cells of one mode."""

    def __init__(self, testbed: SystemUnderTest, cells: CellResults, asking: Asking, relaunch: Relaunch) -> None:
        self._testbed = testbed
        self._cells = cells
        self._asking = asking
        self._relaunch = relaunch
        self._controlled = 0
        """The launch for whose sake a cell was last measured again."""

    async def measure(self, cell: Cell, mode: Mode) -> bool:
        """Measure a cell once; return whether it has an outcome by that, which it has after a few times at most.

        Raises LaunchError when the server does not come back.
        """
        if self._cells.keep_too_long(cell, mode):
            return True
        await self.bring_back()
        if await self._measure_control(mode):
            return False
        lost_before = self._cells.workers_lost()
        try:
            result = await self._asking.measure(cell, mode)
        except DiedUnsettled as died:
            self._cells.tell_unsettled(cell, died)
            self._cells.forget_running(cell, mode)
            return False
        return self._cells.keep_unless_doubtful(result, lost_before)

    async def _measure_control(self, mode: Mode) -> bool:
        """Measure one earlier cell again on a server that was launched again, once; say whether that was done."""
        launch = self._testbed.conditions.launch
        earlier = control_cell(self._cells.grids[mode].results, launch)
        if earlier is None or self._controlled == launch:
            return False
        self._controlled = launch
        try:
            again = await self._asking.measure((earlier.users, earlier.prompt_tokens), mode)
        except DiedUnsettled as died:
            self._cells.tell_unsettled((earlier.users, earlier.prompt_tokens), died)
        else:
            self._cells.keep_control(earlier, again)
        return True

    async def bring_back(self) -> None:
        """Have a server that answers. Raises LaunchError."""
        if not self._testbed.ready:
            await self._relaunch.wait()

    async def begin(self) -> None:
        """Have nothing under way."""
        await self._asking.stop()

    async def end(self) -> None:
        """Stop all users; a server that the last cell killed is brought back, since the operator may want to go on.

        Raises LaunchError.
        """
        await self._asking.stop()
        await self.bring_back()
