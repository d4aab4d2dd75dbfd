"""What is asked of the server now, and the measuring of one cell by asking for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import msgspec

from tui.bench.cell_results import CellResults
from tui.bench.grid import Cell
from tui.bench.measure import measure_burst, measure_standing
from tui.bench.system_under_test import SystemUnderTest
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.core.tasks import background, end_task
from tui.metrics.cell import CellResult
from tui.metrics.precision import Precision, repeats_of
from tui.metrics.summary import CellSummary
from tui.profile.schema import Mode


class Asking:
    """The users and the prompt size that are asked with, and whose requests are under way."""

    def __init__(self, testbed: SystemUnderTest, cells: CellResults) -> None:
        self._testbed = testbed
        self._cells = cells
        self.users = 0
        self.prompt_tokens = testbed.profile.load.prompt_tokens[0]
        self.current: Cell | None = None
        self.progress: float | None = None
        """How much of the current cell is measured, 0 to 1."""
        self.precision: Precision | None = None
        """How sure the figures of the current cell are by now, where it stands."""
        self.standing_since_ns: int | None = None
        self.settling = False
        """Requests of another cell are still under way: the present one gets no outcome yet."""
        self._under_way: Cell | None = (0, 0)
        """Whose requests are under way: no more than this cell's; users 0 = none; None = a mixture."""

    def want(self, users: int) -> None:
        """Say how many users are to ask from now on."""
        self.users = users
        self._testbed.show_users_wanted(users)

    async def stop(self) -> None:
        """Stop all users, and wait until nothing of the last cell is under way."""
        self.standing_since_ns = None
        self.want(0)
        if self._testbed.pool is not None and self._testbed.ready:
            await self._testbed.pool.cut()
            self._under_way = (0, 0)

    async def send_home(self, *, cut: bool) -> None:
        """Have no users from now on; those who leave finish their request, or are cut."""
        assert self._testbed.pool is not None
        self.standing_since_ns = None
        self._under_way = None
        await self._testbed.pool.set_users(0, cut=cut)

    def begin_with_nothing(self) -> None:
        """Take it that a new server answers, of which nothing is asked yet."""
        self._under_way = (0, 0)

    def drop(self) -> None:
        """Take it that no cell is measured any more."""
        self._cells.drop_running()
        self.current = None
        self.progress = None

    def standing_for_s(self) -> float | None:
        """Return how long users and prompt size have stood still, s; None while they move."""
        if self.standing_since_ns is None:
            return None
        return (self._testbed.clock.now_ns() - self.standing_since_ns) / NS_PER_S

    async def measure(self, cell: Cell, mode: Mode) -> CellResult:
        """Measure a cell of the sweep in the way of a mode. Raises DiedUnsettled."""
        if mode is Mode.STEADY:
            if cell[0] < self.users or cell[1] != self.prompt_tokens:
                await self.stop()
            return await self.standing(cell, "sweep")
        if mode is Mode.RATE:
            return await self._runs(cell)
        self.prompt_tokens = cell[1]
        self.want(cell[0])
        self._mark_running(cell, mode)
        self._under_way = None
        result = await measure_burst(self._testbed, cell, self._take_progress)
        self._under_way = (0, 0)
        self.progress = None
        return result

    async def standing(self, cell: Cell, by: str, *, cut: bool = False) -> CellResult:
        """Measure users that stand still; those who leave for it finish their request, or are cut.

        Raises DiedUnsettled.
        """

        async def ask() -> None:
            assert self._testbed.pool is not None
            await self._testbed.pool.set_users(cell[0], cut=cut)

        return await self._stand(cell, Mode.STEADY, by, ask)

    async def _runs(self, cell: Cell) -> CellResult:
        """Measure as many runs as the profile asks; the median one counts, the others are kept as earlier measures."""
        runs: list[CellResult] = []
        for _ in range(self._testbed.profile.load.repeats):
            runs.append(await self._rate(cell))
            if runs[-1].outcome is not Outcome.OK or not self._testbed.ready:
                break
        if len(runs) == 1 or runs[-1].outcome is not Outcome.OK:
            return runs[-1]
        has_p90 = all(run.e2e_p90_s is not None for run in runs)
        figures = [(run.e2e_p90_s if has_p90 else run.time_to_resolve_s) or 0.0 for run in runs]
        median = sorted(range(len(runs)), key=figures.__getitem__)[len(runs) // 2]
        for place, run in enumerate(runs):
            if place != median:
                self._testbed.keep_cell(run)
        return msgspec.structs.replace(runs[median], repeats=repeats_of(figures, "E2E p90" if has_p90 else "mean E2E"))

    async def _rate(self, cell: Cell) -> CellResult:
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
            result = await self._stand(cell, Mode.RATE, "sweep", ask)
            ended_early = (result.duration_s or 0.0) < load.duration_s * 0.99
            cut = await self._cut(result.tag) if ended_early or not self._testbed.ready else 0
            dropped = await task if task is not None else 0
        finally:
            if task is None:
                asking.close()
            else:
                await end_task(task)
            await self.stop()
        result = msgspec.structs.replace(result, requests_dropped=dropped)
        if not cut or result.rate is None:
            return result
        said = f"{cut:,} requests under way were cut unanswered when the cell ended before its time"
        return msgspec.structs.replace(
            result,
            rate=msgspec.structs.replace(result.rate, cut=cut),
            caveats="; ".join(filter(None, (result.caveats, said))),
        )

    async def _cut(self, tag: int) -> int:
        """End a plan and what is under way of it; return how many requests that left unanswered."""
        assert self._testbed.pool is not None
        left = CellSummary(Mode.RATE, tag=tag)
        self._testbed.collect(left)
        try:
            await self._testbed.pool.cut()
        finally:
            self._testbed.release(left)
        return left.cancelled

    async def _stand(
        self, cell: Cell, mode: Mode, by: str, ask: Callable[[], Coroutine[None, None, None]]
    ) -> CellResult:
        same = self.current == cell and self.users == cell[0] and self.standing_since_ns is not None
        self.prompt_tokens = cell[1]
        self.want(cell[0])
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
            self._testbed, cell, mode, tag, ask, by, self._take_progress, on_settled if self.settling else None
        )
        try:
            return await measuring
        finally:
            self.settling = False
            self.progress = self.precision = None

    def _mark_running(self, cell: Cell, mode: Mode) -> None:
        self.current = cell
        self.progress = 0.0
        self._cells.mark_running(cell, mode)

    def _take_progress(self, share: float, precision: Precision | None) -> None:
        self.progress, self.precision = share, precision


def _is_part_of(under_way: Cell | None, cell: Cell) -> bool:
    """Say whether what is under way is no more than what `cell` asks itself."""
    if under_way is None:
        return False
    return under_way[0] == 0 or (under_way[0] <= cell[0] and under_way[1] == cell[1])
