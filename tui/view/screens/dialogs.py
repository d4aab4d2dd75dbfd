"""Questions over a screen: one of several choices, or a few words typed. Escape always means: never mind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from tui.core.safe_text import safe_line, safe_text

_CSS = """
Question, Form { align: center middle; background: $background 60%; }
#dialog {
    width: 64; max-width: 96%; height: auto; max-height: 96%;
    padding: 1 2; background: $panel; border: round $accent;
    border-title-color: $foreground; border-title-style: bold;
}
#dialog > .text { height: auto; margin-bottom: 1; }
#dialog > OptionList { height: auto; max-height: 12; background: $panel; border: none; padding: 0; }
#dialog > .hint { color: $text-muted; margin-top: 1; }
#dialog > Input { margin-bottom: 1; border: none; height: 1; padding: 0 1; background: $background; }
#dialog > .problem { color: $error; height: auto; }
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer: its key, what it says, what then happens."""

    value: str
    key: str
    label: str
    explanation: str = ""


class Question(ModalScreen[str | None]):
    """Asks for one of several choices; the result is its `value`, or None."""

    CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "never mind", id="dialog.cancel")]

    def __init__(self, title: str, text: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Show the choices as a list; the first is the harmless one."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(safe_line(self._title, limit=60))
            yield Static(safe_text(self._text), classes="text", markup=False)
            yield OptionList(*(Option(_choice_content(choice), id=choice.value) for choice in self._choices))
            yield Label("enter or its letter answers, esc goes back", classes="hint", markup=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    def on_key(self, event: events.Key) -> None:
        """Choose by letter."""
        for choice in self._choices:
            if event.character == choice.key:
                event.stop()
                self.dismiss(choice.value)

    async def action_dismiss(self, result: str | None = None) -> None:
        """Answer nothing."""
        self.dismiss(None)


@dataclass(frozen=True, slots=True)
class Field:
    """One line to type into."""

    label: str
    placeholder: str = ""
    value: str = ""


class Form(ModalScreen[list[str] | None]):
    """Asks for a few words; the result is one text per field, or None."""

    CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "never mind", id="dialog.cancel")]

    def __init__(self, title: str, text: str, fields: Sequence[Field], problem_of: Callable[[list[str]], str]) -> None:
        """`problem_of` says in a sentence what is wrong with the answers, or nothing."""
        super().__init__()
        self._title = title
        self._text = text
        self._fields = fields
        self._problem_of = problem_of

    def compose(self) -> ComposeResult:
        """Show one input per field and room for what is wrong."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(safe_line(self._title, limit=60))
            yield Static(safe_text(self._text), classes="text", markup=False)
            for field in self._fields:
                yield Label(field.label, markup=False)
                yield Input(field.value, placeholder=field.placeholder, compact=True)
            yield Static("", classes="problem", markup=False)
            yield Label("enter goes on, esc goes back", classes="hint", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        inputs = list(self.query(Input))
        if event.input is not inputs[-1]:
            inputs[inputs.index(event.input) + 1].focus()
            return
        values = [each.value.strip() for each in inputs]
        problem = self._problem_of(values)
        if problem:
            self.query_one(".problem", Static).update(safe_text(problem))
        else:
            self.dismiss(values)

    async def action_dismiss(self, result: list[str] | None = None) -> None:
        """Answer nothing."""
        self.dismiss(None)


def leave_question(*, session_id: str, from_picker: bool, unkept: bool = False) -> Question:
    """Return what `q` asks while a run is live; `unkept`: its session file does not hold everything."""
    kept = "it is NOT kept: export it first (x)" if unkept else "what was measured is kept"
    choices = [
        Choice("detach", "d", "leave it running", "the bench goes on; vramp attach comes back to it"),
        Choice("stop", "s", "stop all and leave", f"the load, then the server; {kept}"),
    ]
    if from_picker:
        choices.append(Choice("pick", "p", "stop all and pick another profile", kept))
    return Question("leave", f"Session {session_id} is live.", choices)


def _choice_content(choice: Choice) -> Content:
    head = Content.assemble((f" {choice.key} ", "bold $accent"), choice.label)
    return Content.assemble(head, (f"\n   {choice.explanation}", "$text-muted")) if choice.explanation else head


def unkept_question(why: str) -> Question:
    """Return what is asked when the session file cannot be written. No key of the live screen ends anything in it."""
    choices = [
        Choice("go-on", "g", "go on in memory", "x exports it, to another folder where this one is full"),
        Choice("stop", "e", "end the load", "the sweep ends and all users leave; the server stays"),
    ]
    return Question("not kept", f"{safe_line(why, limit=300)}\nIt is tried again while the session runs.", choices)
