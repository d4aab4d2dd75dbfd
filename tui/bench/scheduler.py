"""What is asked of the server next: the operator's users, a ramp, or a sweep of the grid. One of them at a time.

A cell is measured whenever users and prompt size stay the same long enough, no matter who set them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

import msgspec

from tui.bench.grid import Cell, Grid
from tui.bench.measure import DiedUnsettled, measure_burst, measure_standing, why_too_long
from tui.bench.outcomes import evidence_of, outcome_of
from tui.bench.system_under_test import SystemUnderTest
from tui.core.clock import NS_PER_S
from tui.core.errors import LaunchError, VrampError
from tui.core.outcome import Outcome
from tui.core.tasks import background, end_task, reason_of
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.snapshot import SweepStatus
from tui.profile.schema import Mode

# An engine that died of something else than memory, or in a smaller cell than one that was ok, may have died by
# accident: its cell is measured once more.
DEATHS_PER_CELL = 2
# A worker that dies in each of so many tries has a cause that one more try will not remove.
VOIDS_PER_CELL = 3

Work = Callable[[], Coroutine[None, None, None]]


class Scheduler:
    """Owns the grids and the one activity under way."""

    def __init__(self, testbed: SystemUnderTest, *, users_return: bool = False) -> None:
        """`users_return`: after a relaunch the operator's users ask again by themselves, unless memory gave out."""
        self._testbed = testbed
        self._users_return = users_return
        load = testbed.profile.load
        self.grids = {mode: Grid(mode.value, load.users, load.prompt_tokens, load.output_tokens) for mode in Mode}
        self.shown_mode = load.mode
        self.activity = "idle"
        self.users = 0
        self.prompt_tokens = load.prompt_tokens[0]
        self.current: Cell | None = None
        self.standing_since_ns: int | None = None
        self.settling = False
        """Requests of another cell are still under way: the present one gets no outcome yet."""
        self._under_way: Cell | None = (0, 0)
        """Whose requests are under way: no more than this cell's; users 0 = none; None = a mixture."""
        self._voids: Counter[tuple[Mode, Cell]] = Counter()
        self._deaths: Counter[tuple[Mode, Cell]] = Counter()
        self._cell_progress: float | None = None
        self._sweep_finished = False
        self._sweep_failed = ""
        self.taken_over = ""
        """Who ended the last sweep before its time, in words."""
        self._task: asyncio.Task[None] | None = None
        self._relaunching: asyncio.Task[Exception | None] | None = None
        self._waiting_for_server = 0
        self.users_before = 0
        """How many users of the operator asked when the server died, until they are asked for again or others are."""

    # -- what the operator can do ------------------------------------------------------------------------------------

    async def set_users(self, users: int, *, cut: bool = False) -> None:
        """Have so many users from now on; ends a sweep or a ramp."""
        self.users_before = 0
        self._set_users_wanted(users)  # at once, for the next key may come before the work begins
        await self._begin("users" if users else "idle", lambda: self._operate(users, cut=cut))

    async def restore_users(self) -> None:
        """Have the users that asked when the server died ask again."""
        if self.users_before:
            await self.set_users(self.users_before)

    async def set_prompt_tokens(self, prompt_tokens: int) -> None:
        """Ask with prompts of this size from now on; ends a sweep or a ramp."""
        self.prompt_tokens = prompt_tokens
        await self._begin("users" if self.users else "idle", lambda: self._operate(self.users))

    def refuse_too_long(self, prompt_tokens: int) -> str:
        """Return why the users there are cannot ask prompts of this size, and note it in the grid; empty = they can."""
        return self._keep_too_long((self.users, prompt_tokens), Mode.STEADY) if self.users else ""

    def next_prompt_tokens(self, step: int) -> int:
        """Return the next (1) or previous (-1) prompt size of the grid; the last stays the last."""
        axis = self.grids[Mode.STEADY].prompt_tokens
        if step > 0:
            return min((size for size in axis if size > self.prompt_tokens), default=axis[-1])
        return max((size for size in axis if size < self.prompt_tokens), default=axis[0])

    async def start_sweep(self, *, anew: bool = False) -> None:
        """Measure all open cells in the profile's mode; `anew`: all of them."""
        if anew:
            grid = self.grids[self._testbed.profile.load.mode]
            for cell in grid.asked:
                grid.forget(cell)
        self._sweep_finished = False
        self._sweep_failed = self.taken_over = ""
        await self._begin("sweep", self._sweep)

    async def start_ramp(self) -> None:
        """Add users step by step at the present prompt size, standing still at each value of the axis."""
        await self._begin("ramp", self._ramp)

    async def stop(self) -> None:
        """End whatever is under way and stop all users."""
        self._set_users_wanted(0)
        await self._begin("idle", lambda: self._operate(0, cut=True))

    async def give_up(self, why: str) -> None:
        """End whatever is under way, and all that was still to be measured, for a cause outside the server."""
        await self.stop()
        self._sweep_failed = why
        self._testbed.show_notice(why)

    async def close(self) -> None:
        """End whatever is under way, a relaunch too; the server and the load may be gone already."""
        await self._end_activity()
        if self._relaunching is not None:
            await end_task(self._relaunching)
            self._relaunching = None

    async def _end_activity(self) -> None:
        if self._task is not None:
            await end_task(self._task)
            self._task = None
        self._drop_running()

    @property
    def grid(self) -> Grid:
        """Return the grid that is shown: the one being filled."""
        return self.grids[self.shown_mode]

    @property
    def results(self) -> list[CellResult]:
        """Return what is known of each cell of the profile's mode, in the order of the axes."""
        return [cell for cell in self.grids[self._testbed.profile.load.mode].results if not cell.outcome.is_open]

    @property
    def sweep_status(self) -> SweepStatus:
        """Return how far the sweep is."""
        grid = self.grids[self._testbed.profile.load.mode]
        asked, still_open = grid.asked, grid.open_cells()
        return SweepStatus(
            running=self.activity == "sweep",
            cells_done=len(asked) - len(still_open),
            cells_total=len(asked),
            cell_progress=self._cell_progress,
            remaining_s=self._remaining_s(grid),
            finished=self._sweep_finished,
            taken_over=self.taken_over,
            failed=self._sweep_failed,
        )

    @property
    def is_done(self) -> bool:
        """Say whether the sweep came to its end, and nothing else was begun after it."""
        return self._sweep_finished and self.activity in ("sweep", "idle")

    def _remaining_s(self, grid: Grid) -> float | None:
        load = self._testbed.profile.load
        if load.mode is not Mode.BURST:
            left_s = len(grid.open_cells()) * (load.warm_up_s + load.duration_s)
            return left_s / self._testbed.clock.time_scale
        left = grid.remaining_s(self._testbed.references)
        return None if left is None else left * load.repeats / self._testbed.clock.time_scale

    # -- activities --------------------------------------------------------------------------------------------------

    async def _begin(self, activity: str, work: Work) -> None:
        await self._end_activity()
        if activity in ("sweep", "ramp"):
            self.users_before = 0
        self.activity = activity
        self._task = background(self._carry_out(work), name=activity)

    async def _carry_out(self, work: Work) -> None:
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
            self._drop_running()
            self.activity = "idle"

    def _give_up(self, why: str) -> None:
        self._testbed.say("bench", why, level="error")
        self._testbed.show_notice(why)
        if self.activity == "sweep":
            self._sweep_failed = why

    async def _operate(self, users: int, *, cut: bool = False) -> None:
        """Keep the operator's users asking; fill the cell they stand in, again and again."""
        self.shown_mode = Mode.STEADY
        self._set_users_wanted(users)
        if not self._testbed.ready:
            if not (users and self.relaunching):
                return
            await self._relaunch()
        assert self._testbed.pool is not None
        cell = (users, self.prompt_tokens)
        if users == 0:
            self.standing_since_ns = None
            self._under_way = None
            await self._testbed.pool.set_users(0, cut=cut)
            return
        if self._keep_too_long(cell, Mode.STEADY):
            await self._stop_users()
            return
        while await self._stand(cell, Mode.STEADY, "operator", cut=cut):
            pass

    async def _ramp(self) -> None:
        self.shown_mode = Mode.STEADY
        for users in self._testbed.profile.load.users:
            if users > self.users and not await self._stand((users, self.prompt_tokens), Mode.STEADY, "operator"):
                return
        await self._operate(self.users)

    async def _sweep(self) -> None:
        mode = self._testbed.profile.load.mode
        self.shown_mode = mode
        grid = self.grids[mode]
        self._testbed.announce_sweep(grid.open_cells())
        await self._stop_users()
        for cell in grid.open_cells():
            # Said before anything else: what cannot fit is not implied by what ran out of memory.
            self._keep_too_long(cell, mode)
        while cells := grid.open_cells():
            cell = cells[0]
            if not self._testbed.ready:
                await self._relaunch()
            lost_before = self._workers_lost()
            try:
                result = await self._measure(cell, mode)
            except DiedUnsettled as died:
                self._tell_unsettled(cell, died)
                grid.forget(cell)
                continue
            if not (self._is_void(result, lost_before) or self._is_doubtful(result)):
                self._keep(result)
        self._sweep_finished = True
        await self._stop_users()
        self._testbed.say("sweep", "all cells of the grid have an outcome")
        if not self._testbed.ready:  # the last cell killed it; the operator may want to go on
            await self._relaunch()

    async def _measure(self, cell: Cell, mode: Mode) -> CellResult:
        if mode is Mode.STEADY:
            if cell[0] < self.users or cell[1] != self.prompt_tokens:
                await self._stop_users()
            return await self._standing(cell, mode, "sweep", lambda: self._users(cell[0]))
        if mode is Mode.RATE:
            return await self._measure_rate(cell)
        self.prompt_tokens = cell[1]
        self._set_users_wanted(cell[0])
        self._mark_running(cell, mode)
        self._under_way = None
        result = await measure_burst(self._testbed, cell, self._progress)
        self._under_way = (0, 0)
        return result

    async def _measure_rate(self, cell: Cell) -> CellResult:
        """Ask at `users` times the profile's rate, whether earlier requests were answered or not."""
        load, pool, scale = self._testbed.profile.load, self._testbed.pool, self._testbed.clock.time_scale
        assert pool is not None and load.rate_per_s is not None
        asking = pool.open_loop(
            load.rate_per_s * cell[0] * scale, load.arrivals, load.seed, (load.warm_up_s + load.duration_s) / scale
        )
        task: asyncio.Task[int] | None = None

        async def ask() -> None:
            nonlocal task
            task = background(asking, name="open-loop")

        try:
            result = await self._standing(cell, Mode.RATE, "sweep", ask)
            dropped = await task if task is not None and self._testbed.ready else 0
        finally:
            if task is None:
                asking.close()
            else:
                await end_task(task)
            await self._stop_users()
        return msgspec.structs.replace(result, requests_dropped=dropped)

    async def _stand(self, cell: Cell, mode: Mode, by: str, *, cut: bool = False) -> bool:
        """Fill one cell while users stand still; return whether the server lives."""
        again = self._users_return
        lost_before = self._workers_lost()
        try:
            result = await self._standing(cell, mode, by, lambda: self._users(cell[0], cut=cut))
        except DiedUnsettled as died:
            self._tell_unsettled(cell, died)
        else:
            doubtful = self._is_void(result, lost_before) or self._is_doubtful(result)
            if not doubtful:
                self._keep(result)
            again = doubtful or (again and not result.outcome.is_oom)
        if self._testbed.ready:
            return True
        self._set_users_wanted(0)
        self.users_before = 0 if again else cell[0]
        await self._relaunch()
        return again

    async def _standing(
        self, cell: Cell, mode: Mode, by: str, ask: Callable[[], Coroutine[None, None, None]]
    ) -> CellResult:
        same = self.current == cell and self.users == cell[0] and self.standing_since_ns is not None
        self.prompt_tokens = cell[1]
        self._set_users_wanted(cell[0])
        self._mark_running(cell, mode)
        before, self._under_way = self._under_way, None
        self.settling = mode is Mode.STEADY and not _is_part_of(before, cell)
        if self.settling:
            self.standing_since_ns = None
        elif not same:
            self.standing_since_ns = self._testbed.clock.now_ns()
        tag = await self._testbed.configure(cell[1])

        def on_settled() -> None:
            self.settling = False
            self._under_way = cell
            self.standing_since_ns = self._testbed.clock.now_ns()

        if not self.settling:
            self._under_way = cell if mode is Mode.STEADY else None
        measuring = measure_standing(
            self._testbed, cell, mode, tag, ask, by, self._progress, on_settled if self.settling else None
        )
        try:
            return await measuring
        finally:
            self.settling = False

    async def _users(self, users: int, *, cut: bool = False) -> None:
        assert self._testbed.pool is not None
        await self._testbed.pool.set_users(users, cut=cut)

    async def _stop_users(self) -> None:
        """Stop all users, and wait until nothing of the last cell is under way."""
        self.standing_since_ns = None
        self._set_users_wanted(0)
        if self._testbed.pool is not None and self._testbed.ready:
            await self._testbed.pool.cut()
            self._under_way = (0, 0)

    async def _relaunch(self) -> None:
        """Have the server launched again, or wait until it is: that goes on whatever the operator does meanwhile.

        What was asked of the one before is over with it. Raises LaunchError.
        """
        self.standing_since_ns = None
        if self._relaunching is None or self._relaunching.done():
            self._relaunching = background(self._launch_again(), name="relaunch")
        self._waiting_for_server += 1
        try:
            error = await asyncio.shield(self._relaunching)
        finally:
            self._waiting_for_server -= 1
        if error is not None:
            raise error
        self._under_way = (0, 0)

    async def _launch_again(self) -> Exception | None:
        """Return what went wrong, for whoever waits; a fault that nobody waits for is told by the task itself."""
        try:
            await self._testbed.relaunch()
        except LaunchError as error:
            return error
        except Exception as error:
            if not self._waiting_for_server:
                raise
            return error
        return None

    @property
    def relaunching(self) -> bool:
        """Say whether the server is being launched again."""
        return self._relaunching is not None and not self._relaunching.done()

    # -- results -----------------------------------------------------------------------------------------------------

    def _progress(self, share: float) -> None:
        self._cell_progress = share

    def _set_users_wanted(self, users: int) -> None:
        self.users = users
        self._testbed.show_users_wanted(users)

    def _mark_running(self, cell: Cell, mode: Mode) -> None:
        self.current = cell
        self._cell_progress = 0.0
        grid = self.grids[mode]
        if grid.get(cell) is None:
            grid.put(grid.without_figures(cell, Outcome.RUNNING, simulated=self._testbed.simulated))

    def _drop_running(self) -> None:
        for grid in self.grids.values():
            for result in grid.results:
                if result.outcome is Outcome.RUNNING:
                    grid.forget((result.users, result.prompt_tokens))
        self.current = None
        self._cell_progress = None

    def _keep(self, result: CellResult) -> None:
        grid = self.grids[Mode(result.mode)]
        result = self._marked(result)
        before = grid.get((result.users, result.prompt_tokens))
        for new in grid.put(result):
            self._testbed.keep_cell(new)
        self._cell_progress = None
        if before is None or before.outcome is not result.outcome:  # a cell that stands is measured again and again
            self._tell(result)

    def _keep_too_long(self, cell: Cell, mode: Mode) -> str:
        """Keep the result of a cell that cannot fit; return why it cannot, or ""."""
        why = why_too_long(self._testbed, cell[1])
        if why:
            grid = self.grids[mode]
            self._keep(grid.without_figures(cell, Outcome.TOO_LONG, why, simulated=self._testbed.simulated))
        return why

    def _workers_lost(self) -> int:
        return self._testbed.pool.workers_lost if self._testbed.pool is not None else 0

    def _is_void(self, result: CellResult, lost_before: int) -> bool:
        """Say whether a load worker died while the cell was measured: it is open again, and measured once more."""
        mode, cell = Mode(result.mode), (result.users, result.prompt_tokens)
        # Even one that had nothing under way may have left requests unsent.
        if self._workers_lost() == lost_before or result.outcome.grows_with_load:
            return False
        self._voids[mode, cell] += 1
        if self._voids[mode, cell] > VOIDS_PER_CELL:
            return False
        self._tell(result, "void, will be measured again")
        self.grids[mode].forget(cell)
        return True

    def _is_doubtful(self, result: CellResult) -> bool:
        """Say whether a death may have been an accident: then the cell is open again, to be measured once more."""
        mode, cell = Mode(result.mode), (result.users, result.prompt_tokens)
        contradicts = result.outcome.grows_with_load and self.grids[mode].larger_ok(cell) is not None
        if not contradicts and result.outcome is not Outcome.ENGINE_DEAD:
            return False
        self._deaths[mode, cell] += 1
        if self._deaths[mode, cell] >= DEATHS_PER_CELL:
            return False
        self._tell(self._marked(result), "will be measured once more")
        self.grids[mode].forget(cell)
        return True

    def _marked(self, result: CellResult) -> CellResult:
        """Return the result, its evidence saying so where it contradicts what is known of a larger cell."""
        larger = self.grids[Mode(result.mode)].larger_ok((result.users, result.prompt_tokens))
        if larger is None or not result.outcome.grows_with_load:
            return result
        why = f"contradicts {larger.users} users x {larger.prompt_tokens} tokens, which was ok"
        return msgspec.structs.replace(result, evidence=f"{result.evidence} ({why})")

    def _tell_unsettled(self, cell: Cell, died: DiedUnsettled) -> None:
        text = (
            f"the server died ({outcome_of(died.report)}: {evidence_of(died.report)}) while requests of another cell "
            f"were under way beside {cell[0]} users x {cell[1]} tokens: no cell is blamed for it"
        )
        self._testbed.say("cell", text, level="error")
        self._testbed.show_notice(text)

    def _tell(self, result: CellResult, more: str = "") -> None:
        cell = f"{users_in_words(result.users)} x {result.prompt_tokens} tokens"
        if result.outcome is Outcome.OK and result.time_to_resolve_s is not None:
            self._testbed.say("cell", f"{cell}: {result.time_to_resolve_s:.2f} s")
        else:
            text = f"{cell}: {result.outcome}: {result.evidence}"
            self._testbed.say("cell", f"{text}; {more}" if more else text, level="warning")

    def fail_all(self, outcome: Outcome, evidence: str) -> None:
        """Give every open cell of the sweep's grid the outcome of a server that could not be launched."""
        grid = self.grids[self._testbed.profile.load.mode]
        for cell in grid.open_cells():
            result = grid.without_figures(cell, outcome, evidence, simulated=self._testbed.simulated)
            grid.put(result)
            self._testbed.keep_cell(result)

    def standing_for_s(self) -> float | None:
        """Return how long users and prompt size have stood still, s; None while they move."""
        if self.standing_since_ns is None:
            return None
        return (self._testbed.clock.now_ns() - self.standing_since_ns) / NS_PER_S


def _is_part_of(under_way: Cell | None, cell: Cell) -> bool:
    """Say whether what is under way is no more than what `cell` asks itself."""
    if under_way is None:
        return False
    return under_way[0] == 0 or (under_way[0] <= cell[0] and under_way[1] == cell[1])
