"""The sessions that are kept: opened as replays, compared, noted, renamed, deleted and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from tui.core.errors import VrampError
from tui.core.paths import sessions_dir
from tui.core.safe_text import safe_line
from tui.metrics.comparison import Comparison, compare
from tui.session import history, shelf, trash
from tui.session.reader import SessionState
from tui.session.session_summary import SessionSummary
from tui.session.sides import read_sides
from tui.view.screens.comparison import ComparisonScreen
from tui.view.screens.dialogs import Choice, Field, Form, Question
from tui.view.screens.roomy import RoomyScreen

_WHEN, _PROFILE = 17, 26


class HistoryScreen(RoomyScreen):
    """Lists the sessions, the latest first. All reading and writing is done in threads."""

    CSS = """
    HistoryScreen { padding: 0 1; }
    HistoryScreen #title { height: 1; margin-bottom: 1; }
    HistoryScreen OptionList { border: none; background: $background; padding: 0; height: 1fr; }
    HistoryScreen OptionList:focus { border: none; }
    HistoryScreen OptionList:ansi > .option-list--option-highlighted,
    HistoryScreen OptionList:ansi:focus > .option-list--option-highlighted {
        color: ansi_bright_white; background: ansi_blue; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "open", id="history.open", tooltip="go through the session as it went"),
        Binding("space", "mark", "mark", id="history.mark", tooltip="mark it as the one to compare with"),
        Binding("c", "compare", "compare", id="history.compare", tooltip="compare it with the marked one"),
        Binding("n", "note", "note", id="history.note", tooltip="write a note into it"),
        Binding("r", "rename", "rename", id="history.rename", tooltip="give it another name"),
        Binding("D", "delete", "delete", id="history.delete", tooltip="delete it; u brings it back"),
        Binding("u", "undo", "undo", id="history.undo", tooltip="bring back what was deleted last"),
        Binding("escape,b", "back", "back", key_display="esc", id="history.back", tooltip="to the profiles"),
    ]
    HELP = (
        "The sessions that are kept, latest first. Enter or o opens one as a replay; space marks one, and c compares "
        "another with it. What is deleted is kept aside for a day: until then u brings the last one back, whoever "
        "deleted it."
    )

    class Open(Message):
        """The operator wants to go through this session."""

        def __init__(self, path: Path) -> None:
            self.path = path
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._sessions: list[SessionSummary] = []
        self._marked = ""

    def compose(self) -> ComposeResult:
        """One list."""
        yield Static(id="title", markup=False)
        yield OptionList()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read the sessions."""
        self.query_one("#title", Static).update("reading the sessions …")
        self._reload()

    @work(group="history", exclusive=True)
    async def _reload(self, highlight: str = "") -> None:
        try:
            await asyncio.to_thread(trash.empty, sessions_dir())
            self._sessions = await asyncio.to_thread(shelf.list_sessions)
        except (VrampError, OSError) as error:
            self._complain(error)
        self._fill(highlight)

    def _fill(self, highlight: str = "") -> None:
        options = self.query_one(OptionList)
        chosen = options.highlighted
        options.clear_options()
        options.add_options(Option(_row(one, marked=one.session_id == self._marked)) for one in self._sessions)
        ids = [one.session_id for one in self._sessions]
        at = ids.index(highlight) if highlight in ids else min(chosen or 0, len(ids) - 1)
        options.highlighted = at if ids else None
        count = f"{len(ids)} session{'' if len(ids) == 1 else 's'}" if ids else "no session is kept yet"
        title = Content.assemble(("vramp", "bold $accent"), f"   {count}")
        self.query_one("#title", Static).update(title)
        options.focus()

    @property
    def _chosen(self) -> SessionSummary | None:
        at = self.query_one(OptionList).highlighted
        return self._sessions[at] if at is not None and at < len(self._sessions) else None

    def _complain(self, error: Exception) -> None:
        self.notify(safe_line(str(error), limit=300), severity="warning", markup=False)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        """Go through the chosen session."""
        chosen = self._chosen
        if chosen is None or chosen.problem:
            self.notify(chosen.problem if chosen else "no session is kept yet", markup=False)
        elif chosen.state == SessionState.RUNNING:
            self.notify("it is running: attach to it from the profiles", markup=False)
        else:
            self.post_message(self.Open(Path(chosen.file)))

    def action_mark(self) -> None:
        """Mark the chosen session, or no more."""
        if self._chosen is not None:
            self._marked = "" if self._marked == self._chosen.session_id else self._chosen.session_id
            self._fill()

    @work(group="history", exclusive=True)
    async def action_compare(self) -> None:
        """Compare the chosen session with the marked one."""
        chosen = self._chosen
        base = next((one for one in self._sessions if one.session_id == self._marked), None)
        if chosen is None or base is None or base is chosen:
            self.notify("mark another session with space first, to compare this one with", markup=False)
            return
        try:
            comparison = await asyncio.to_thread(_compared, base.file, chosen.file)
        except (VrampError, OSError) as error:
            self._complain(error)
            return
        self.app.push_screen(ComparisonScreen(comparison))

    def action_note(self) -> None:
        """Write a note into the chosen session."""
        if (one := self._chosen) is not None:
            field = Field("note", value=one.note, placeholder="empty takes it away")
            self._ask(Form("note", one.session_id, [field], _doing(lambda text: history.note(Path(one.file), text))))

    def action_rename(self) -> None:
        """Give the chosen session another name."""
        if (one := self._chosen) is not None:
            field = Field("name", value=one.session_id)
            self._ask(
                Form("rename", one.session_id, [field], _doing(lambda text: history.rename(Path(one.file), text))),
                named=True,
            )

    def _ask(self, form: Form, *, named: bool = False) -> None:
        def answered(values: list[str] | None) -> None:
            if values is not None:
                self._reload(values[0] if named else "")

        self.app.push_screen(form, answered)

    def action_delete(self) -> None:
        """Delete the chosen session, once that is confirmed."""
        one = self._chosen
        if one is None:
            return

        def answered(answer: str | None) -> None:
            if answer == "delete":
                self._delete(one)

        choices = [
            Choice("leave", "n", "keep it"),
            Choice("delete", "y", "delete it, with its logs", "u brings it back; it is kept aside for a day"),
        ]
        self.app.push_screen(Question("delete", one.session_id, choices), answered)

    @work(group="history", exclusive=True)
    async def _delete(self, one: SessionSummary) -> None:
        try:
            await asyncio.to_thread(trash.put_away, Path(one.file))
        except VrampError as error:
            self._complain(error)
            return
        self.notify(f"{one.session_id} is deleted; u brings it back", markup=False)
        self._reload()

    @work(group="history", exclusive=True)
    async def action_undo(self) -> None:
        """Bring back what was deleted last, by this list or by one before it."""
        away = await asyncio.to_thread(trash.latest, sessions_dir())
        if away is None:
            self.notify("nothing was deleted in the last day", markup=False)
            return
        try:
            back = await asyncio.to_thread(trash.put_back, away)
        except VrampError as error:
            self._complain(error)
            return
        self._reload(back.stem)

    def action_back(self) -> None:
        """Go back to the profiles."""
        self.dismiss(None)

    def on_screen_resume(self, _: events.ScreenResume) -> None:
        """Have the keys in the list."""
        self.query_one(OptionList).focus()


def _compared(base: str, other: str) -> Comparison:
    return compare(read_sides([base, other]))


def _doing(change: Callable[[str], object]) -> Callable[[list[str]], str]:
    """Return what makes a change by an answer, and says in a sentence why it could not."""

    def problem_of(values: list[str]) -> str:
        try:
            change(values[0])
        except (VrampError, OSError) as error:
            return str(error)
        return ""

    return problem_of


def _row(one: SessionSummary, *, marked: bool) -> Content:
    when = safe_line(one.started_at[:16]).replace("T", " ")
    cells = f"{one.cells_ok} of {one.cells_measured} cells ok" if one.cells_measured else "no cells"
    parts = [cells, one.best, "SIMULATED" if one.simulated else ""]
    return Content.assemble(
        ("▸ " if marked else "  ", "bold $accent"),
        (when.ljust(_WHEN), ""),
        (safe_line(one.profile or one.session_id, limit=_PROFILE - 2).ljust(_PROFILE), "bold"),
        (safe_line(one.problem or one.state_in_words, limit=200), "$error" if one.problem or one.failure else ""),
        "\n  " + "".ljust(_WHEN) + "  ".join(part for part in parts if part),
        (f"  “{safe_line(one.note, limit=80)}”" if one.note else "", "$accent"),
    )
