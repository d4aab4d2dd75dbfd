"""A server's start, stage by stage, with its log; or why it failed, in words, and the keys that act on it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Footer, Static

from tui.core.durations import rough_duration
from tui.core.safe_text import safe_line, safe_text
from tui.link.protocol import Command, Relaunch
from tui.metrics.reading import Event
from tui.metrics.snapshot import FailureReport, Phase, Snapshot, StageProgress
from tui.profile.overrides import arguments_in_words
from tui.view.formatting import gigabytes
from tui.view.screens.live_keys import STEER
from tui.view.screens.roomy import RoomyScreen

_MARKS = {
    "done": ("✓", "$success"),
    "current": ("▸", "$accent"),
    "failed": ("✕", "$error"),
    "pending": ("·", "$text-muted"),
}
_ASCII_MARKS = {"done": "+", "current": ">", "failed": "x", "pending": "."}
_BAR_CELLS = 24
_LEAST_BAR_CELLS = 8
_WIDEST = 1000
"""Columns of a screen that is not laid out yet."""
_LEAST_PROGRESS = 0.05
"""With less there is no pace to go by."""
_NEARLY_ALL = 0.995
"""From so much on what is left of the stage is something else."""
_TOO_EARLY: list[BindingType] = [
    replace(binding, action="too_early", description="", tooltip="", show=False)
    for binding in STEER
    if isinstance(binding, Binding)
]
_SAID_S = 3.0
_LEVEL_STYLES = {"warning": "$warning", "error": "$error"}


class LogTail(Widget):
    """The last lines of a log that fit, newest last, each cut to one row."""

    DEFAULT_CSS = "LogTail { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Event] = []

    def show(self, events: list[Event]) -> None:
        """Show the end of `events`, oldest first."""
        if events != self._events:
            self._events = events
            self.refresh()

    def render(self) -> Content:
        """Draw from the bottom up, so that the newest is never scrolled away."""
        width, height = self.size
        return log_content(self._events, width, height)


class LaunchScreen(RoomyScreen):
    """Shows snapshots of a session whose server is not ready (yet, or any more)."""

    CSS = """
    LaunchScreen { padding: 0 1; }
    LaunchScreen #title { height: 1; }
    LaunchScreen #command { height: auto; max-height: 3; color: $text-muted; padding-left: 2; }
    LaunchScreen #stages { height: auto; margin-top: 1; padding-left: 2; }
    LaunchScreen #failure {
        height: auto; max-height: 50%; margin-top: 1; padding: 0 1; display: none;
        border: round $error; border-title-color: $error;
    }
    LaunchScreen.-failed #failure { display: block; }
    LaunchScreen #log {
        height: 1fr; margin-top: 1; padding: 0 1; border: round $border; border-title-color: $text-muted;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "remedy",
            "follow the advice",
            id="launch.remedy",
            tooltip="start the server again as the advice says; the profile's file stays as it is",
        ),
        Binding("r", "relaunch", "relaunch", id="launch.again", tooltip="start the server again"),
        Binding(
            "e", "edit", "edit profile", id="launch.edit", tooltip="edit the profile in $EDITOR, then launch it again"
        ),
        Binding("p", "panes", "panes", id="launch.panes", tooltip="look at what was measured before the server failed"),
        Binding("b", "back", "back", id="launch.back", tooltip="end this session and go back to the profiles"),
        *_TOO_EARLY,
    ]
    HELP = (
        "A server's start: what is done, what is under way, and its log. When it fails, the frame says why in words, "
        "what may help, and the line of the log that decided it. Where the advice is an argument with another value, f "
        "starts the server with it: for this session only, the profile's file stays as it is."
    )

    class Sent(Message):
        """A command for the bench."""

        def __init__(self, command: Command) -> None:
            self.command = command
            super().__init__()

    class Wanted(Message):
        """The operator wants: back, edit, panes."""

        def __init__(self, what: str) -> None:
            self.what = what
            super().__init__()

    def __init__(self, title: str, *, can_go_back: bool, ascii_only: bool = False) -> None:
        super().__init__()
        self._title = title
        self._can_go_back = can_go_back
        self._ascii = ascii_only
        self._snapshot: Snapshot | None = None
        self._refusal = ""
        self._drawn = False
        self._told_of_early_s = -_SAID_S

    def compose(self) -> ComposeResult:
        """Title, command, stages, failure, log."""
        yield Static(id="title", markup=False)
        yield Static(id="command", markup=False)
        yield Static(id="stages", markup=False)
        yield Static(id="failure", markup=False)
        with Vertical(id="log") as log:
            log.border_title = "log"
            yield LogTail()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Say what is under way before the first snapshot."""
        self.query_one("#title", Static).update(_title_content(self._title, "STARTING", "$accent", simulated=False))
        self.query_one("#stages", Static).update(Content.styled("starting the bench …", "$text-muted"))
        self._drawn = True
        self._redraw()

    def show(self, snapshot: Snapshot) -> None:
        """Show the server's state."""
        self._snapshot = snapshot
        self._redraw()

    def show_refusal(self, reason: str) -> None:
        """Say that there is no bench at all, and why."""
        self._refusal = reason
        self._redraw()

    @property
    def failed(self) -> bool:
        """Say whether a failure is shown."""
        return bool(self._refusal) or (self._snapshot is not None and self._snapshot.server.phase is Phase.FAILED)

    def _redraw(self) -> None:
        if not self._drawn:
            return
        self.set_class(self.failed, "-failed")
        frame = self.query_one("#failure", Static)
        if self._refusal:
            self.query_one("#title", Static).update(_title_content(self._title, "FAILED", "$error", simulated=False))
            self.query_one("#stages", Static).update("")
            frame.border_title = "why it failed"
            frame.update(safe_text(self._refusal, limit=4000))
        elif self._snapshot is not None:
            self._show_snapshot(self._snapshot, frame)
        self.refresh_bindings()

    def _show_snapshot(self, snapshot: Snapshot, frame: Static) -> None:
        server = snapshot.server
        style = "$error" if server.phase is Phase.FAILED else "$accent"
        title = _title_content(snapshot.profile_title, server.phase.upper(), style, simulated=snapshot.simulated)
        self.query_one("#title", Static).update(title)
        self.query_one("#command", Static).update(_command_content(snapshot))
        stages = self.query_one("#stages", Static)
        stages.update(stages_content(server.stages, stages.content_size.width or _WIDEST, ascii_only=self._ascii))
        self.query_one(LogTail).show(snapshot.log)
        if self.failed:
            frame.border_title = "why it failed"
            frame.update(failure_content(server.failure, server.stages, self._key_of("launch.remedy")))

    def _key_of(self, id: str) -> str:
        """Return the key that does this now, whatever the settings made of it."""
        found = (active.binding for active in self.active_bindings.values() if active.binding.id == id)
        return next((self.app.get_key_display(binding) for binding in found), "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only the keys that do something now."""
        snapshot = self._snapshot
        match action:
            case "remedy":
                return self.failed and not self._refusal and bool(self._remedy)
            case "relaunch":
                return self.failed and not self._refusal
            case "edit":
                return self.failed
            case "panes":
                return snapshot is not None and bool(snapshot.grid.cells)
            case "back":
                return self._can_go_back
            case "too_early":
                return not self.failed
            case _:
                return True

    @property
    def _remedy(self) -> dict[str, str]:
        failure = self._snapshot.server.failure if self._snapshot is not None else None
        return failure.remedy if failure is not None else {}

    def action_remedy(self) -> None:
        """Start the server again as the advice says."""
        self.post_message(self.Sent(Relaunch(remedied=True)))

    def action_relaunch(self) -> None:
        """Start the server again."""
        self.post_message(self.Sent(Relaunch()))

    def action_edit(self) -> None:
        """Mend the profile."""
        self.post_message(self.Wanted("edit"))

    def action_too_early(self) -> None:
        """Say why a key for users does nothing, once for a flurry of them."""
        now_s = time.monotonic()
        if now_s - self._told_of_early_s >= _SAID_S:
            self._told_of_early_s = now_s
            self.notify("Not yet: the server is starting", timeout=_SAID_S, markup=False)

    def action_panes(self) -> None:
        """Look at what was measured."""
        self.post_message(self.Wanted("panes"))

    def action_back(self) -> None:
        """End this and pick another."""
        self.post_message(self.Wanted("back"))


def stages_content(stages: list[StageProgress], width: int, *, ascii_only: bool = False) -> Content:
    """Return the stages as a list with a mark, the seconds each took, a bar for the one under way; each in one row."""
    rows = []
    for stage in stages:
        mark, style = _MARKS.get(stage.state, _MARKS["pending"])
        if ascii_only:
            mark = _ASCII_MARKS.get(stage.state, ".")
        text_style = "$text-muted" if stage.state == "pending" else "bold" if stage.state == "current" else ""
        took = "" if stage.seconds is None else f"{stage.seconds:7.1f} s"
        row = Content.assemble(
            (f"{mark} ", style), (f"{safe_line(stage.name, limit=30):<24}", text_style), f"{took:<10}"
        )
        if stage.state == "current" and stage.progress is not None:
            read, left = _read_of(stage), _time_left(stage)
            room = width - row.cell_length - len("  100%")
            read = read if len(read + left) + _LEAST_BAR_CELLS <= room else ""
            left = left if len(read + left) + _LEAST_BAR_CELLS <= room else ""
            bar = _bar(stage.progress, min(_BAR_CELLS, room - len(read + left)), ascii_only=ascii_only)
            row = Content.assemble(row, *(" ", bar), (read, ""), (left, "$text-muted"))
        elif stage.state in ("failed", "current"):
            row = Content.assemble(row, (f" {'failed here' if stage.state == 'failed' else 'under way'}", style))
        rows.append(row.truncate(width, ellipsis=True))
    return Content("\n").join(rows)


def _read_of(stage: StageProgress) -> str:
    """Return how much of the weights has been read; "" where it is not known."""
    if stage.read is None:
        return ""
    return f"  {gigabytes(stage.read.done, 0)} of {gigabytes(stage.read.total, 0)} GB"


def _time_left(stage: StageProgress) -> str:
    """Return how long a stage goes on at the pace it has had; "" before there is one."""
    done = stage.progress
    if done is None or stage.seconds is None or not _LEAST_PROGRESS <= done < _NEARLY_ALL:
        return ""
    return f"  about {rough_duration(stage.seconds * (1 - done) / done)} left"


def failure_content(failure: FailureReport | None, stages: list[StageProgress], remedy_key: str = "f") -> Content:
    """Return why it failed: the class in words, where, what may help, the key that does it, the decisive line."""
    if failure is None:
        return Content("The server failed; its log says no more.")
    stage = next((safe_line(each.name) for each in stages if each.state == "failed"), "")
    where = f" · at stage {stage}" if stage else ""
    exit_code = "" if failure.exit_code is None else f" · exit code {failure.exit_code}"
    parts: list[Content] = [
        Content.assemble(
            (safe_line(failure.summary or failure.failure), "bold $error"),
            (f"  {safe_line(failure.failure)}{where}{exit_code}", "$text-muted"),
        )
    ]
    if failure.advice:
        parts.append(Content.assemble(("what helps  ", "$accent"), safe_text(failure.advice, limit=600)))
    if failure.remedy:
        parts.append(
            Content.assemble(
                (f"{remedy_key}  ", "bold $accent"),
                "launches it with ",
                (safe_line(arguments_in_words(failure.remedy), limit=200), "bold"),
                (" for this session; the profile's file stays as it is", "$text-muted"),
            )
        )
    if failure.line:
        parts.append(Content.assemble(("its log says  ", "$text-muted"), safe_line(failure.line, limit=400)))
    return Content("\n").join(parts)


def log_content(events: list[Event], width: int, height: int) -> Content:
    """Return the last `height` lines of a log, each cut to `width`."""
    rows = []
    for event in events[-height:] if height else []:
        text = f"{safe_line(event.source, limit=8):<8} "
        line = Content.styled(safe_line(event.text, limit=1000), _LEVEL_STYLES.get(event.level, ""))
        rows.append(Content.assemble((text, "$text-muted"), line).truncate(width, ellipsis=True))
    return Content("\n").join(rows)


def _command_content(snapshot: Snapshot) -> Content:
    """Return the command that runs, and what of it is not by the profile."""
    command = safe_line(snapshot.command_line or snapshot.server.base_url, limit=600)
    if not snapshot.server.overrides:
        return Content(command)
    said = safe_line(arguments_in_words(snapshot.server.overrides), limit=200)
    return Content.assemble(("in place of the profile's: ", "$warning"), (said, "bold $warning"), "\n", command)


def _title_content(title: str, state: str, style: str, *, simulated: bool) -> Content:
    return Content.assemble(
        ("vramp", "bold $accent"),
        f"   {safe_line(title, limit=80)}   ",
        (state, f"bold {style}"),
        ("   SIMULATED" if simulated else "", "bold $warning"),
    )


def _bar(progress: float, cells: int, *, ascii_only: bool) -> Content:
    full = round(max(0.0, min(1.0, progress)) * cells)
    on, off = ("#", ".") if ascii_only else ("█", "░")
    return Content.assemble((on * full, "$accent"), (off * (cells - full), "$text-muted"), f" {progress:4.0%}")
