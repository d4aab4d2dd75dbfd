"""Which server that runs already gets a profile's load: one of those found on this machine, or any by its URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from tui.core.safe_text import safe_line, safe_text
from tui.engines.catalogue import title_of
from tui.server import finding
from tui.server.finding import FoundServer


@dataclass(frozen=True, slots=True)
class ServerWanted:
    """A server, and what is known of it."""

    url: str
    api_key_env: str = ""
    """The environment variable that holds its key; "" = it wants none."""
    engine: str = ""
    """"" = not known: the profile's own is taken."""
    verified: bool = True


class AttachScreen(ModalScreen[ServerWanted | None]):
    """Looks on this machine while it is open; the result is a server, or None."""

    CSS = """
    AttachScreen { align: center middle; background: $background 60%; }
    AttachScreen #dialog {
        width: 76; max-width: 96%; height: auto; max-height: 96%;
        padding: 1 2; background: $panel; border: round $accent;
        border-title-color: $foreground; border-title-style: bold;
    }
    AttachScreen .text { height: auto; margin-bottom: 1; }
    AttachScreen OptionList { height: auto; max-height: 8; background: $panel; border: none; padding: 0; }
    AttachScreen #looking { color: $text-muted; height: auto; margin-bottom: 1; }
    AttachScreen Input { margin-bottom: 1; border: none; height: 1; padding: 0 1; background: $background; }
    AttachScreen .problem { color: $error; height: auto; }
    AttachScreen .hint { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "never mind", id="attach.cancel"),
    ]
    AUTO_FOCUS = "#url"

    def __init__(self, profile_name: str, problem_of: Callable[[ServerWanted], str]) -> None:
        """`problem_of` says in a sentence what is wrong with an answer, or nothing."""
        super().__init__()
        self._profile_name = profile_name
        self._problem_of = problem_of
        self._found: list[FoundServer] = []

    def compose(self) -> ComposeResult:
        """Show what is found, one to type into, and room for what is wrong."""
        text = f"The load of {self._profile_name} goes to a server that runs already. It is never stopped."
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content("attach")
            yield Static(safe_text(text), classes="text", markup=False)
            yield OptionList(id="found")
            yield Static("looking on this machine …", id="looking", markup=False)
            yield Label("or its URL", markup=False)
            yield Input(placeholder="http://127.0.0.1:8000", id="url", compact=True)
            yield Label("environment variable of its API key (may stay empty)", markup=False)
            yield Input(placeholder="OPENAI_API_KEY", id="key", compact=True)
            yield Static("", classes="problem", markup=False)
            yield Label("enter attaches, tab goes on, esc goes back", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self._look()

    @work(exclusive=True)
    async def _look(self) -> None:
        try:
            await finding.find_servers(self._add)
        except Exception as error:  # whatever a machine's own list of sockets may raise
            self.query_one("#looking", Static).update(safe_line(f"nothing could be looked for: {error}", limit=200))
            return
        text = "" if self._found else "No server that vramp knows answers on this machine's loopback."
        looking = self.query_one("#looking", Static)
        looking.update(text)
        looking.display = bool(text)

    def _add(self, one: FoundServer) -> None:
        self._found.append(one)
        options = self.query_one("#found", OptionList)
        options.add_option(Option(_content_of(one)))
        if len(self._found) == 1:
            options.highlighted = 0
            if not self.query_one("#url", Input).value and self.focused is self.query_one("#url"):
                options.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        one, key = self._found[event.option_index], self.query_one("#key", Input)
        if one.wants_key and not key.value.strip():
            self._say("It wants a key: name the environment variable that holds it, then choose it again.")
            key.focus()
            return
        engine = "" if one.wants_key else one.engine  # one that says nothing without a key may be of any system
        self._answer(ServerWanted(one.base_url, key.value.strip(), engine, one.verified))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        url, key = self.query_one("#url", Input), self.query_one("#key", Input)
        if event.input is url:
            key.focus()
        elif url.value.strip():
            self._answer(ServerWanted(url.value.strip(), key.value.strip()))
        elif self._found:
            self.query_one("#found", OptionList).focus()
        else:
            url.focus()

    def _answer(self, wanted: ServerWanted) -> None:
        if problem := self._problem_of(wanted):
            self._say(problem)
        else:
            self.dismiss(wanted)

    def _say(self, text: str) -> None:
        self.query_one(".problem", Static).update(safe_text(text))

    async def action_dismiss(self, result: ServerWanted | None = None) -> None:
        """Answer nothing."""
        self.dismiss(None)


def _content_of(one: FoundServer) -> Content:
    model = "wants a key" if one.wants_key else one.model or "no model listed"
    rest = "  ".join(part for part in (model, f"({one.process})" if one.process else "") if part)
    return Content.assemble(
        (safe_line(title_of(one.engine), limit=40), "bold"),
        f"  {safe_line(one.base_url, limit=60)}",
        (f"\n   {safe_line(rest, limit=100)}", "$text-muted"),
    )
