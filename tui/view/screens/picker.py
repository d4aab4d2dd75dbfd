"""The first screen: what can be launched here, what runs already, and all that is to be known before `enter`."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Input, OptionList, Static

from tui.core.safe_text import safe_line
from tui.link.launcher import RunningBench
from tui.preflight import Preflight
from tui.profile.catalogue import ProfileEntry
from tui.view.catalogue_reading import Candidate, Reading
from tui.view.screens.dialogs import Choice, Question
from tui.view.screens.fact_sheet import Fact, FactSheet
from tui.view.screens.history import HistoryScreen
from tui.view.screens.profile_list import ProfileList
from tui.view.screens.profile_picture import profile_picture
from tui.view.screens.profile_sheet import profile_facts
from tui.view.screens.roomy import RoomyScreen
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Line


class PickerScreen(RoomyScreen):
    """Shows a `Reading`; asks for a new one, for launches and for changes of files by messages."""

    CSS = """
    PickerScreen #title { height: 1; padding: 0 1; }
    PickerScreen #list { width: 28; margin-right: 1; }
    PickerScreen.-wide #list { width: 44; margin-right: 2; }
    PickerScreen OptionList {
        border: none; background: $background; padding: 0 1; height: 1fr; scrollbar-size-vertical: 1;
    }
    PickerScreen OptionList:focus { border: none; }
    PickerScreen OptionList:ansi > .option-list--option-highlighted,
    PickerScreen OptionList:ansi:focus > .option-list--option-highlighted {
        color: ansi_bright_white; background: ansi_blue; text-style: bold;
    }
    PickerScreen #search { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    PickerScreen.-searching #search { display: block; }
    PickerScreen #body { padding-top: 1; }
    PickerScreen #picture { height: 0; margin-bottom: 0; background: $background; }
    PickerScreen #picture.-shown { margin-bottom: 1; }
    PickerScreen FactSheet { background: $background; padding-right: 1; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash",
            "search",
            "search",
            key_display="/",
            id="picker.search",
            tooltip="find by name, title, engine or state",
        ),
        Binding(
            "a",
            "attach",
            "attach",
            id="picker.attach",
            tooltip="put this profile's load on a server that runs already: one found here, or by its URL",
        ),
        Binding(
            "e", "ask('edit')", "edit", id="picker.edit", tooltip="edit in $EDITOR; a shipped profile is copied first"
        ),
        Binding("c", "ask('copy')", "copy", id="picker.copy", tooltip="copy the chosen profile under a new name"),
        Binding(
            "h", "history", "history", id="picker.history", tooltip="the sessions that are kept: open, compare, delete"
        ),
        Binding("n", "ask('new')", "new", id="picker.new", tooltip="make a profile from the template"),
        Binding("escape", "end_search", "all", show=False, id="picker.search-end", tooltip="show all again"),
    ]
    AUTO_FOCUS = "#profiles"
    """Never the search: a letter meant for a key would go into it."""
    HELP = (
        "The profiles of your own folder and the shipped ones, each with a word on whether it can run here. "
        "On the right: the exact command, what it needs and what is here, the grid and how long it takes."
    )

    class Launch(Message):
        """The operator wants this profile."""

        def __init__(self, candidate: Candidate) -> None:
            self.candidate = candidate
            super().__init__()

    class Attach(Message):
        """The operator wants to look at this running bench."""

        def __init__(self, bench: RunningBench) -> None:
            self.bench = bench
            super().__init__()

    class Wanted(Message):
        """The operator wants something that takes files or questions: reload, attach, edit, copy, new."""

        def __init__(self, what: str, entry: ProfileEntry | None) -> None:
            self.what = what
            self.entry = entry
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._reading: Reading | None = None
        self._wanted = ""
        """The profile to highlight when it comes to be listed."""

    def compose(self) -> ComposeResult:
        """List on the left, facts on the right."""
        yield Static(id="title", markup=False)
        with Horizontal(id="body"):
            with Vertical(id="list"):
                yield Input(placeholder="search", id="search", compact=True)
                yield ProfileList(id="profiles")
            with Vertical(id="right"):
                yield Canvas(id="picture")
                yield FactSheet(id="facts")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Start in the list."""
        self._show_title("reading the profiles …")
        self._options.focus()

    def on_screen_resume(self, _: events.ScreenResume) -> None:
        """Look again: files, benches and sessions may have changed meanwhile."""
        self._options.focus()
        self.post_message(self.Wanted("reload", None))

    def show(self, reading: Reading, *, highlight: str = "") -> None:
        """Show what was read; the profile named `highlight` is chosen, else the one that was."""
        chosen = self._candidate
        self._reading = reading
        self._wanted = highlight or (chosen.entry.name if chosen else self._wanted)
        self._show_title(f"here: {reading.machine.gpus_in_short}")
        self._fill()

    @property
    def _options(self) -> ProfileList:
        return self.query_one("#profiles", ProfileList)

    @property
    def _candidate(self) -> Candidate | None:
        chosen = self._options.chosen
        return chosen if isinstance(chosen, Candidate) else None

    def _show_title(self, text: str) -> None:
        title = Content.assemble(
            ("vramp", "bold $accent"), ("   profiles   ", ""), (safe_line(text, limit=200), "$text-muted")
        )
        self.query_one("#title", Static).update(title)

    def _fill(self) -> None:
        assert self._reading is not None
        words = self.query_one("#search", Input).value.lower().split()
        self._options.fill(self._reading, words, highlight=self._wanted)
        self._show_facts()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._show_facts()

    def on_resize(self, _: events.Resize) -> None:
        """Wrap the command again."""
        self.call_after_refresh(self._show_facts)

    def _show_picture(self) -> None:
        """Draw memory and last grid of the chosen profile, where there is room beside the facts."""
        picture, chosen = self.query_one("#picture", Canvas), self._options.chosen
        lines: list[Line] = []
        if isinstance(chosen, Candidate) and self._reading is not None:
            vram = chosen.check.vram if chosen.check is not None else None
            last = self._reading.grids.get(chosen.entry.name)
            lines = profile_picture(vram, last, max(1, picture.size.width), self.size.height // 3)
        picture.styles.height = len(lines)
        picture.set_class(bool(lines), "-shown")
        self.call_after_refresh(picture.paint, lines)

    def _show_facts(self) -> None:
        self._show_picture()
        sheet = self.query_one("#facts", FactSheet)
        chosen = self._options.chosen
        if self._reading is None:
            return
        if chosen is None:
            sheet.show([Fact("", (Content.styled("nothing is called so; esc shows all", "$text-muted"),))])
        elif isinstance(chosen, RunningBench):
            sheet.show(_bench_facts(chosen))
        else:
            sessions = self._reading.sessions.get(chosen.entry.name, [])
            width = sheet.scrollable_content_region.width - 10
            sheet.show(profile_facts(chosen.entry, chosen.check, sessions, command_width=width))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        """Launch the chosen profile, or attach to the chosen bench."""
        match self._options.chosen:
            case RunningBench() as bench:
                self.post_message(self.Attach(bench))
            case Candidate(check=None):
                self.notify("this profile has mistakes; e edits it", severity="warning", markup=False)
            case Candidate() as candidate if candidate.check is not None and candidate.check.missing:
                self._ask_all_the_same(candidate, candidate.check)
            case Candidate() as candidate:
                self.post_message(self.Launch(candidate))

    def _ask_all_the_same(self, candidate: Candidate, check: Preflight) -> None:
        """Say why it cannot run here; a second key of its own launches it all the same."""
        twin = f"sim-{candidate.entry.name}"
        others = self._reading.candidates if self._reading else []
        text = list(check.missing)
        if any(other.entry.name == twin for other in others):
            text.append(f"Its simulated twin runs anywhere: {twin}")

        def answered(answer: str | None) -> None:
            if answer == "launch":
                self.post_message(self.Launch(candidate))

        choices = [Choice("leave", "n", "do not launch it"), Choice("launch", "l", "launch it all the same")]
        self.app.push_screen(Question(f"{candidate.entry.name} cannot run here", "\n".join(text), choices), answered)

    def action_search(self) -> None:
        """Type to narrow the list."""
        self.add_class("-searching")
        self.query_one("#search", Input).focus()

    def action_end_search(self) -> None:
        """Show all again."""
        self.query_one("#search", Input).value = ""
        self.remove_class("-searching")
        self._options.focus()

    @on(Input.Changed)
    def _search_changed(self, event: Input.Changed) -> None:
        event.stop()
        chosen = self._candidate
        self._wanted = chosen.entry.name if chosen else self._wanted
        if self._reading is not None:
            self._fill()

    @on(Input.Submitted)
    def _search_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._options.focus()

    def action_history(self) -> None:
        """Show the sessions that are kept."""
        self.app.push_screen(HistoryScreen())

    def action_attach(self) -> None:
        """Ask for a server that runs."""
        if self._candidate is None or self._candidate.check is None:
            self.notify("choose a profile first: its load is what the server gets", markup=False)
        else:
            self.post_message(self.Wanted("attach", self._candidate.entry))

    def action_ask(self, what: str) -> None:
        """Have the app do something with the chosen profile."""
        candidate = self._candidate
        if candidate is None and what != "new":
            self.notify("choose a profile first", markup=False)
        else:
            self.post_message(self.Wanted(what, candidate.entry if candidate else None))


def _bench_facts(bench: RunningBench) -> list[Fact]:
    state = Content.styled("runs on this machine", "$success")
    if bench.failure:
        state = Content.styled(
            f"failed: {safe_line(bench.failure, limit=40)}; its bench waits on this machine", "$error"
        )
    return [
        Fact("session", (Content.styled(safe_line(bench.session_id), "bold"), state)),
        Fact("", ()),
        Fact("enter", (Content("attaches to it: all its panes, and the say over its users"),)),
        Fact("look only", (Content(f"vramp attach --read-only {safe_line(bench.session_id)}"),)),
    ]
