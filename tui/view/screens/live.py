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
from textual.notifications import SeverityLevel
from textual.timer import Timer

from tui.metrics.snapshot import Phase, Snapshot
from tui.view.clipboard import Wish
from tui.view.panes.arrangement import DESIGNS, Design, Need, design_for, regions
from tui.view.panes.aside import AsideBox
from tui.view.panes.header import ViewState, header_lines
from tui.view.panes.key_line import KeyLine
from tui.view.panes.pane import Pane
from tui.view.panes.presentation import presentation_lines
from tui.view.panes.status_line import Said, has_message, status_line
from tui.view.panes.tab_line import TabLine
from tui.view.panes.tiles import tile_lines
from tui.view.screens.cell import CellScreen
from tui.view.screens.live_keys import HELP, KEY_LINE, LIVE_PANES, LOOK, STEER, STEERING_IDS, TO_PANES
from tui.view.screens.looking_up import LookingUpScreen
from tui.view.screens.roomy import LEAST_HEIGHT, LEAST_WIDTH
from tui.view.screens.scripted import ScriptedScreen
from tui.view.screens.search_line import SearchLine
from tui.view.screens.trade_offs import TradeOffsScreen
from tui.view.screens.users_field import UsersField
from tui.view.script import Script
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, wrapped

_SAID_S = 5.0
"""For how long an answer stands above the keys."""
_LEAST_PATIENCE_S = 5.0
"""For how long at least nothing may come of a bench before that is shown."""
_WINDOWS_S = (
    (None, "all of the run"),
    (30.0, "the last 30 s"),
    (120.0, "the last 2 min"),
    (600.0, "the last 10 min"),
)
"""What `w` goes through: seconds, and how they are called."""
_WHOLE = ("-small", "-presentation")
"""What takes the whole screen."""


class PaneArea(Container):
    """The room of all panes."""

    def on_resize(self, event: events.Resize) -> None:
        """Have them placed anew."""
        if isinstance(self.screen, LiveScreen):
            self.screen.place_panes()


