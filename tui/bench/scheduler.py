"""What is asked of the server next: the operator's users, a ramp, or a sweep of the grid. One of them at a time.

A cell is measured whenever users and prompt size stay the same long enough, no matter who set them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial

import msgspec

from tui.bench.asking import Asking
from tui.bench.cell_results import CellResults
from tui.bench.dwelling import Dwelling
from tui.bench.edge_finding import EdgeFinding
from tui.bench.grid import Cell, Grid
from tui.bench.measuring import Measuring
from tui.bench.relaunch import Relaunch
from tui.bench.sweep import Sweep
from tui.bench.system_under_test import SystemUnderTest
from tui.core.errors import LaunchError, VrampError
from tui.core.outcome import Outcome
from tui.core.tasks import background, end_task, reason_of
from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.metrics.precision import Precision
from tui.metrics.snapshot import SweepStatus
from tui.profile.schema import Mode

WALKS = ("sweep", "edge")
"""The activities that come to an end of their own, for which `vramp run` waits."""

Work = Callable[[], Coroutine[None, None, None]]


class Scheduler:
    """Owns the one activity under way, and all that the activities share."""

    def __init__(self, testbed: SystemUnderTest, *, users_return: bool = False) -> None:
        """`users_return`: after a relaunch the operator's users ask again by themselves, unless memory gave out."""
        self._testbed = testbed
        self._cells = CellResults(testbed)
        self._asking = Asking(testbed, self._cells)
        self._relaunch = Relaunch(testbed, self._asking)
        self._dwelling = Dwelling(testbed, self._cells, self._asking, self._relaunch, users_return=users_return)
        self._measuring = Measuring(testbed, self._cells, self._asking, self._relaunch)
        self._sweep = Sweep(testbed, self._cells, self._asking, self._measuring)
        self._edge_finding = EdgeFinding(testbed, self._cells, self._asking, self._measuring)
        self._walk: Sweep | EdgeFinding = self._sweep
        """The one that was begun last."""
        self._failed = self._taken_over = self._stopped = ""
        """Why the last walk ended before its time, where that was no failure of the server; who ended it so, by asking
        for something else or by stopping it."""
        self._mode = testbed.profile.load.mode
        self.shown_mode = testbed.profile.load.mode
        self.activity = "idle"
        self._task: asyncio.Task[None] | None = None

    # -- what the operator can do ------------------------------------------------------------------------------------

    async def set_users(self, users: int, *, cut: bool = False) -> None:
        """Have so many users from now on; ends a sweep or a ramp."""
        self._dwelling.users_before = 0
        self._asking.want(users)  # at once, for the next key may come before the work begins
        await self._operate(users, cut=cut)

    async def restore_users(self) -> None:
        """Have the users that asked when the server died ask again."""
        if self.users_before:
            await self.set_users(self.users_before)

    async def set_prompt_tokens(self, prompt_tokens: int) -> None:
        """Ask with prompts of this size from now on; ends a sweep or a ramp."""
        self._asking.prompt_tokens = prompt_tokens
        await self._operate(self.users)

    def refuse_too_long(self, prompt_tokens: int) -> str:
        """Return why the users there are cannot ask prompts of this size, and note it in the grid; empty = they can."""
        return self._cells.keep_too_long((self.users, prompt_tokens), Mode.STEADY) if self.users else ""

    def next_prompt_tokens(self, step: int) -> int:
        """Return the next (1) or previous (-1) prompt size of the grid; the last stays the last."""
        axis = self.grids[Mode.STEADY].prompt_tokens
        if step > 0:
            return min((size for size in axis if size > self.prompt_tokens), default=axis[-1])
        return max((size for size in axis if size < self.prompt_tokens), default=axis[0])

    async def start_sweep(self, *, again: bool = False) -> None:
        """Measure all open cells in the profile's mode; `again`: all of them."""
        if again:
            self._cells.forget_all(self._mode)
        self._sweep.finished = False
        await self._begin_walk("sweep", self._sweep, self._sweep.walk)

    async def find_edge(self, prompt_tokens: int | None = None) -> None:
        """Find the most users that are served well at each prompt size, or at that one, in the profile's mode."""
        self._edge_finding.reset(prompt_tokens)
        await self._begin_walk("edge", self._edge_finding, self._edge_finding.find)

    async def measure_again(self, cells: Iterable[Cell]) -> None:
        """Measure these cells in the profile's mode whatever is known of them; then be idle."""
        await self._begin("again", self._mode, partial(self._measure_again, list(cells)))

    def restore(self, cells: Iterable[CellResult]) -> None:
        """Take what an earlier part of the session found, oldest first."""
        self._cells.restore(cells)

    async def start_ramp(self) -> None:
        """Add users step by step at the present prompt size, standing still at each value of the axis."""
        await self._begin("ramp", Mode.STEADY, self._dwelling.ramp)

    async def stop(self) -> None:
        """End whatever is under way and stop all users."""
        self._asking.want(0)
        await self._operate(0, cut=True)

    async def give_up(self, why: str) -> None:
        """End whatever is under way, and all that was still to be measured, for a cause outside the server."""
        await self.stop()
        self._failed = why
        self._testbed.show_notice(why)

    async def close(self) -> None:
        """End whatever is under way, a relaunch too; the server and the load may be gone already."""
        await self._end_activity()
        await self._relaunch.close()

    def fail_all(self, outcome: Outcome, evidence: str) -> None:
        """Give every open cell of the sweep's grid the outcome of a server that could not be launched."""
        self._cells.fail_all(self._mode, outcome, evidence)

    def say_taken_over(self, by: str) -> None:
        """Say who ended the sweep before its time by asking for something else, in words."""
        self._taken_over = by

    def say_stopped(self, by: str) -> None:
        """Say who stopped the sweep before its time, in words."""
        self._stopped = by

    # -- what is to be seen of it ------------------------------------------------------------------------------------

    @property
    def users(self) -> int:
        """Return how many users are to ask."""
        return self._asking.users

    @property
    def prompt_tokens(self) -> int:
        """Return the prompt size that is asked with."""
        return self._asking.prompt_tokens

    @property
    def current(self) -> Cell | None:
        """Return the cell that is being measured."""
        return self._asking.current

    @property
    def settling(self) -> bool:
        """Say whether requests of another cell are still under way: the present one gets no outcome yet."""
        return self._asking.settling

    @property
    def precision(self) -> Precision | None:
        """Return how sure the figures of the current cell are by now, where it stands."""
        return self._asking.precision

    def standing_for_s(self) -> float | None:
        """Return how long users and prompt size have stood still, s; None while they move."""
        return self._asking.standing_for_s()

    @property
    def users_before(self) -> int:
        """Return how many users of the operator asked when the server died; 0 = none, or they ask again."""
        return self._dwelling.users_before

    @property
    def relaunching(self) -> bool:
        """Say whether the server is being launched again."""
        return self._relaunch.under_way

    @property
    def grids(self) -> dict[Mode, Grid]:
        """Return the grids, one for each mode."""
        return self._cells.grids

    @property
    def grid(self) -> Grid:
        """Return the grid that is shown: the one being filled."""
        return self.grids[self.shown_mode]

    @property
    def results(self) -> list[CellResult]:
        """Return what is known of each cell of the profile's mode, in the order of the axes."""
        return [cell for cell in self.grids[self._mode].results if not cell.outcome.is_open]

    @property
    def cells_open(self) -> int:
        """Return how many cells of the profile's grid have no outcome yet."""
        return len(self.grids[self._mode].open_cells())

    @property
    def sweep_status(self) -> SweepStatus:
        """Return how far the sweep is."""
        running = self.activity in WALKS
        status = self._walk.status()
        return msgspec.structs.replace(
            status, running=running, taken_over=self._taken_over, stopped=self._stopped, failed=self._failed
        )

    @property
    def edges(self) -> list[Carried]:
        """Return the edge at each prompt size, as far as it is known, in the profile's mode."""
        return self._cells.edges

    @property
    def is_done(self) -> bool:
        """Say whether the sweep came to its end, and nothing else was begun after it."""
        return self._walk.finished and self.activity in (*WALKS, "idle")

    # -- activities --------------------------------------------------------------------------------------------------

    async def _operate(self, users: int, *, cut: bool = False) -> None:
        await self._begin("users" if users else "idle", Mode.STEADY, lambda: self._dwelling.operate(users, cut=cut))

    async def _begin_walk(self, activity: str, walk: Sweep | EdgeFinding, work: Work) -> None:
        self._walk = walk
        self._failed = self._taken_over = self._stopped = ""
        await self._begin(activity, self._mode, work)

    async def _measure_again(self, cells: list[Cell]) -> None:
        await self._measuring.begin()
        for cell in cells:
            while not await self._measuring.measure(cell, self._mode):
                pass
        await self._measuring.end()

    async def _begin(self, activity: str, mode: Mode, work: Work) -> None:
        await self._end_activity()
        if activity not in ("users", "idle"):
            self._dwelling.users_before = 0
        self.activity = activity
        self._task = background(self._carry_out(mode, work), name=activity)

    async def _end_activity(self) -> None:
        if self._task is not None:
            await end_task(self._task)
            self._task = None
        self._asking.drop()

    async def _carry_out(self, mode: Mode, work: Work) -> None:
        self.shown_mode = mode
        try:
            await work()
        except LaunchError:
            pass  # the supervisor's status says why
        except VrampError as error:
            self._give_up(str(error))
        except Exception as error:  # an error of ours must be seen, and must not take the session with it
            self._give_up(reason_of(error))
            raise
        finally:
            self._asking.drop()
            self.activity = "idle"

    def _give_up(self, why: str) -> None:
        self._testbed.say("bench", why, level="error")
        self._testbed.show_notice(why)
        if self.activity in WALKS:
            self._failed = why
