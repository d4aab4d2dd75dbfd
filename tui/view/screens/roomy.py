"""A screen that says in a plain sentence that its terminal is too small, instead of drawing half of itself."""

from __future__ import annotations

from textual import events
from textual.screen import Screen
from textual.widgets import Static

LEAST_WIDTH, LEAST_HEIGHT = 60, 16


class RoomyScreen(Screen[None]):
    """Hides all but that sentence while there is no room."""

    DEFAULT_CSS = """
    RoomyScreen > #too-small { display: none; }
    RoomyScreen.-small > * { display: none; }
    RoomyScreen.-small > #too-small { display: block; width: 1fr; height: auto; }
    """

    def on_mount(self) -> None:
        """Have the sentence at hand."""
        self.mount(Static(id="too-small", markup=False))
        self._look()

    def on_resize(self, _: events.Resize) -> None:
        """See whether there is room."""
        self._look()

    def _look(self) -> None:
        width, height = self.app.size  # its own is less a padding
        small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        self.set_class(small, "-small")
        for sentence in self.query("#too-small").results(Static):
            needs = f"vramp needs {LEAST_WIDTH} x {LEAST_HEIGHT} cells, this terminal has {width} x {height}."
            sentence.update(needs)
