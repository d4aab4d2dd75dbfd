"""How far a start is, and how long each stage took."""

from __future__ import annotations

from tui.core.clock import now_ns, seconds
from tui.engines.base import STAGES, LogFact, Stage
from tui.metrics.snapshot import StageProgress


class StageClock:
    """Times the stages of one start. A stage may be entered again (compilation is in two parts); its times add up."""

    def __init__(self) -> None:
        self._spent_ns: dict[Stage, int] = {}
        self._progress: dict[Stage, float] = {}
        self.current: Stage = Stage.PROCESS_UP
        self._since_ns = now_ns()
        self._over: str = ""

    def note(self, fact: LogFact) -> Stage | None:
        """Take what a log line tells; return the stage that begins by it, or None."""
        if self._over:
            return None
        entered = None
        # Workers log at different speeds: a straggler's line does not take the start back by more than a stage.
        if fact.stage is not None and fact.stage is not self.current and self._may_enter(fact.stage):
            self._leave()
            self.current = entered = fact.stage
        if fact.progress is not None and fact.stage is self.current:
            self._progress[self.current] = fact.progress
        return entered

    def finish(self, *, ready: bool) -> None:
        """Stop the clock: the server is ready, or its start has failed in the present stage."""
        if not self._over:
            self._leave()
            self._over = "done" if ready else "failed"
            if ready:
                self.current = Stage.READY

    def stages(self) -> list[StageProgress]:
        """Return all stages in their order."""
        at = STAGES.index(self.current)
        return [
            StageProgress(
                name=stage.value,
                state=self._state(stage, index, at),
                seconds=self._seconds(stage),
                progress=self._progress.get(stage) if stage is self.current and not self._over else None,
            )
            for index, stage in enumerate(STAGES)
        ]

    def _may_enter(self, stage: Stage) -> bool:
        return STAGES.index(stage) >= STAGES.index(Stage.MEMORY_PROFILING) or STAGES.index(stage) > STAGES.index(
            self.current
        )

    def _leave(self) -> None:
        now = now_ns()
        self._spent_ns[self.current] = self._spent_ns.get(self.current, 0) + now - self._since_ns
        self._since_ns = now

    def _state(self, stage: Stage, index: int, at: int) -> str:
        if stage is self.current:
            return self._over or "current"
        return "done" if self._over == "done" or index < at or stage in self._spent_ns else "pending"

    def _seconds(self, stage: Stage) -> float | None:
        spent_ns = self._spent_ns.get(stage)
        if stage is self.current and not self._over:
            spent_ns = (spent_ns or 0) + now_ns() - self._since_ns
        return None if spent_ns is None else seconds(spent_ns)
