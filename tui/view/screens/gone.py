"""The end of a bench: while it stops, and when it went away by itself."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from tui.core.safe_text import safe_line, safe_text
from tui.metrics.snapshot import Snapshot
from tui.view.screens.fact_sheet import Fact, FactSheet
from tui.view.screens.roomy import RoomyScreen

_STOPPING = "Stopping the load, then the server with all its processes. What was measured is kept."


class Stopping(ModalScreen[None]):
    """Up while a bench cuts its load and stops its server."""

    CSS = """
    Stopping { align: center middle; background: $background 60%; }
    Stopping Static {
        width: 56; max-width: 96%; height: auto; padding: 1 2; background: $panel; border: round $accent;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "leave", id="leave", tooltip="leave as soon as all has stopped")
    ]

    def __init__(self) -> None:
        super().__init__()
        self.leave_wanted = False
        """The operator wants to leave, whatever was to come when all has stopped."""

    def compose(self) -> ComposeResult:
        """Say what is under way."""
        yield Static(_STOPPING, markup=False)

    def action_leave(self) -> None:
        """Take note of it: a key that is typed while something ends counts as well."""
        self.leave_wanted = True
        self.query_one(Static).update(f"{_STOPPING} Then vramp ends.")


class GoneScreen(RoomyScreen):
    """Says that the bench is gone, why, what is kept, and what can be done."""

    CSS = """
    GoneScreen { padding: 1 2; }
    GoneScreen #title { height: auto; margin-bottom: 1; }
    GoneScreen FactSheet { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "back", "back", id="gone.back", tooltip="go back to the profiles")
    ]
    HELP = "The bench is the process that measures; this terminal only showed it. It is gone, the session file is not."

    class Back(Message):
        """The operator wants the profiles."""

    def __init__(self, reason: str, snapshot: Snapshot | None, *, can_go_back: bool) -> None:
        super().__init__()
        self._facts = gone_facts(reason, snapshot)
        self._can_go_back = can_go_back

    def compose(self) -> ComposeResult:
        """Show a headline and the facts."""
        yield Static(Content.styled("The bench is gone", "bold $error"), id="title")
        yield FactSheet()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one(FactSheet).show(self._facts)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the way back only where there is one."""
        return self._can_go_back if action == "back" else True

    def action_back(self) -> None:
        """Ask for the profiles."""
        self.post_message(self.Back())


def gone_facts(reason: str, snapshot: Snapshot | None) -> list[Fact]:
    """Return what there is to say when a bench went away."""
    facts = [Fact("why", (Content(safe_text(reason, limit=600)),))]
    if snapshot is None:
        return facts
    session = safe_line(snapshot.session_id)
    file = safe_line(snapshot.session_file)
    log = safe_line(snapshot.session_file.removesuffix(".vramp") + ".bench.log")
    return [
        *facts,
        Fact("kept", (Content(f"all up to the last second, in {file}"),)),
        Fact("look", (Content(f"vramp open {session}"),)),
        Fact("export", (Content(f"vramp export {session}"),)),
        Fact("go on", (Content(f"vramp run --resume {session}"),)),
        Fact("its log", (Content(log),)),
    ]
