"""What the live screen's keys do in panes that are lists: filter, search, go back and follow; and copying any pane."""

from __future__ import annotations

import os

from textual import events

from tui.core.errors import VrampError
from tui.core.safe_text import safe_line
from tui.view.clipboard import Wish, copy
from tui.view.panes.list_pane import ListPane
from tui.view.panes.pane import Pane
from tui.view.screens.search_line import SearchLine
from tui.view.screens.steering import SteeringScreen


class LookingUpScreen(SteeringScreen):
    """What draws it has a `SearchLine`, panes, of which one is active, and shows that one when asked to."""

    clipboard: Wish = "auto"
    """Where copies go, by the settings."""
    active: Pane
    panes: list[Pane]

    def _activate(self, pane: Pane) -> None:
        """Make a pane the active one."""
        raise NotImplementedError

    @property
    def _search(self) -> SearchLine:
        return self.query_one(SearchLine)

    @property
    def _list(self) -> ListPane | None:
        return self.active if isinstance(self.active, ListPane) else None

    def on_key(self, event: events.Key) -> None:
        """Keep the letters of a search, from the key that opens its line on."""
        if self._field.is_open:
            return
        active = self.active_bindings.get(event.key)
        if self._search.is_open:
            event.stop()
            event.prevent_default()
            self._take_letter(event)
        elif active is not None and active.binding.action == "search":
            event.stop()
            event.prevent_default()
            self.action_search()

    def action_search(self) -> None:
        """Type words to look for: in the active pane if it is a list, else in the log."""
        if self._list is None:
            self._activate(next(pane for pane in self.panes if isinstance(pane, ListPane) and pane.NEWEST_BELOW))
        self._search.open(self.active.NAME)

    def _take_letter(self, event: events.Key) -> None:
        line, pane = self._search, self._list
        if pane is None:
            line.close()
            return
        match event.key:
            case "enter":
                line.close()
                self.action_find(1)
                return
            case "escape":
                line.close()
                pane.find("")
                return
            case "backspace":
                line.rub_out()
            case _:
                line.type(event.character or "")
        found = pane.find(line.typed or "")
        line.say(f"{found} row{'' if found == 1 else 's'}" if line.typed else "")

    def action_find(self, step: int) -> None:
        """Go to the next row, older (1) or newer (-1), that holds what was searched for."""
        pane = self._list
        if pane is None or not pane.words:
            self.notify("nothing is searched for; / does", timeout=2, markup=False)
            return
        which, of = pane.find_next(step)
        said = f"row {which} of {of}" if of else "no row"
        self.notify(f"{safe_line(pane.words)}: {said}", timeout=3, markup=False)

    def action_filter(self) -> None:
        """Show the next filter of the active pane, where it has any."""
        if self._list is None:
            self.notify("requests and log have filters: go there first", timeout=2, markup=False)
        else:
            self.notify(f"{self.active.NAME}: {self._list.next_filter()}", timeout=2, markup=False)

    def action_end_of_list(self, which: int) -> None:
        """Go to the lower (1) or the upper (-1) end of the active pane."""
        if self._list is not None:
            self._list.go_to_end(newest=(which > 0) == self._list.NEWEST_BELOW)

    def action_copy(self) -> None:
        """Copy the active pane as text, and say where to."""
        try:
            said = copy(
                self.app, self.active.as_text(), self.active.NAME, wish=self.clipboard, environ=dict(os.environ)
            )
        except (VrampError, OSError) as error:
            self.notify(safe_line(str(error), limit=300), severity="error", markup=False)
        else:
            self.notify(safe_line(said, limit=300), timeout=4, markup=False)
