"""The live screen: a run header, the panes, the keys. It draws the snapshots it is given and sends commands up.

The view only shows: nothing is measured or computed here, and nothing waits for the bench. A key shows at once
(the wanted number changes in the header) and the bench's own word replaces it when it comes.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen

from tui.core.clock import NS_PER_S
from tui.link.protocol import (
    ChangeUsers,
    Command,
    Export,
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
from tui.view.panes.arrangement import rows_in_three_columns, seen_in_two_columns
from tui.view.panes.catalogue import PANES
from tui.view.panes.header import ViewState, header_lines, news_of
from tui.view.panes.key_line import KeyLine
from tui.view.panes.pane import Pane
from tui.view.panes.presentation import presentation_lines
from tui.view.panes.tab_line import TabLine
from tui.view.screens.cell import CellScreen
from tui.view.screens.dialogs import Choice, Question
from tui.view.screens.live_keys import HELP, KEY_LINE, LOOK, STEER, STEERING_IDS, TO_PANES
from tui.view.screens.roomy import LEAST_HEIGHT, LEAST_WIDTH
from tui.view.screens.users_field import UsersField, doubt_about, doubt_question
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, wrapped

_TWO = (110, 30)
"""From this size on there are two columns of panes."""
_THREE = (170, 42)
_UNCONFIRMED_NS = 2 * NS_PER_S
"""How long the screen believes a key before it believes the bench."""


class LiveScreen(Screen[None]):
    """Shows a run and steers it. `show` takes snapshots; `Sent` carries commands up."""

    CSS_PATH = "../styles/live.tcss"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [*STEER, *LOOK, *TO_PANES]
    LOOKS_ONLY = "This view only looks: steering is off (--read-only)."
    KEY_LINE = KEY_LINE
    """What the lowest line names."""
    IS_REPLAY = False
    AUTO_FOCUS = ""
    """Keys belong to the screen: the active pane is a mark, not a focus."""

    class Sent(Message):
        """A command for the bench."""

        def __init__(self, command: Command) -> None:
            self.command = command
            super().__init__()

    def __init__(
        self,
        *,
        read_only: bool = False,
        presentation: bool = False,
        words_per_token: float | None = None,
        cut_leaving: bool = False,
    ) -> None:
        """`presentation` starts with the presentation screen, where `words_per_token` tells tokens as words.

        `cut_leaving`: users who are taken away do not finish their request.
        """
        super().__init__()
        self.cut_leaving = cut_leaving
        self.read_only = read_only
        self.presenting = presentation
        self.words_per_token = words_per_token
        self.held = False
        self.maximised = False
        self.snapshot: Snapshot | None = None
        self.panes: list[Pane] = [kind() for kind in PANES]
        self.active: Pane = self.panes[0]
        self._wanted: tuple[int, int] | None = None
        """Users asked for by key and not yet confirmed, and the snapshot time (ns) until which they are believed."""
        self._prompt: tuple[int, int] | None = None
        self._draw_due = False
        self._order = self.panes

    def compose(self) -> ComposeResult:
        """Header, tab line, panes, keys; and one canvas for the presentation screen and for what is too small."""
        yield Canvas(id="header")
        yield TabLine(self.panes)
        with Container(id="panes"):
            yield from self.panes
        yield Canvas(id="whole")
        yield UsersField()
        yield KeyLine(self.KEY_LINE, hidden=self.keys_without_use)

    @property
    def keys_without_use(self) -> frozenset[str | None]:
        """Return the ids of the keys that neither the key line nor the help is to name."""
        return STEERING_IDS if self.read_only else frozenset()

    # ---- snapshots

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot; in a flood only the latest is drawn."""
        before, self.snapshot = self.snapshot, snapshot
        self._forget_confirmed(snapshot)
        if before is None or _offers(before) != _offers(snapshot):
            self.refresh_bindings()
        if self.is_mounted and isinstance(self.app.screen, CellScreen):
            self.app.screen.show(snapshot)
        if not self._draw_due and self.is_mounted:
            self._draw_due = True
            self.call_later(self._draw)

    def _draw(self) -> None:
        self._draw_due = False
        if self.snapshot is None or not self.is_mounted:
            return
        self._draw_header()
        if not self.held and self._layout_name() not in ("-presentation", "-small"):
            for pane in self.panes:
                pane.show(self.snapshot)

    def _draw_header(self) -> None:
        if self.snapshot is None:
            return
        layout = self._layout_name()
        whole = self.query_one("#whole", Canvas)
        if layout == "-small":
            whole.paint(_too_small(self.size.width, self.size.height))
        elif layout == "-presentation":
            lines = presentation_lines(
                self.snapshot,
                whole.size.width,
                whole.size.height,
                users_wanted=self.wanted_users,
                words_per_token=self.words_per_token,
                replay=self.IS_REPLAY,
            )
            whole.paint(lines)
        else:
            header = self.query_one("#header", Canvas)
            header.styles.height = 3 if news_of(self.snapshot) else 2
            lines = header_lines(self.snapshot, self._view_state(), self.size.width, single=layout == "-single")
            header.paint(lines)

    def _view_state(self) -> ViewState:
        return ViewState(
            users=self._wanted[0] if self._wanted else None,
            prompt_tokens=self._prompt[0] if self._prompt else None,
            held=self.held,
            read_only=self.read_only,
            replay=self.IS_REPLAY,
        )

    def _forget_confirmed(self, snapshot: Snapshot) -> None:
        """Believe the bench as soon as it says what the keys said, or when it had time to."""
        if self._wanted and (snapshot.load.users_wanted == self._wanted[0] or snapshot.at_ns > self._wanted[1]):
            self._wanted = None
        if self._prompt and (snapshot.load.prompt_tokens == self._prompt[0] or snapshot.at_ns > self._prompt[1]):
            self._prompt = None

    # ---- layout

    def on_mount(self) -> None:
        """Draw what was shown before there was a screen."""
        self._arrange()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the panes into the new size."""
        self._arrange()

    def _layout_name(self) -> str:
        width, height = self.size
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            return "-small"
        if self.presenting:
            return "-presentation"
        if self.maximised or width < _TWO[0] or height < _TWO[1]:
            return "-single"
        return "-three" if width >= _THREE[0] and height >= _THREE[1] else "-two"

    def _arrange(self) -> None:
        layout = self._layout_name()
        whole = layout in ("-presentation", "-small")
        for name in ("-small", "-presentation", "-single", "-two", "-three"):
            self.set_class(name == layout, name)
        self.query_one("#whole").display = whole
        for name in ("#header", "#panes"):
            self.query_one(name).display = not whole
        self.query_one("#keys").display = not whole
        tabs = self.query_one(TabLine)
        tabs.display = layout == "-single"
        tabs.mark(self.active)
        rows = rows_in_three_columns(self.panes) if layout == "-three" else dict.fromkeys(self.panes, 1)
        if (order := list(rows)) != self._order:  # a sort lays everything out anew
            self._order = order
            places = {id(pane): place for place, pane in enumerate(order)}
            self.query_one("#panes").sort_children(key=lambda pane: places[id(pane)])
        seen = self.panes if layout == "-three" else seen_in_two_columns(self.panes, self.active)
        for pane in self.panes:
            pane.set_class(pane is self.active, "-active")
            pane.display = pane is self.active if layout == "-single" else pane in seen
            if pane.styles.row_span != rows[pane]:
                pane.styles.row_span = rows[pane]
        self.call_after_refresh(self._redraw_all)

    def _redraw_all(self) -> None:
        self._draw_header()
        if self.snapshot is not None and self._layout_name() not in ("-presentation", "-small"):
            for pane in self.panes:
                if pane.snapshot is None or not self.held:
                    pane.snapshot = self.snapshot
                pane.redraw()

    def _activate(self, pane: Pane) -> None:
        if pane is not self.active:
            self.active = pane
            self._arrange()

    def on_pane_chosen(self, message: Pane.Chosen) -> None:
        """Follow the mouse."""
        self._activate(message.pane)

    # ---- steering

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a relaunch only where there is something to launch again, and the panes that there are."""
        if action == "restore_users":
            return self.snapshot is not None and self.snapshot.load.users_before > 0
        if action == "relaunch":
            return self.snapshot is not None and self.snapshot.server.phase is Phase.FAILED
        if action == "pane":
            return parameters[0] in [pane.KEY for pane in self.panes]
        return super().check_action(action, parameters)

    def _until_ns(self) -> int:
        return (self.snapshot.at_ns if self.snapshot else 0) + _UNCONFIRMED_NS

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

    def action_pane(self, key: str) -> None:
        """Go to the pane of that key."""
        for pane in self.panes:
            if key == pane.KEY:
                self._activate(pane)

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
        """Start the sweep, or stop it; where nothing is left to measure, ask whether to begin anew."""
        sweep = self.snapshot.sweep if self.snapshot else SweepStatus()
        if sweep.running:
            self._send(StopSweep())
        elif sweep.cells_left or not sweep.cells_total:
            self._send(StartSweep())
        elif self._may_steer():
            self.app.push_screen(_anew_question(sweep.cells_total), self._take_anew)

    def _take_anew(self, answer: str | None) -> None:
        if answer == "anew":
            self._send(StartSweep(anew=True))

    def action_ramp(self) -> None:
        """Start the ramp, or stop it."""
        self._send(StopRamp() if self.snapshot and self.snapshot.load.activity == "ramp" else StartRamp())

    def action_export(self) -> None:
        """Write the session out; the bench answers where."""
        self._send(Export())

    def action_restore_users(self) -> None:
        """Have the users ask again that asked when the server died."""
        self._send(RestoreUsers())

    def action_relaunch(self) -> None:
        """Start the server again after it failed."""
        self._send(Relaunch())

    # ---- looking

    def action_hold(self) -> None:
        """Hold the panes as they are, or let them go on."""
        self.held = not self.held
        self._redraw_all()

    def action_maximise(self) -> None:
        """Show the active pane alone, or all again."""
        self.maximised = not self.maximised
        self._arrange()

    def action_presentation(self) -> None:
        """Show the presentation screen, or the panes again."""
        self.presenting = not self.presenting
        self._arrange()

    def action_back(self) -> None:
        """Undo the nearest of: a picked cell, a maximised pane, the presentation."""
        if any(pane.unpick() for pane in self.panes):
            return
        elif self.maximised:
            self.action_maximise()
        elif self.presenting:
            self.action_presentation()

    def action_next_pane(self, step: int) -> None:
        """Go to the next pane, round and round."""
        self._activate(self.panes[(self.panes.index(self.active) + step) % len(self.panes)])

    def action_move(self, columns: int, rows: int) -> None:
        """Hand an arrow key to the active pane."""
        self.active.move(columns, rows)

    def action_open(self) -> None:
        """Open the picked cell."""
        if self.snapshot is not None and self.active.picked is not None:
            self.app.push_screen(CellScreen(self.active.picked, self.snapshot))

    def action_copy(self) -> None:
        """Put the active pane on the clipboard as text (OSC 52)."""
        self.app.copy_to_clipboard(self.active.as_text())
        self.notify(f"{self.active.NAME}: copied as text", timeout=2, markup=False)


def _anew_question(cells: int) -> Question:
    choices = [
        Choice("leave", "n", "leave it as it is"),
        Choice("anew", "y", "measure all anew", "what was measured stays in the session; the table shows the new"),
    ]
    return Question("the grid is full", f"All {cells} cells have an outcome: nothing is left to measure.", choices)


def _offers(snapshot: Snapshot) -> tuple[Phase, bool]:
    """Return what decides which keys are of use."""
    return snapshot.server.phase, snapshot.load.users_before > 0


def _too_small(width: int, height: int) -> list[Line]:
    text = f"vramp needs {LEAST_WIDTH} x {LEAST_HEIGHT} cells, this terminal has {width} x {height}. The run goes on."
    return wrapped(text, max(1, width), Ink.PLAIN)
