"""Shows a script to an audience: its steps become commands, and while it is on stage some keys are its own."""

from __future__ import annotations

from tui.link.protocol import (
    AskByHand,
    EndByHand,
    FindEdge,
    SetPromptTokens,
    SetUsers,
    StartRamp,
    StartSweep,
    StopRamp,
    StopSweep,
)
from tui.metrics.snapshot import Snapshot
from tui.profile.demo_table import DemoStep
from tui.view.screens.steering import SteeringScreen
from tui.view.script import Script

_PANES = {"tokens": "1", "latency": "2", "memory": "3", "grid": "4"}


class ScriptedScreen(SteeringScreen):
    """What draws it says how to come to a `view`, and whether it `presents`."""

    script: Script | None = None
    presenting = False

    def _come_to(self, pane: str | None, *, stage: bool) -> None:
        """Show the stage, or the panes with that one alone (None = all of them)."""
        raise NotImplementedError

    def _follow_script(self, snapshot: Snapshot) -> None:
        """Carry out what is due."""
        if self.script is not None and (step := self.script.advance(snapshot)) is not None:
            self._carry_out(step, snapshot)

    def _carry_out(self, step: DemoStep, snapshot: Snapshot) -> None:
        if step.view is not None:
            self._come_to(_PANES.get(step.view), stage=step.view == "stage")
        if step.do == "stop":
            self._send(StopRamp() if snapshot.load.activity == "ramp" else StopSweep())
        if step.prompt_tokens is not None and step.do != "find-edge":
            self._send(SetPromptTokens(prompt_tokens=step.prompt_tokens))
        if step.users is not None:
            self._send(SetUsers(users=step.users, cut=self.cut_leaving))
        match step.do:
            case "sweep":
                self._send(StartSweep(again=not snapshot.sweep.cells_left))
            case "ramp":
                self._send(StartRamp())
            case "find-edge":
                self._send(FindEdge(prompt_tokens=step.prompt_tokens))
        if snapshot.aside is not None:
            self._send(EndByHand())
        if step.ask:
            self._send(AskByHand(step.ask))
        if step.caption and not self.presenting:
            self.notify(step.caption, timeout=max(step.seconds, 5.0), markup=False)

    def _takes_script_key(self, key: str) -> bool:
        """Act on a key that is the script's while it is on stage; say whether it was."""
        script = self.script
        if script is None or not self.presenting:
            return False
        if self._may_steer():
            match key:
                case "run":
                    script.run()
                case "hold":
                    script.toggle()
                case "next":
                    script.step(1)
                case "before":
                    script.step(-1)
            if self.snapshot is not None:
                self._follow_script(self.snapshot)
            self._draw_header()
        return True
