"""The line in which words are typed that are looked for in a pane."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.core.safe_text import safe_line

_MOST = 60


class SearchLine(Static):
    """Shows words as they are typed, and how many rows have them. The screen hands it the keys, as to `UsersField`."""

    DEFAULT_CSS = """
    SearchLine {
        layer: field; dock: bottom; height: 1; margin: 0 0 1 0; padding: 0 1; display: none; background: $panel;
    }
    SearchLine.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.typed: str | None = None
        """None = it is closed."""

    @property
    def is_open(self) -> bool:
        """Say whether it takes keys."""
        return self.typed is not None

    def open(self, pane: str) -> None:
        """Come up. `pane`: what is searched, in a word."""
        self.typed, self._pane = "", pane
        self.add_class("-open")
        self.say("")

    def close(self) -> None:
        """Go away."""
        self.typed = None
        self.remove_class("-open")

    def type(self, character: str) -> None:
        """Put a character on the end."""
        if self.typed is not None and character.isprintable() and len(self.typed) < _MOST:
            self.typed += character

    def rub_out(self) -> None:
        """Take the last character away."""
        if self.typed:
            self.typed = self.typed[:-1]

    def say(self, found: str) -> None:
        """Draw it, with what was found."""
        hint = "enter goes there, then n older, N newer; esc ends it"
        self.update(
            Content.assemble(
                (f"search the {self._pane}  /", "$text-muted"),
                (safe_line(self.typed or "", limit=_MOST), "bold $accent"),
                ("▏ ", "$accent"),
                (f"{found}  ", "bold"),
                (hint, "$text-muted"),
            )
        )
