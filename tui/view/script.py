"""A script for an audience, as it is being shown: which step it is at, and when the next is due. Pure.

Times are those of snapshots: session seconds, which on a simulated server with a time scale are modelled ones.
"""

from __future__ import annotations

from collections.abc import Callable

from tui.core.clock import NS_PER_S
from tui.metrics.snapshot import Phase, Snapshot
from tui.profile.demo_table import DemoStep, DemoTable

STEADY_S = 5.0
"""So long, session s, all users who are wanted have asked before they count as steady."""
_BEGINS_S = 5.0
"""A walk or a question that has not begun by then will not."""


class Script:
    """Where a script is. It stands until `toggle` or `step`; `advance` takes snapshots and hands out due steps."""

    def __init__(self, table: DemoTable) -> None:
        self._steps = table.step
        self.place = -1
        """Of the step being shown; -1 = none was yet."""
        self.running = False
        self.caption = ""
        self._elapsed_ns = 0
        self._step_ns = 0
        self._at_ns: int | None = None
        self._ooms = 0
        self._begun = False
        self._due: DemoStep | None = None

    @property
    def in_words(self) -> str:
        """Return how it stands, e.g. "step 2 of 9, runs"."""
        if self.place < 0:
            return f"a script of {len(self._steps)} steps: r runs it"
        last = self.place == len(self._steps) - 1
        state = "runs" if self.running else "is over" if last else "is held"
        return f"step {self.place + 1} of {len(self._steps)}, {state}"

    def run(self) -> None:
        """Begin, from the first step on."""
        self.running, self._elapsed_ns = True, 0
        self._go_to(0)

    def toggle(self) -> None:
        """Hold, or go on."""
        if self.place < 0:
            self.run()
        else:
            self.running = not self.running

    def step(self, by: int) -> None:
        """Go to the next step, or the one before, at once."""
        self._go_to(min(max(0, self.place + by), len(self._steps) - 1))

    def advance(self, snapshot: Snapshot) -> DemoStep | None:
        """Take a snapshot; return the step that is to be carried out now, if one is due."""
        passed_ns = max(0, snapshot.at_ns - self._at_ns) if self._at_ns is not None and self.running else 0
        self._at_ns = snapshot.at_ns
        self._elapsed_ns += passed_ns
        self._step_ns += passed_ns
        if self._due is None and self.running and self._is_over(snapshot):
            if self.place + 1 < len(self._steps):
                if self._elapsed_ns >= self._steps[self.place + 1].at * NS_PER_S:
                    self._go_to(self.place + 1)
            else:
                self.running = False
        step, self._due = self._due, None
        if step is not None:
            self._ooms, self._begun = _ooms_of(snapshot), False
        return step

    def _go_to(self, place: int) -> None:
        self.place, self._step_ns = place, 0
        self._due = self._steps[place]
        self.caption = self._due.caption or self.caption

    def _is_over(self, snapshot: Snapshot) -> bool:
        step, since_s = self._steps[self.place], self._step_ns / NS_PER_S
        if since_s < step.seconds:
            return False
        if step.wait is None or since_s >= step.at_most:
            return True
        return _CONDITIONS[step.wait](self, snapshot)

    def _oom(self, snapshot: Snapshot) -> bool:
        return _ooms_of(snapshot) > self._ooms

    def _walked(self, snapshot: Snapshot) -> bool:
        walks = snapshot.sweep.running or snapshot.load.activity != "idle"
        self._begun = self._begun or walks
        return not walks and (self._begun or self._step_ns > _BEGINS_S * NS_PER_S)

    def _answered(self, snapshot: Snapshot) -> bool:
        aside = snapshot.aside
        return bool(aside.over) if aside is not None else self._step_ns > _BEGINS_S * NS_PER_S


def _ooms_of(snapshot: Snapshot) -> int:
    cells = sum(cell.outcome.is_oom for cell in snapshot.grid.cells)
    return cells + sum(death.outcome.is_oom for death in snapshot.deaths)


def _ready(script: Script, snapshot: Snapshot) -> bool:
    return snapshot.server.phase is Phase.READY


def _steady(script: Script, snapshot: Snapshot) -> bool:
    load = snapshot.load
    stood = load.steady_for_s is not None and load.steady_for_s >= STEADY_S
    return _ready(script, snapshot) and stood and load.users_active == load.users_wanted and not load.settling


def _grid_full(script: Script, snapshot: Snapshot) -> bool:
    sweep = snapshot.sweep
    return not sweep.looks_for_edge and sweep.cells_total > 0 and not sweep.cells_left


_CONDITIONS: dict[str, Callable[[Script, Snapshot], bool]] = {
    "ready": _ready,
    "steady": _steady,
    "oom": Script._oom,
    "grid-full": _grid_full,
    "walked": Script._walked,
    "answered": Script._answered,
}
