"""The operator's users: they fill the cell they stand in, again and again; a ramp stands at one after the other."""

from __future__ import annotations

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.grid import Cell
from tui.bench.relaunch import Relaunch
from tui.bench.server_death import DiedUnsettled
from tui.bench.system_under_test import SystemUnderTest
from tui.profile.schema import Mode


class Dwelling:
    """Measures in mode steady whatever stands still long enough."""

    def __init__(
        self, testbed: SystemUnderTest, cells: CellResults, asking: Asking, relaunch: Relaunch, *, users_return: bool
    ) -> None:
        """`users_return`: after a relaunch the users ask again by themselves, unless memory gave out."""
        self._testbed = testbed
        self._cells = cells
        self._asking = asking
        self._relaunch = relaunch
        self._users_return = users_return
        self.users_before = 0
        """How many users asked when the server died, until they are asked for again or others are."""

    async def operate(self, users: int, *, cut: bool = False) -> None:
        """Keep so many users asking."""
        asking = self._asking
        asking.want(users)
        if not self._testbed.ready:
            if not (users and self._relaunch.under_way):
                return
            await self._relaunch.wait()
        if users == 0:
            await asking.send_home(cut=cut)
            return
        cell = (users, asking.prompt_tokens)
        if self._cells.keep_too_long(cell, Mode.STEADY):
            await asking.stop()
            return
        while await self._stand(cell, cut=cut):
            pass

    async def ramp(self) -> None:
        """Add users step by step at the present prompt size, standing still at each value of the axis."""
        asking = self._asking
        for users in self._testbed.profile.load.users:
            if users <= asking.users:
                continue
            if why := self._cells.keep_too_long((users, asking.prompt_tokens), Mode.STEADY):
                self._testbed.show_notice(f"too long: {why}")
                break
            if not await self._stand((users, asking.prompt_tokens)):
                return
        await self.operate(asking.users)

    async def _stand(self, cell: Cell, *, cut: bool = False) -> bool:
        """Fill one cell while users stand still; return whether there is a server that they go on asking."""
        again = self._users_return
        lost_before = self._cells.workers_lost()
        try:
            result = await self._asking.standing(cell, "operator", cut=cut)
        except DiedUnsettled as died:
            self._cells.tell_unsettled(cell, died)
        else:
            kept = self._cells.keep_unless_doubtful(result, lost_before)
            again = not kept or (again and not result.outcome.is_oom)
        if self._testbed.ready:
            return True
        self._asking.want(0)
        self.users_before = 0 if again else cell[0]
        await self._relaunch.wait()
        return again
