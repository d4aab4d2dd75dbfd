"""What is known of the cells: kept in the grids and in the session, told to the operator, doubted where need be."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

import msgspec

from tui.bench.grid import Cell, Grid
from tui.bench.measure import why_too_long
from tui.bench.server_death import DiedUnsettled
from tui.bench.system_under_test import SystemUnderTest
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.conditions import Conditions, pool_is_told, pool_note
from tui.metrics.control import drift
from tui.metrics.earlier import EarlierMeasure
from tui.metrics.edge import Carried, edges
from tui.metrics.failure_outcome import evidence_of, outcome_of
from tui.metrics.verdict import verdict_of
from tui.profile.schema import Mode

# An engine that died of something else than memory, or in a smaller cell than one that was ok, may have died by
# accident: its cell is measured once more.
DEATHS_PER_CELL = 2
# A worker that dies in each of so many tries has a cause that one more try will not remove.
VOIDS_PER_CELL = 3
# Of one mode. A cell that the operator's users stand in is measured again and again.
MEASURES_KEPT = 10_000


class CellResults:
    """Owns the grids, one for each mode."""

    def __init__(self, testbed: SystemUnderTest) -> None:
        self._testbed = testbed
        load = testbed.profile.load
        self.grids = {
            mode: Grid(
                mode.value,
                load.users,
                load.prompt_tokens,
                load.output_tokens,
                load.rate_per_s if mode is Mode.RATE else None,
            )
            for mode in Mode
        }
        self._measures: dict[Mode, deque[CellResult]] = {mode: deque(maxlen=MEASURES_KEPT) for mode in Mode}
        self._latest: dict[tuple[Mode, Cell], CellResult] = {}
        """The last measure of each cell, also of one whose grid was taken to be empty since."""
        self._edges: list[Carried] | None = None
        self._voids: Counter[tuple[Mode, Cell]] = Counter()
        self._deaths: Counter[tuple[Mode, Cell]] = Counter()

    def restore(self, cells: Iterable[CellResult]) -> None:
        """Take what an earlier part of the session found, oldest first."""
        for cell in cells:
            self.grids[Mode(cell.mode)].put(cell)
            self._remember(cell)

    def measures(self, mode: Mode) -> Sequence[CellResult]:
        """Return all measures of a mode, those of one cell that was measured several times included, oldest first."""
        return self._measures[mode]

    @property
    def edges(self) -> list[Carried]:
        """Return the edge at each prompt size, as far as it is known, in the profile's mode."""
        if self._edges is None:
            profile = self._testbed.profile
            self._edges = edges(list(self._measures[profile.load.mode]), profile)
        return self._edges

    def forget_all(self, mode: Mode) -> None:
        """Take it that nothing is known of a grid; the session keeps what was measured."""
        for cell in self.grids[mode].asked:
            self.grids[mode].forget(cell)
        self._measures[mode].clear()
        self._edges = None

    def forget_running(self, cell: Cell, mode: Mode) -> None:
        """Make a cell open again that was being measured; what was known of it before stays."""
        known = self.grids[mode].get(cell)
        if known is not None and known.outcome is Outcome.RUNNING:
            self.grids[mode].forget(cell)

    def _remember(self, result: CellResult) -> None:
        if result.outcome is not Outcome.IMPLIED:
            mode = Mode(result.mode)
            self._measures[mode].append(result)
            if result.measured:
                self._latest[mode, (result.users, result.prompt_tokens)] = result
            self._edges = None

    def mark_running(self, cell: Cell, mode: Mode) -> None:
        """Show a cell of which nothing is known as being measured."""
        grid = self.grids[mode]
        if grid.get(cell) is None:
            grid.put(grid.without_figures(cell, Outcome.RUNNING, simulated=self._testbed.simulated))

    def drop_running(self) -> None:
        """Make open again what was being measured."""
        for grid in self.grids.values():
            for result in grid.results:
                if result.outcome is Outcome.RUNNING:
                    grid.forget((result.users, result.prompt_tokens))

    def workers_lost(self) -> int:
        """Return how many load workers have died so far."""
        return self._testbed.pool.workers_lost if self._testbed.pool is not None else 0

    def keep_unless_doubtful(self, result: CellResult, lost_before: int) -> bool:
        """Keep a result; return False for one that says nothing yet, whose cell is open again.

        `lost_before`: how many load workers had died when it began.
        """
        if self._is_void(result, lost_before) or self._is_doubtful(result):
            return False
        if lost := self.workers_lost() - lost_before:
            what = "a load worker was" if lost == 1 else f"{lost} load workers were"
            caveats = "; ".join(filter(None, (result.caveats, f"{what} lost while it was measured")))
            result = msgspec.structs.replace(result, caveats=caveats)
        self.keep(result)
        return True

    def keep(self, result: CellResult) -> None:
        """Keep a result, and all that it implies."""
        mode, cell = Mode(result.mode), (result.users, result.prompt_tokens)
        grid = self.grids[mode]
        result = self._judged(self._marked(result), grid)
        result = msgspec.structs.replace(result, earlier=_earlier(self._latest.get((mode, cell)), result))
        before = grid.get(cell)
        self._remember(result)
        self._tell_earlier_pools(result, grid)
        for new in grid.put(result):
            self._testbed.keep_cell(new)
        if before is None or before.outcome is not result.outcome:  # a cell that stands is measured again and again
            self._tell(result)

    def keep_control(self, earlier: CellResult, again: CellResult) -> None:
        """Keep what a cell came to that was measured again after a relaunch, and tell how far that is from before.

        One that did not go well leaves the earlier result alone.
        """
        words = drift(earlier, again)
        if again.outcome is not Outcome.OK or not words or again.conditions is None or earlier.conditions is None:
            self._tell(again, "a control: what was measured before stays")
            return
        conditions = msgspec.structs.replace(
            again.conditions, control_of=earlier.conditions.launch, notes=[*again.conditions.notes, words]
        )
        self.keep(msgspec.structs.replace(again, conditions=conditions))
        self._testbed.say("cell", words)

    def keep_too_long(self, cell: Cell, mode: Mode) -> str:
        """Keep the result of a cell that cannot fit; return why it cannot, or ""."""
        why = why_too_long(self._testbed, cell[1])
        if why:
            grid = self.grids[mode]
            self.keep(grid.without_figures(cell, Outcome.TOO_LONG, why, simulated=self._testbed.simulated))
        return why

    def fail_all(self, mode: Mode, outcome: Outcome, evidence: str) -> None:
        """Give every open cell of a mode the outcome of a server that could not be launched."""
        grid = self.grids[mode]
        for cell in grid.open_cells():
            result = grid.without_figures(cell, outcome, evidence, simulated=self._testbed.simulated)
            result = self._judged(result, grid)
            grid.put(result)
            self._testbed.keep_cell(result)

    def tell_unsettled(self, cell: Cell, died: DiedUnsettled) -> None:
        """Say that the server died of no cell in particular."""
        text = (
            f"the server died ({outcome_of(died.report)}: {evidence_of(died.report)}) while requests of another cell "
            f"were under way beside {cell[0]} users x {cell[1]} tokens: no cell is blamed for it"
        )
        self._testbed.say("cell", text, level="error")
        self._testbed.show_notice(text)

    def _is_void(self, result: CellResult, lost_before: int) -> bool:
        """Say whether a load worker died while the cell was measured: it is open again, and measured once more."""
        mode, cell = Mode(result.mode), (result.users, result.prompt_tokens)
        # Even one that had nothing under way may have left requests unsent.
        if self.workers_lost() == lost_before or result.outcome.grows_with_load:
            return False
        self._voids[mode, cell] += 1
        if self._voids[mode, cell] > VOIDS_PER_CELL:
            return False
        self._tell(result, "void, since a load worker was lost: will be measured again")
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

    def _judged(self, result: CellResult, grid: Grid) -> CellResult:
        """Return the result with what limited it, and with what sets its conditions apart from those of other cells."""
        conditions = result.conditions
        if conditions is not None:
            earlier = (other.conditions for other in grid.results if other.conditions is not None)
            if note := pool_note(conditions, earlier):
                result = _noted(result, conditions, note)
        return msgspec.structs.replace(result, verdict=verdict_of(result, grid.results))

    def _tell_earlier_pools(self, present: CellResult, grid: Grid) -> None:
        """Say of each cell measured before on a launch with another KV pool that this one differs, once."""
        if present.conditions is None:
            return
        measures = self._measures[Mode(present.mode)]
        for other in grid.results:
            if other.conditions is None or pool_is_told(other.conditions):
                continue
            if note := pool_note(other.conditions, [present.conditions]):
                marked = _noted(other, other.conditions, note)
                grid.replace(marked)
                for place, measure in enumerate(measures):
                    if measure is other:
                        measures[place] = marked
                self._testbed.keep_cell(marked)

    def _tell(self, result: CellResult, more: str = "") -> None:
        if result.outcome is Outcome.OK and result.time_to_resolve_s is not None:
            told, level = f"{result.time_to_resolve_s:.2f} s", "warning" if more else "info"
        else:
            told, level = f"{result.outcome}: {result.evidence}", "warning"
        text = f"{users_in_words(result.users)} x {result.prompt_tokens} tokens: {told}"
        self._testbed.say("cell", f"{text}; {more}" if more else text, level=level)


def _noted(result: CellResult, conditions: Conditions, note: str) -> CellResult:
    """Return the result with what sets its conditions apart, told in its caveats as well."""
    return msgspec.structs.replace(
        result,
        conditions=msgspec.structs.replace(conditions, notes=[*conditions.notes, note]),
        caveats="; ".join(filter(None, (result.caveats, note))),
    )


def _earlier(before: CellResult | None, present: CellResult) -> EarlierMeasure | None:
    """Return the measure before the present one; those in which the operator's users stood on count as one."""
    if before is None or not present.measured:
        return None
    if before.measured_by == present.measured_by == "operator":
        return before.earlier
    return EarlierMeasure(
        count=1 + (before.earlier.count if before.earlier is not None else 0),
        tag=before.tag,
        outcome=before.outcome,
        launch=before.conditions.launch if before.conditions is not None else 0,
        time_to_resolve_s=before.time_to_resolve_s,
        ttft_p50_s=before.ttft_p50_s,
        tokens_per_s_total=before.tokens_per_s_total,
    )
