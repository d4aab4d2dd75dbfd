"""One cell of the grid, opened: how it ended, all its figures, what the server says of it, and its requests."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from tui.core.safe_text import safe_line
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.colours.choice import palette_for
from tui.view.colours.paint import Ink
from tui.view.screens.cell_facts import Place, cell_facts
from tui.view.screens.cell_page import cell_page
from tui.view.screens.roomy import RoomyScreen

__all__ = ["CellScreen", "cell_facts"]


def _key(key: str, action: str, tooltip: str, words: str = "", *, display: str | None = None) -> Binding:
    """Return a key that the page would otherwise take for itself; named in the key line where it has words."""
    return Binding(
        key,
        action,
        words,
        show=bool(words),
        key_display=display,
        id=f"cell.{key}",
        tooltip=tooltip,
        priority=True,
    )


class CellScreen(RoomyScreen):
    """Shows the cell as it is in the latest snapshot; the run goes on below. The arrow keys go to its neighbours."""

    CSS = """
    CellScreen { padding: 0 1; }
    CellScreen #title { height: 2; margin-bottom: 1; }
    CellScreen #page { background: $background; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    CellScreen #page > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "close", "back", key_display="esc", id="cell.close", tooltip="back to the grid"),
        _key("up", "walk(0, -1)", "fewer users", "next cell", display="←↑↓→"),
        _key("down", "walk(0, 1)", "more users"),
        _key("left", "walk(-1, 0)", "shorter prompts"),
        _key("right", "walk(1, 0)", "longer prompts"),
        _key("pagedown", "scroll(1)", "the page further on", "scroll", display="pgdn"),
        _key("pageup", "scroll(-1)", "the page back"),
    ]
    HELP = "One cell of the grid: its outcome with the evidence, its figures, and those of its requests still at hand."

    def __init__(self, place: Place, snapshot: Snapshot) -> None:
        super().__init__()
        self.place = place
        self._snapshot = snapshot
        self._composed = False
        self._shown = ""

    def compose(self) -> ComposeResult:
        """One page that scrolls."""
        yield Static(id="title", markup=False)
        with VerticalScroll(id="page", can_focus=True):
            yield Static(markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Fill it."""
        self._composed = True
        self.show(self._snapshot)
        self._page.focus()

    @property
    def _page(self) -> VerticalScroll:
        return self.query_one("#page", VerticalScroll)

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self._snapshot = snapshot
        if not self._composed:
            return
        self.query_one("#title", Static).update(Content("\n").join([self._title(), self._neighbours()]))
        width = max(self._page.scrollable_content_region.width, 1)
        page = cell_page(self.place, snapshot, width, self._style_of)
        if page.markup != self._shown:  # what is shown again is painted again
            self._shown = page.markup
            self._page.query_one(Static).update(page)

    def _title(self) -> Content:
        users, prompt_tokens = self.place
        return Content.assemble(
            ("vramp", "bold $accent"),
            (f"   {users_in_words(users)} × {formatting.count(prompt_tokens)} prompt tokens", "bold"),
            (f"   {safe_line(self._snapshot.grid.mode, limit=12)}", "$text-muted"),
            ("   SIMULATED" if self._snapshot.simulated else "", "bold $warning"),
        )

    def _neighbours(self) -> Content:
        """Return where the arrow keys lead."""
        parts = []
        for arrow, columns, rows in (("←", -1, 0), ("→", 1, 0), ("↑", 0, -1), ("↓", 0, 1)):
            there = self._beside(columns, rows)
            if there != self.place:
                parts.append(f"{arrow} {formatting.count(there[1]) + ' tok' if columns else users_in_words(there[0])}")
        return Content.styled("   ".join(parts), "$text-muted")

    def _beside(self, columns: int, rows: int) -> Place:
        """Return the next cell of the grid in a direction; at its edge, and outside the grid, the same."""
        users, prompt_tokens = self.place
        grid = self._snapshot.grid
        return _next(grid.users, users, rows), _next(grid.prompt_tokens, prompt_tokens, columns)

    def _style_of(self, ink: Ink) -> str:
        """Return the colour of a figure, as Textual calls it."""
        colour = palette_for(self.app).looks[ink].fore
        return "" if colour is None else colour if colour.startswith("#") else f"ansi_{colour}"

    def on_resize(self, _: events.Resize) -> None:
        """Lay it out for the new width."""
        self.call_after_refresh(lambda: self.show(self._snapshot))

    def action_walk(self, columns: int, rows: int) -> None:
        """Go to the next cell in that direction."""
        there = self._beside(columns, rows)
        if there != self.place:
            self.place = there
            self.show(self._snapshot)
            self._page.scroll_home(animate=False)

    def action_scroll(self, pages: int) -> None:
        """Go on, or back, by what is in view."""
        self._page.scroll_relative(y=pages * max(1, self._page.size.height - 2), animate=False)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


def _next(values: list[int], value: int, steps: int) -> int:
    if not steps or not values:
        return value
    place = values.index(value) + steps if value in values else 0
    return values[min(max(0, place), len(values) - 1)]
