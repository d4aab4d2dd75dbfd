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

PANES: dict[str, str] = {
    "tokens/s": "Output tokens of all users in each second, and of one user; how many users there were at the time.",
    "latency": "Each finished request as a point, failed ones as crosses; TTFT and E2E with their p50 and p99.",
    "VRAM": "The memory of each card: weights, KV cache, other; how much of the time it computed, its power and "
    "heat; how full the server's KV cache is, and what runs, waits and was preempted.",
    "grid": "Users down, prompt tokens across: the time to resolve of each cell that was measured, or how it failed. "
    "A cell fills when users and prompt size stand still long enough, by your keys or by the sweep. "
    "The arrow keys pick a cell and tell all of it.",
    "requests": "Finished requests, latest first, the failed ones above and kept longer.",
    "log": "What the server's log says, what was read from it, and what the bench did. The arrow keys go back in it.",
    "server": "What is known of the server under test: its command, version, limits, and how it failed when it did.",
}
"""What the live screen's panes show, by their names."""


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
    pane = getattr(getattr(screen, "active", None), "NAME", "")
    for place, text in (("here", _help_of(screen)), (f"pane {pane}", PANES.get(pane, ""))):
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
