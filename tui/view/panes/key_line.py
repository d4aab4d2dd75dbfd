"""The lowest line: the keys as they are bound now, the most needed first; a click does what the key does."""

from __future__ import annotations

from textual import events
from textual.binding import ActiveBinding

from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, width_of


class KeyLine(Canvas):
    """Names keys by the ids of their bindings, so that it is true whatever the settings made of them."""

    def __init__(self, names: tuple[tuple[tuple[str, ...], str], ...], *, hidden: frozenset[str | None]) -> None:
        super().__init__(id="keys")
        self._names = names
        self._hidden = hidden
        self._actions: list[tuple[int, int, str, object]] = []
        """From cell, to cell, action, node."""

    def on_mount(self) -> None:
        """Draw, and draw again when the bindings change."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._draw())
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        bound: dict[str, ActiveBinding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.id and active.enabled and active.binding.id not in self._hidden:
                bound.setdefault(active.binding.id, active)
        line: Line = [(" ", Ink.PLAIN)]
        self._actions = []
        for ids, name in self._names:
            known = [bound[one] for one in ids if one in bound]
            keys = [self.app.get_key_display(active.binding) for active in known]
            size = sum(len(key) + 1 for key in keys) + len(name) + 2
            if not known or width_of(line) + size > self.content_size.width:
                continue
            for key, active in zip(keys, known, strict=True):
                start = width_of(line)
                line += [(key, Ink.STEER), (" ", Ink.PLAIN)]
                self._actions.append((start, start + len(key) + 1, active.binding.action, active.node))
            self._actions.append((width_of(line), width_of(line) + len(name), known[0].binding.action, known[0].node))
            line += [(name, Ink.DIM), ("  ", Ink.PLAIN)]
        self.paint([line])

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        for start, end, action, node in self._actions:
            if start <= event.x < end:
                await self.app.run_action(action, node)  # type: ignore[arg-type]  # a DOMNode, as bindings hold it
                return
