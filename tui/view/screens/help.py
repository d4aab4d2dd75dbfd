"""Help, made from the bindings as they are now, so that it cannot tell of a key that does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui.view.panes.pane import Pane
from tui.view.screens.fact_sheet import Fact, FactSheet
from tui.view.screens.roomy import RoomyScreen

TERMS: tuple[tuple[str, str], ...] = (
    ("TTFT", "time to first token: first token's arrival − the request's intended start"),
    ("ITL", "inter-token latency: the gap between two events of one stream that bear tokens"),
    ("TPOT", "time per output token after the first: (E2E − TTFT) / (tokens − 1)"),
    ("E2E", "last token's arrival − the request's intended start"),
    ("tokens/s", "total: output tokens of all users in a second; per user: tokens / E2E of a request, averaged"),
    ("resolve", "time to resolve: mean E2E of a burst of N simultaneous requests, as in the published tables"),
    ("p50 p90 p99", "percentiles; – stands for one that the sample is too small to carry"),
    ("KV cache", "the server's memory of tokens seen; when it is full, requests wait or are preempted"),
    ("delivered", "requests under way at once, rebuilt from their start and end times"),
    ("implied", "not measured: a smaller cell failed for a cause that grows with load"),
    ("SIMULATED", "the figures come from a model of a server, not from a server"),
)


class HelpScreen(RoomyScreen):
    """Says what the screen below and its focused pane are for, which keys work there, and what the terms mean."""

    CSS = """
    HelpScreen { padding: 0 1; }
    HelpScreen #title { height: 1; margin-bottom: 1; }
    HelpScreen FactSheet { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "back", key_display="esc", id="help.close")
    ]

    def __init__(self, facts: Sequence[Fact]) -> None:
        super().__init__()
        self._facts = facts

    def compose(self) -> ComposeResult:
        """One column that scrolls."""
        yield Static(Content.assemble(("vramp", "bold $accent"), "   help"), id="title")
        yield FactSheet(id="help")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Fill it."""
        sheet = self.query_one(FactSheet)
        sheet.show(self._facts)
        sheet.focus()

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


def help_facts(app: App[int], screen: Screen[object]) -> list[Fact]:
    """Return the help for a screen as it is now."""
    facts: list[Fact] = []
    told = [("here", _help_of(screen))]
    pane = getattr(screen, "active", None)
    if isinstance(pane, Pane):
        told.append((f"pane {pane.NAME}", f"{pane.HELP} {pane.HINT}"))
    for place, text in told:
        if text:
            facts += [Fact(place, tuple(Content(part) for part in _paragraphs(text))), Fact("", ())]
    hidden: frozenset[str | None] = getattr(screen, "keys_without_use", frozenset())
    bindings = {key: active for key, active in screen.active_bindings.items() if active.binding.id not in hidden}
    facts.append(_heading("keys"))
    facts += [Fact(key, (Content(text),), "$accent") for key, text in key_rows(app, bindings)]
    facts += [Fact("", ()), _heading("terms")]
    return facts + [Fact(term, (Content(text),), "bold") for term, text in TERMS]


def _heading(text: str) -> Fact:
    return Fact(text, (Content(""),))


def key_rows(app: App[int], bindings: dict[str, ActiveBinding]) -> list[tuple[str, str]]:
    """Return (keys, what they do) of all bindings that work now, each action once, in their order."""
    keys: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for active in bindings.values():
        binding = active.binding
        if (
            not binding.id or not active.enabled or not (binding.tooltip or binding.description)
        ):  # the app's own bear an id, Textual's do not
            continue
        keys.setdefault(binding.action, []).append(app.get_key_display(binding))
        texts.setdefault(binding.action, binding.tooltip or binding.description)
    return [(" ".join(dict.fromkeys(shown)), texts[action]) for action, shown in keys.items()]


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _help_of(node: DOMNode) -> str:
    text = getattr(node, "HELP", None)
    return text.strip() if isinstance(text, str) else ""