class LiveScreen(ScriptedScreen, LookingUpScreen):
    """Shows a run and steers it. `show` takes snapshots; `Sent` carries commands up."""

    CSS_PATH = "../styles/live.tcss"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [*STEER, *LOOK, *TO_PANES]
    KEY_LINE = KEY_LINE
    """What the lowest line names."""
    IS_REPLAY = False
    AUTO_FOCUS = ""
    """Keys belong to the screen: the active pane is a mark, not a focus."""

    def __init__(
        self,
        *,
        read_only: bool = False,
        presentation: bool = False,
        words_per_token: float | None = None,
        cut_leaving: bool = False,
        clipboard: Wish = "auto",
        script: Script | None = None,
        refresh_hz: float = 2.0,
    ) -> None:
        """`presentation` starts with the presentation screen, where `words_per_token` tells tokens as words.

        `cut_leaving`: users who are taken away do not finish their request. `clipboard`: where copies go.
        `refresh_hz`: how often a snapshot is due.
        """
        super().__init__(read_only=read_only, cut_leaving=cut_leaving)
        self.clipboard = clipboard
        self.presenting = presentation
        self.script = None if read_only else script
        self.words_per_token = words_per_token
        self.held = False
        self.maximised = False
        self.panes: list[Pane] = [kind() for kind in LIVE_PANES]
        self.active: Pane = self.panes[0]
        self._shared: Pane | None = None
        """What stands in the place that several panes share."""
        self._placed_by: dict[str, Need] = {}
        self._said: Said | None = None
        self._said_until: Timer | None = None
        self._window = 0
        self._draw_due = False
        self._patience_s = max(_LEAST_PATIENCE_S, 3 / refresh_hz)
        self._unheard_s = 0.0
        """Since the last snapshot."""

    def compose(self) -> ComposeResult:
        """Header, tab line, panes, keys; and one canvas for the presentation screen and for what is too small."""
        yield Canvas(id="header")
        yield Canvas(id="tiles")
        yield TabLine(self.panes)
        with PaneArea(id="panes"):
            yield from self.panes
        yield Canvas(id="whole")
        yield UsersField()
        yield SearchLine()
        yield Canvas(id="message")
        yield AsideBox()
        yield KeyLine(self.KEY_LINE, hidden=self.keys_without_use)

    @property
    def keys_without_use(self) -> frozenset[str | None]:
        """Return the ids of the keys that neither the key line nor the help is to name."""
        return STEERING_IDS if self.read_only else frozenset()

    # ---- snapshots

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot; in a flood only the latest is drawn."""
        before, self.snapshot, self._unheard_s = self.snapshot, snapshot, 0.0
        self._forget_confirmed(snapshot)
        if before is None or _offers(before) != _offers(snapshot):
            self.refresh_bindings()
        for above in self.app.screen_stack[-1:] if self.is_mounted else ():  # none when the app ends
            if isinstance(above, CellScreen | TradeOffsScreen):
                above.show(snapshot)
        if not self._draw_due and self.is_mounted:
            self._draw_due = True
            self.call_later(self._draw)

    def wait_for_word(self, seconds: float) -> None:
        """Take it that nothing came for so much longer: of a bench that hangs the last picture is not the present."""
        self._unheard_s += seconds
        if self._unheard_s > self._patience_s:
            self._draw_header()

    def _draw(self) -> None:
        self._draw_due = False
        if self.snapshot is None or not self.is_mounted:
            return
        self._follow_script(self.snapshot)
        self._draw_header()
        self._aside.show(self.snapshot)
        if not self.held and self._layout_name() not in _WHOLE:
            if self._needs() != self._placed_by:
                self.place_panes()
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
                script=self.script,
            )
            whole.paint(lines)
        else:
            self._draw_lines(self.snapshot, self._design())

    def _draw_lines(self, snapshot: Snapshot, design: Design) -> None:
        """Draw the lines around the panes."""
        state, width = self._view_state(), self.size.width
        self.query_one("#header", Canvas).paint(header_lines(snapshot, state, width, figures=design.figures))
        if design.tile_rows:
            self.query_one("#tiles", Canvas).paint(tile_lines(snapshot, state, width, design.tile_rows))
        message = self.query_one("#message", Canvas)
        message.display = bool(design.tile_rows) or has_message(snapshot, self._said)
        message.paint([status_line(snapshot, state, self._said, width)])

    def _view_state(self) -> ViewState:
        return ViewState(
            users=self._wanted[0] if self._wanted else None,
            prompt_tokens=self._prompt[0] if self._prompt else None,
            held=self.held,
            read_only=self.read_only,
            replay=self.IS_REPLAY,
            unheard_s=self._unheard_s if self._unheard_s > self._patience_s else None,
        )

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
        return "-presentation" if self.presenting else self._design().name

    def _design(self) -> Design:
        return design_for(*self.size, maximised=self.maximised)

    def _arrange(self) -> None:
        layout, design = self._layout_name(), self._design()
        whole = layout in _WHOLE
        for name in (*_WHOLE, *(one.name for one in DESIGNS)):
            self.set_class(name == layout, name)
        self.query_one("#whole").display = whole
        for name in ("#header", "#panes", "#keys"):
            self.query_one(name).display = not whole
        self.query_one("#header").styles.height = 2 if design.figures else 1
        tiles = self.query_one("#tiles")
        tiles.display = not whole and design.tile_rows > 0
        tiles.styles.height = design.tile_rows
        if whole:
            self.query_one("#message").display = False
        tabs = self.query_one(TabLine)
        tabs.display = not whole and design.tabs
        tabs.mark(self.active)
        self.place_panes()
        self.call_after_refresh(self._redraw_all)

    def place_panes(self) -> None:
        """Put each pane where the design of this size has it."""
        design, area = self._design(), self.query_one("#panes").size
        self._placed_by = self._needs()
        places = regions(design, area.width, area.height, self._sharing(design).KEY, self._placed_by)
        for pane in self.panes:
            pane.set_class(pane is self.active, "-active")
            pane.bare = design.name == "-single"
            region = places.get(pane.KEY)
            pane.display = region is not None
            if region is not None and pane.place != region:
                pane.place = region
                pane.styles.offset = region.offset
                pane.styles.width, pane.styles.height = region.size

    def _needs(self) -> dict[str, Need]:
        return {pane.KEY: pane.need(self.snapshot) for pane in self.panes} if self.snapshot is not None else {}

    def _sharing(self, design: Design) -> Pane:
        """Return what stands in the shared place: the active pane, if it has no other, else the last that did."""
        own = design.keys
        if self.active.KEY not in own:
            self._shared = self.active
        elif self._shared is None or self._shared.KEY in own:
            self._shared = next(pane for pane in self.panes if pane.KEY not in own)
        return self._shared

    def _redraw_all(self) -> None:
        self._draw_header()
        if self.snapshot is not None:
            self._aside.show(self.snapshot)
        if self.snapshot is not None and self._layout_name() not in _WHOLE:
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a relaunch only where there is something to launch again, and the panes that there are."""
        if action == "restore_users":
            return self.snapshot is not None and self.snapshot.load.users_before > 0
        if action == "relaunch":
            return self.snapshot is not None and self.snapshot.server.phase is Phase.FAILED
        if action == "pane":
            return parameters[0] in [pane.KEY for pane in self.panes]
        return super().check_action(action, parameters)

    def action_pane(self, key: str) -> None:
        """Go to the pane of that key."""
        for pane in self.panes:
            if key == pane.KEY:
                self._activate(pane)

    @property
    def _picked_cell(self) -> tuple[int, int] | None:
        return self.active.picked

    # ---- saying

    def tell(self, text: str, severity: str = "information", seconds: float | None = None) -> bool:
        """Say something above the keys for a while; return whether there is such a line now."""
        if not self.is_mounted or self.snapshot is None or self._layout_name() in _WHOLE or not self.is_current:
            return False
        self._said = Said(text, severity)
        if self._said_until is not None:
            self._said_until.stop()
        self._said_until = self.set_timer(_SAID_S if seconds is None else max(seconds, 1.0), self._hush)
        self._draw_header()
        return True

    def _hush(self) -> None:
        self._said = None
        self._draw_header()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Say it above the keys; where there is no such line, as everywhere else."""
        if not self.tell(message, severity, timeout):
            super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    # ---- looking

    def _come_to(self, pane: str | None, *, stage: bool) -> None:
        self.presenting, self.maximised = stage, pane is not None
        self.active = next((one for one in self.panes if pane == one.KEY), self.active)
        self._arrange()

    def action_ramp(self) -> None:
        """Start the ramp, or stop it; on stage, run the script."""
        if not self._takes_script_key("run"):
            super().action_ramp()

    def action_hold(self) -> None:
        """Hold the panes as they are, or let them go on; on stage, the script."""
        if self._takes_script_key("hold"):
            return
        self.held = not self.held
        self._redraw_all()

    def action_maximise(self) -> None:
        """Show the active pane alone, or all again."""
        self.maximised = not self.maximised
        self._arrange()

    def action_window(self) -> None:
        """Show less time in the charts, and in the end all of it again."""
        self._window = (self._window + 1) % len(_WINDOWS_S)
        span_s, words = _WINDOWS_S[self._window]
        for pane in self.panes:
            pane.span_s = span_s
        self._redraw_all()
        self.notify(f"charts show {words}", timeout=2, markup=False)

    def action_presentation(self) -> None:
        """Show the presentation screen, or the panes again."""
        self.presenting = not self.presenting
        self._arrange()

    def action_back(self) -> None:
        """Undo the nearest of: a question by hand, a picked cell, a maximised pane, the presentation."""
        if self._end_aside():
            return
        if any(pane.unpick() for pane in self.panes):
            self._follow()
        elif self.maximised:
            self.action_maximise()
        elif self.presenting:
            self.action_presentation()

    def action_next_pane(self, step: int) -> None:
        """Go to the next pane, round and round."""
        self._activate(self.panes[(self.panes.index(self.active) + step) % len(self.panes)])

    def action_move(self, columns: int, rows: int) -> None:
        """Hand an arrow key to the active pane; on stage, to the script."""
        if columns and self._takes_script_key("next" if columns > 0 else "before"):
            return
        self.active.move(columns, rows)
        self._follow()

    def _follow(self) -> None:
        """Let all panes know which cell is picked."""
        picked = next((pane.picked for pane in self.panes if pane.picked is not None), None)
        for pane in self.panes:
            pane.follow(picked)

    def action_figure(self) -> None:
        """Let the panes that show one figure of several show the next."""
        for pane in self.panes:
            pane.turn()

    def action_trade_offs(self) -> None:
        """Show what the grid comes to: the front, the best cell, its costs."""
        if self.snapshot is not None:
            self.app.push_screen(TradeOffsScreen(self.snapshot))

    def action_open(self) -> None:
        """Open the picked cell; who comes back from its page has picked the cell that one has walked to."""
        pane = self.active
        if self.snapshot is None or pane.picked is None:
            return
        page = CellScreen(pane.picked, self.snapshot)

        def came_back(_: None) -> None:
            pane.picked = page.place
            pane.redraw()
            self._follow()

        self.app.push_screen(page, came_back)


def _offers(snapshot: Snapshot) -> tuple[Phase, bool]:
    """Return what decides which keys are of use."""
    return snapshot.server.phase, snapshot.load.users_before > 0


def _too_small(width: int, height: int) -> list[Line]:
    text = f"vramp needs {LEAST_WIDTH} x {LEAST_HEIGHT} cells, this terminal has {width} x {height}. The run goes on."
    return wrapped(text, max(1, width), Ink.PLAIN)
