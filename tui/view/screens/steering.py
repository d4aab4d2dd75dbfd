"""What the keys of the live screen ask of the bench: users, prompt sizes, a sweep, a ramp, an export, a relaunch.

A key shows at once, and is believed until the bench's own word comes.
"""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.screen import Screen

from tui.core.clock import NS_PER_S
from tui.link.protocol import (
    AskByHand,
    ChangeUsers,
    Command,
    EndByHand,
    Export,
    FindEdge,
    MeasureAgain,
    Relaunch,
    RestoreUsers,
    SetUsers,
    StartRamp,
    StartSweep,
    StepPromptTokens,
    StopRamp,
    StopSweep,
)
from tui.metrics.snapshot import Phase, Snapshot, SweepStatus
from tui.view.panes.aside import AsideBox
from tui.view.screens.dialogs import Choice, Question
from tui.view.screens.users_field import UsersField, doubt_about, doubt_question

_UNCONFIRMED_NS = 2 * NS_PER_S
"""How long the screen believes a key before it believes the bench; of real time, whatever the session's runs at."""


class SteeringScreen(Screen[None]):
    """Sends commands up.

    What draws it has a `UsersField` and an `AsideBox`, sets `snapshot`, and draws its header when asked to.
    """

    LOOKS_ONLY = "This view only looks: steering is off (--read-only)."

    class Sent(Message, namespace="live_screen"):
        """A command for the bench."""

        def __init__(self, command: Command) -> None:
            self.command = command
            super().__init__()

    def __init__(self, *, read_only: bool = False, cut_leaving: bool = False) -> None:
        """`cut_leaving`: users who are taken away do not finish their request."""
        super().__init__()
        self.read_only = read_only
        self.cut_leaving = cut_leaving
        self.snapshot: Snapshot | None = None
        self._wanted: tuple[int, int] | None = None
        """Users asked for by key and not yet confirmed, and the snapshot time (ns) until which they are believed."""
        self._prompt: tuple[int, int] | None = None

    def _draw_header(self) -> None:
        """Show what is wanted now."""
        raise NotImplementedError

    def _forget_confirmed(self, snapshot: Snapshot) -> None:
        """Believe the bench as soon as it says what the keys said, or when it had time to."""
        if self._wanted and (snapshot.load.users_wanted == self._wanted[0] or snapshot.at_ns > self._wanted[1]):
            self._wanted = None
        if self._prompt and (snapshot.load.prompt_tokens == self._prompt[0] or snapshot.at_ns > self._prompt[1]):
            self._prompt = None

    def refused(self) -> None:
        """Show again what the bench says: it did not do what a key asked for."""
        self._wanted = self._prompt = None
        self._draw_header()

    @property
    def wanted_users(self) -> int:
        """How many users are wanted, by the last key or by the bench."""
        if self._wanted is not None:
            return self._wanted[0]
        return self.snapshot.load.users_wanted if self.snapshot else 0

    def _send(self, command: Command) -> bool:
        """Send a command up; say whether this view may."""
        if not self._may_steer():
            return False
        self.post_message(self.Sent(command))
        return True

    def _may_steer(self) -> bool:
        """Say whether there is something that this view steers, to the operator, too, when there is not."""
        if self.read_only:
            self.notify(self.LOOKS_ONLY, timeout=3, markup=False)
            return False
        if self.snapshot is None or self.snapshot.server.phase is Phase.ENDED:
            self.notify("Nothing to steer: this session has ended.", timeout=3, markup=False)
            return False
        return True

    def _until_ns(self) -> int:
        if self.snapshot is None:
            return _UNCONFIRMED_NS
        return self.snapshot.at_ns + round(_UNCONFIRMED_NS * self.snapshot.time_scale)

    def action_users(self, delta: int) -> None:
        """So many users more or less; the step into what may not be meant is asked about."""
        now = self.wanted_users
        wanted = max(0, now + delta)
        doubt = self._doubt_about(wanted) if delta > 0 and not self._doubt_about(now) else ""
        if doubt:
            self._ask_about(wanted, doubt)
        elif self._send(ChangeUsers(delta=delta, cut=self.cut_leaving)):
            self._show_wanted(wanted)

    def action_type_users(self) -> None:
        """Ask for a number of users."""
        if self._may_steer() and self.snapshot is not None:
            self._field.open(self.wanted_users, self.snapshot)

    @property
    def _field(self) -> UsersField:
        return self.query_one(UsersField)

    def on_key(self, event: events.Key) -> None:
        """Keep the keys of a number in their order, from the one that opens its field on."""
        active = self.active_bindings.get(event.key)
        if self._field.is_open:
            event.stop()
            self._take_key(event)
        elif active is not None and active.binding.action == "type_users":
            event.stop()
            self.action_type_users()

    def _take_key(self, event: events.Key) -> None:
        field = self._field
        match event.key:
            case "enter":
                if field.can_be_set and (users := field.close()) is not None:
                    self._take_typed(users)
            case "escape":
                field.close()
            case "backspace":
                field.rub_out()
            case _:
                field.type(event.character or "")

    def on_paste(self, event: events.Paste) -> None:
        """Take a pasted number into the field; nowhere else does a paste mean anything."""
        for character in event.text[:100].strip():
            self._field.type(character)

    def _take_typed(self, users: int) -> None:
        doubt = self._doubt_about(users)
        if doubt and users > self.wanted_users:
            self._ask_about(users, doubt)
        else:
            self._set_users(users)

    def _doubt_about(self, users: int) -> str:
        return doubt_about(users, self.snapshot) if self.snapshot is not None else ""

    def _ask_about(self, users: int, doubt: str) -> None:
        def answered(answer: str | None) -> None:
            if answer == "set":
                self._set_users(users)

        if self._may_steer():
            self.app.push_screen(doubt_question(users, doubt), answered)

    def _set_users(self, users: int) -> None:
        if self._send(SetUsers(users=users, cut=self.cut_leaving)):
            self._show_wanted(users)

    def _show_wanted(self, users: int) -> None:
        self._wanted = (users, self._until_ns())
        self._draw_header()

    def action_prompt(self, step: int) -> None:
        """The next or the previous prompt size."""
        if not self._send(StepPromptTokens(step=step)) or self.snapshot is None:
            return
        sizes = self.snapshot.grid.prompt_tokens
        now = self._prompt[0] if self._prompt else self.snapshot.load.prompt_tokens
        if now in sizes:
            place = min(max(0, sizes.index(now) + step), len(sizes) - 1)
            self._prompt = (sizes[place], self._until_ns())
            self._draw_header()

    def action_sweep(self) -> None:
        """Start the sweep, or stop it; where nothing is left to measure, ask whether to begin again."""
        sweep = self.snapshot.sweep if self.snapshot else SweepStatus()
        if sweep.running:
            self._send(StopSweep())
        elif sweep.looks_for_edge or sweep.cells_left or not sweep.cells_total:
            self._send(StartSweep())
        elif self._may_steer():
            self.app.push_screen(_again_question(sweep.cells_total), self._take_again)

    def _take_again(self, answer: str | None) -> None:
        if answer == "again":
            self._send(StartSweep(again=True))

    def action_edge(self) -> None:
        """Look for the edge, or stop looking."""
        sweep = self.snapshot.sweep if self.snapshot else SweepStatus()
        self._send(StopSweep() if sweep.running and sweep.looks_for_edge else FindEdge())

    def action_measure_again(self) -> None:
        """Measure the picked cell, whatever is known of it; where none is picked, all that are implied."""
        picked = self._picked_cell
        self._send(MeasureAgain(cells=[picked] if picked is not None else []))

    @property
    def _picked_cell(self) -> tuple[int, int] | None:
        """Return the cell (users, prompt tokens) that is picked in the active pane."""
        return None

    def action_ramp(self) -> None:
        """Start the ramp, or stop it."""
        self._send(StopRamp() if self.snapshot and self.snapshot.load.activity == "ramp" else StartRamp())

    def action_ask(self) -> None:
        """Open the line in which the model is asked."""
        if self._may_steer():
            self._aside.open()
            self.set_focus(self._aside.line)

    def on_aside_box_asked(self, message: AsideBox.Asked) -> None:
        """Ask the model."""
        self.set_focus(None)
        self._send(AskByHand(message.question))

    def _end_aside(self) -> bool:
        """End what is asked by hand, or its typing; say whether there was any."""
        typing, shown = self._aside.typing, self._aside.shown
        self.set_focus(None)
        self._aside.close()
        if shown and not typing and not self.read_only:
            self.post_message(self.Sent(EndByHand()))
        return typing or shown

    @property
    def _aside(self) -> AsideBox:
        return self.query_one(AsideBox)

    def action_export(self) -> None:
        """Write the session out; the bench answers where."""
        self._send(Export())

    def action_restore_users(self) -> None:
        """Have the users ask again that asked when the server died."""
        self._send(RestoreUsers())

    def action_relaunch(self) -> None:
        """Start the server again after it failed."""
        self._send(Relaunch())


def _again_question(cells: int) -> Question:
    choices = [
        Choice("leave", "n", "leave it as it is"),
        Choice("again", "y", "measure all again", "what was measured stays in the session; the table shows the new"),
    ]
    return Question("the grid is full", f"All {cells} cells have an outcome: nothing is left to measure.", choices)
