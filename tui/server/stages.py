"""How far a start is, and how long each stage took."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tui.core.clock import now_ns, seconds
from tui.engines.base import LogFact
from tui.metrics.snapshot import BytesRead, StageProgress


class StageClock:
    """Times the stages of one start. A stage may be entered again (compilation is in two parts); its times add up."""

    def __init__(self, stages: Sequence[str], may_return_to: Collection[str] = ()) -> None:
        """Begin with the first of `stages`, which are in their order. `may_return_to`: those entered from later ones.

        Any other one is only entered from those before it: workers log at different speeds.
        """
        self._stages = [str(stage) for stage in stages]
        self._may_return_to = {str(stage) for stage in may_return_to}
        self._spent_ns: dict[str, int] = {}
        self._progress: dict[str, float] = {}
        self._read: dict[str, BytesRead] = {}
        self.current = self._stages[0]
        self._since_ns = now_ns()
        self._over: str = ""

    def note(self, fact: LogFact) -> str | None:
        """Take what a log line tells; return the stage that begins by it, or None."""
        if self._over:
            return None
        entered = None
        if fact.stage is not None and fact.stage != self.current and self._may_enter(fact.stage):
            self._leave()
            self.current = entered = str(fact.stage)
        if fact.progress is not None and fact.stage == self.current:
            self._progress[self.current] = fact.progress
        return entered

    def note_read(self, done: int | None, total: int) -> None:
        """Take how many bytes of the weights have been read in the present stage; None = as the log tells."""
        done = max(done or 0, round(self._progress.get(self.current, 0.0) * total))
        if not self._over and (done or self.current in self._read):
            before = self._read.get(self.current)
            self._read[self.current] = BytesRead(min(max(done, before.done if before else 0), total), total)

    def finish(self, *, ready: bool) -> None:
        """Stop the clock: the server is ready, or its start has failed in the present stage."""
        if not self._over:
            self._leave()
            self._over = "done" if ready else "failed"
            if ready:
                self.current = self._stages[-1]

    def stages(self) -> list[StageProgress]:
        """Return all stages in their order."""
        at = self._stages.index(self.current)
        return [
            StageProgress(
                name=stage,
                state=self._state(stage, index, at),
                seconds=self._seconds(stage),
                progress=self._share(stage) if stage == self.current and not self._over else None,
                read=self._read.get(stage),
            )
            for index, stage in enumerate(self._stages)
        ]

    def _share(self, stage: str) -> float | None:
        read = self._read.get(stage)
        return read.done / read.total if read is not None else self._progress.get(stage)

    def _may_enter(self, stage: str) -> bool:
        if stage not in self._stages:
            return False
        return stage in self._may_return_to or self._stages.index(stage) > self._stages.index(self.current)

    def _leave(self) -> None:
        now = now_ns()
        self._spent_ns[self.current] = self._spent_ns.get(self.current, 0) + now - self._since_ns
        self._since_ns = now

    def _state(self, stage: str, index: int, at: int) -> str:
        if stage == self.current:
            return self._over or "current"
        return "done" if self._over == "done" or index < at or stage in self._spent_ns else "pending"

    def _seconds(self, stage: str) -> float | None:
        spent_ns = self._spent_ns.get(stage)
        if stage == self.current and not self._over:
            spent_ns = (spent_ns or 0) + now_ns() - self._since_ns
        return None if spent_ns is None else seconds(spent_ns)
