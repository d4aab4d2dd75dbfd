"""The list of what can be chosen: running benches, the user's own profiles, the shipped ones, each with a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import set_cell_size
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.core.safe_text import safe_line
from tui.link.launcher import RunningBench
from tui.preflight import SIMULATED
from tui.view.catalogue_reading import Candidate, Reading

DEMO = "demo"
_STATE_STYLES = {"ready": "$success", "simulated": "$accent", "attach": "$success", "invalid": "$error"}
_ONE_LINE_FROM = 40
"""From this width on, name and state stand on one line."""
_STATE_CELLS = 16
_SESSION_ID = re.compile(r"\d{4}-\d\d-\d\d-(?P<hour>\d\d)(?P<minute>\d\d)\d\d-(?P<profile>.+)-[0-9a-f]{4}$")

Choice = Candidate | RunningBench


class ProfileList(OptionList):
    """Shows a `Reading`, or the part of it that is searched for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "select",
            "launch",
            key_display="enter",
            id="picker.launch",
            tooltip="launch the profile, or attach to the bench",
        )
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices: list[Choice | None] = []
        """What stands in each row; None = the name of a group."""
        self._reading: Reading | None = None
        self._words: list[str] = []
        self._drawn_width = 0

    @property
    def chosen(self) -> Choice | None:
        """Return what is highlighted."""
        return None if self.highlighted is None else self._choices[self.highlighted]

    def fill(self, reading: Reading, words: Sequence[str], *, highlight: str = "") -> None:
        """Show what matches all `words`; highlight the profile of that name, else the likeliest choice."""
        self._reading, self._words = reading, list(words)
        groups = _groups(reading, words)
        self._choices = [choice for _, group in groups for choice in (None, *group)]
        self._drawn_width = self.size.width
        room = self.scrollable_content_region.width
        self.clear_options()
        options: list[Option | None] = []
        for name, group in groups:
            options.append(
                Option(Content.styled(f"{name} ".ljust(max(room - 2, 1), "─"), "$text-muted"), disabled=True)
            )
            options += [Option(_row(choice, room)) for choice in group]
        self.add_options(options)
        self.highlighted = self._place_of(highlight)

    def on_resize(self, event: events.Resize) -> None:
        """Draw the rows again for the new width."""
        if self._reading is not None and event.size.width != self._drawn_width:
            chosen = self.chosen
            name = chosen.entry.name if isinstance(chosen, Candidate) else ""
            self.fill(self._reading, self._words, highlight=name)

    def _place_of(self, name: str) -> int | None:
        """Return where that profile is; else the first bench, what can be served here, the demo, or the top."""
        wishes: tuple[Callable[[Choice], bool], ...] = (
            lambda choice: isinstance(choice, Candidate) and choice.entry.name == name,
            lambda choice: isinstance(choice, RunningBench),
            lambda choice: isinstance(choice, Candidate) and choice.can_serve,
            lambda choice: isinstance(choice, Candidate) and choice.entry.name == DEMO,
        )
        for wish in wishes:
            for place, choice in enumerate(self._choices):
                if choice is not None and wish(choice):
                    return place
        return 1 if self._choices else None


def _groups(reading: Reading, words: Sequence[str]) -> list[tuple[str, Sequence[Choice]]]:
    """Return what matches all `words`, in groups with their names; an empty group is left out."""
    found = [each for each in reading.candidates if _matches(each, words)]
    groups: list[tuple[str, Sequence[Choice]]] = [
        ("running", [] if words else reading.benches),
        ("yours", [each for each in found if not each.entry.shipped]),
        ("shipped", [each for each in found if each.entry.shipped and each.state != SIMULATED]),
        ("simulated", [each for each in found if each.entry.shipped and each.state == SIMULATED]),
    ]
    return [(name, group) for name, group in groups if group]


def _matches(candidate: Candidate, words: Sequence[str]) -> bool:
    profile = candidate.entry.profile
    text = f"{candidate.entry.name} {candidate.state} {f'{profile.title} {profile.engine}' if profile else ''}".lower()
    return all(word in text for word in words)


def _row(choice: Choice, width: int) -> Content:
    if isinstance(choice, RunningBench):
        parts = _SESSION_ID.match(choice.session_id)
        name = parts["profile"] if parts else choice.session_id
        state = f"runs since {parts['hour']}:{parts['minute']}" if parts else "runs"
        if choice.failure:
            return _two_columns(name, choice.failure, "bold", "$error", width)
        return _two_columns(name, state, "bold", "$success", width)
    return _two_columns(choice.entry.name, choice.state, "", _STATE_STYLES.get(choice.state, "$warning"), width)


def _two_columns(name: str, state: str, name_style: str, state_style: str, width: int) -> Content:
    name, state = safe_line(name, limit=200), safe_line(state, limit=_STATE_CELLS)
    if width < _ONE_LINE_FROM:
        return Content.assemble((_cut(name, width), name_style), "\n", (f"  {state}", state_style))
    room = width - _STATE_CELLS - 1
    return Content.assemble((set_cell_size(_cut(name, room), room), name_style), " ", (state, state_style))


def _cut(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, an ellipsis for what is left out."""
    fitted = set_cell_size(text, max(2, width))
    return text if len(text) <= len(fitted) else fitted.rstrip()[:-1] + "…"
