"""A column of facts, label left and value right, wrapped with a hanging indent. Values only; no markup is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

_LEAST_INDENT = 10
_NARROWEST = 12


@dataclass(frozen=True, slots=True)
class Fact:
    """One label and its lines; an empty label goes on with the one above, no lines at all are an empty line."""

    label: str
    lines: tuple[Content, ...]
    label_style: str = "$text-muted"


class FactSheet(VerticalScroll, can_focus=True):
    """Shows facts; scrolls when they are many."""

    DEFAULT_CSS = """
    FactSheet { scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    FactSheet > Static { height: auto; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: Sequence[Fact] = ()

    def compose(self) -> ComposeResult:
        """Draw all facts in one widget: one repaint for one change."""
        yield Static(markup=False)

    def show(self, facts: Sequence[Fact], *, from_top: bool = True) -> None:
        """Show `facts` instead of what is shown."""
        if facts == self._facts:
            return
        self._facts = facts
        self._redraw()
        if from_top:
            self.scroll_home(animate=False)

    @property
    def plain(self) -> str:
        """Return the text as it is drawn."""
        return sheet_content(self._facts, self.room).plain

    @property
    def room(self) -> int:
        """Return how many columns there are."""
        return max(self.scrollable_content_region.width, 1)

    def on_resize(self, _: events.Resize) -> None:
        """Wrap again."""
        self._redraw()

    def _redraw(self) -> None:
        if self.is_mounted:
            self.query_one(Static).update(sheet_content(self._facts, self.room))


def indent_of(facts: Sequence[Fact]) -> int:
    """Return how many columns the labels take."""
    return max(_LEAST_INDENT, *(len(fact.label) + 2 for fact in facts)) if facts else _LEAST_INDENT


def sheet_content(facts: Sequence[Fact], width: int) -> Content:
    """Return `facts` as text of `width` columns."""
    return Content("\n").join(sheet_lines(facts, width))


def sheet_lines(facts: Sequence[Fact], width: int) -> list[Content]:
    """Return `facts` as lines of at most `width` columns."""
    indent = indent_of(facts)
    room = max(width - indent, _NARROWEST)
    rows: list[Content] = []
    for fact in facts:
        wrapped = [line for value in fact.lines for line in wrapped_content(value, room)] or [Content("")]
        for number, line in enumerate(wrapped):
            label = fact.label if number == 0 else ""
            rows.append(Content.assemble((f"{label:<{indent}}", fact.label_style), line))
    return rows


def wrapped_content(value: Content, width: int) -> list[Content]:
    """Return a text as lines of at most `width` columns."""
    # What fits stays as it is: `wrap` strips the blanks at the start of a line.
    lines = value.split("\n")
    return [part for line in lines for part in ([line] if line.cell_length <= width else line.wrap(width))]
