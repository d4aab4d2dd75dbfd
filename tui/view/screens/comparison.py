"""Two kept sessions beside each other, as `vramp compare` tells them, drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from tui.metrics.comparison import Comparison
from tui.view.screens.compared_lines import Compared, figures_of
from tui.view.screens.roomy import RoomyScreen
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import text_of


class ComparisonScreen(RoomyScreen):
    """Shows a comparison of two: what differs, the grid of ratios, both grids, curves over each other."""

    CSS = """
    ComparisonScreen { padding: 0 1; }
    ComparisonScreen #title { height: 1; }
    ComparisonScreen VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    ComparisonScreen #compared { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "figure", "figure", id="comparison.figure", tooltip="compare by the next figure"),
        Binding("less_than_sign", "size(-1)", "size", key_display="<", id="comparison.smaller", show=False),
        Binding("greater_than_sign", "size(1)", "prompt size", key_display="< >", id="comparison.larger"),
        Binding("escape,enter,b", "back", "back", key_display="esc", id="comparison.back", tooltip="to the sessions"),
    ]
    HELP = (
        "Two sessions, cell by cell, as `vramp compare` says it: conditions that differ come first, then how many "
        "times as much a figure is in B as in A, with its 95 % interval, both grids in the colours of one scale, and "
        "the curves over each other. c goes to the next figure, < and > to the next prompt size; arrows scroll."
    )

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self._figures = figures_of(comparison)
        self._compared = Compared(comparison, self._figures[0])

    def compose(self) -> ComposeResult:
        """A title, the picture, the keys."""
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Canvas(id="compared")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw it once it has its size."""
        self.query_one(VerticalScroll).focus()
        self.call_after_refresh(self._draw)

    def on_resize(self, _: events.Resize) -> None:
        """Draw it for the new size."""
        self.call_after_refresh(self._draw)

    @property
    def plain(self) -> str:
        """Return what is drawn, as text."""
        return text_of(self._compared.lines(self._room))

    def action_figure(self) -> None:
        """Compare by the next figure."""
        at = self._figures.index(self._compared.figure)
        self._compared = replace(self._compared, figure=self._figures[(at + 1) % len(self._figures)])
        self._draw()

    def action_size(self, step: int) -> None:
        """Draw the curves of the next prompt size, or of the one before."""
        sizes, present = self._compared.prompt_sizes, self._compared.prompt
        if present is not None:
            at = max(0, min(len(sizes) - 1, sizes.index(present) + step))
            self._compared = replace(self._compared, prompt_tokens=sizes[at])
            self._draw()

    def action_back(self) -> None:
        """Go back to the sessions."""
        self.dismiss(None)

    @property
    def _room(self) -> int:
        return max(1, self.query_one(VerticalScroll).scrollable_content_region.width)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        title = Content.assemble(
            ("vramp", "bold $accent"), ("   compared", "bold"), (f"   by {self._compared.figure.name}", "$text-muted")
        )
        self.query_one("#title", Static).update(title)
        lines = self._compared.lines(self._room)
        canvas = self.query_one("#compared", Canvas)
        canvas.styles.height = len(lines)
        canvas.paint(lines)
