"""The live screen on a session that is over: the same panes, and keys that go through its time."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui.core.clock import seconds
from tui.view.clipboard import Wish
from tui.view.formatting import hms
from tui.view.panes.list_pane import ListPane
from tui.view.screens.live import LiveScreen

_BAR_CELLS = 40
REPLAY_KEY_LINE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("replay.play",), "play"),
    (("replay.step-back", "replay.step-on"), "step"),
    (("replay.faster",), "faster"),
    (("replay.begin", "replay.end"), "ends"),
    (("help",), "help"),
    (("leave",), "leave"),
    (("live.maximise",), "maximise"),
    (("live.stage",), "stage"),
    (("theme",), "theme"),
    (("live.copy",), "copy"),
)


class ReplayScreen(LiveScreen):
    """Shows one moment of a session. Arrows go on and back, space plays."""

    CSS = """
    ReplayScreen #moment { dock: bottom; height: 1; padding: 0 1; }
    ReplayScreen.-small #moment, ReplayScreen.-presentation #moment { display: none; }
    """
    HELP = (
        "A session that is over, at one of its moments. The left and right arrow go back and on (in the grid they pick "
        "a cell; comma and full stop always go through the time), home and end go to its first and last moment, "
        "space plays, f plays faster (in requests and log it filters)."
    )
    LOOKS_ONLY = "This session is over: nothing to steer. `vramp export` writes it as TOML and CSV."
    IS_REPLAY = True
    KEY_LINE = REPLAY_KEY_LINE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "play", id="replay.play", tooltip="play, or stop"),
        Binding("left", "arrow(-1)", "back", show=False, id="replay.back", tooltip="a step back in time"),
        Binding("right", "arrow(1)", "on", show=False, id="replay.on", tooltip="a step on in time"),
        Binding("comma", "step(-1)", "back", show=False, id="replay.step-back", tooltip="a step back in time"),
        Binding("full_stop", "step(1)", "on", show=False, id="replay.step-on", tooltip="a step on in time"),
        Binding("home", "step(-1000)", "begin", show=False, id="replay.begin", tooltip="the first moment"),
        Binding("end", "step(1000)", "end", show=False, id="replay.end", tooltip="the last moment"),
        Binding("f", "faster", "faster", id="replay.faster", tooltip="play 1, 4, 16 or 64 times as fast"),
    ]

    class Wanted(Message):
        """The operator wants another moment: `steps` on (or back), `play`, `faster`."""

        def __init__(self, what: str, steps: int = 0) -> None:
            self.what = what
            self.steps = steps
            super().__init__()

    def __init__(
        self, *, presentation: bool = False, words_per_token: float | None = None, clipboard: Wish = "auto"
    ) -> None:
        super().__init__(
            read_only=True, presentation=presentation, words_per_token=words_per_token, clipboard=clipboard
        )
        self._moment = Content("")

    def compose(self) -> ComposeResult:
        """Add the line of time."""
        yield from super().compose()
        yield Static(id="moment", markup=False)

    def on_mount(self) -> None:
        """Draw what was shown before there was a screen."""
        self.query_one("#moment", Static).update(self._moment)

    def show_moment(self, at_ns: int, started_ns: int, ended_ns: int, *, playing: bool, speed: float) -> None:
        """Say which moment is shown."""
        length_ns = max(1, ended_ns - started_ns)
        at = round((at_ns - started_ns) / length_ns * _BAR_CELLS)
        state = f"plays ×{speed:g}" if playing else "stands"
        self._moment = Content.assemble(
            ("replay  ", "bold"),
            f"{hms(seconds(at_ns - started_ns))} of {hms(seconds(length_ns))}  ",
            ("━" * at, "$accent"),
            ("─" * (_BAR_CELLS - at), "$text-muted"),
            (f"  {state}", "$text-muted"),
        )
        for line in self.query("#moment").results(Static):  # none before the screen is up
            line.update(self._moment)

    def action_play(self) -> None:
        """Play, or stop."""
        self.post_message(self.Wanted("play"))

    def action_faster(self) -> None:
        """Play faster; in a list, filter it."""
        if isinstance(self.active, ListPane):
            self.action_filter()
            return
        self.post_message(self.Wanted("faster"))

    def action_step(self, steps: int) -> None:
        """Go through the time."""
        self.post_message(self.Wanted("step", steps))

    def action_arrow(self, steps: int) -> None:
        """Pick a cell in the grid; elsewhere go through the time."""
        if self.active.MOVES_SIDEWAYS:
            self.action_move(steps, 0)
        else:
            self.action_step(steps)
