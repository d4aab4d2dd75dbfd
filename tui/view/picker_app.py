"""What the picker asks of the app: its list, and the actions that take files, questions or an editor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual import work
from textual.dom import DOMNode

from tui.core.errors import UsageError, VrampError
from tui.core.paths import user_profiles_dir
from tui.core.safe_text import safe_line
from tui.profile.catalogue import ProfileEntry
from tui.profile.settings import Settings
from tui.view.benches import Benches
from tui.view.catalogue_reading import read_catalogue
from tui.view.chrome import Chrome
from tui.view.profile_actions import ask_new_name, ask_url, attached_entry, copy_profile, edit_profile, open_editor
from tui.view.screens.picker import PickerScreen
from tui.view.start import Launch


class PickerApp(Chrome):
    """An app with a picker in it."""

    def __init__(self, settings: Settings, owners: Sequence[type[DOMNode]], benches: Benches) -> None:
        super().__init__(settings, owners)
        self._benches = benches

    def launch(self, wish: Launch) -> None:
        """Start a bench for a profile and look at it."""
        raise NotImplementedError

    def on_picker_screen_wanted(self, message: PickerScreen.Wanted) -> None:
        """Do what takes files or questions."""
        self._act(message.what, message.entry)

    @work(group="profile-actions", exclusive=True)
    async def _act(self, what: str, entry: ProfileEntry | None) -> None:
        highlight = entry.name if entry else ""
        try:
            if what == "new":
                names = await self.push_screen_wait(ask_new_name())
                if names is None:
                    return
                highlight = names[0]
                await open_editor(self, user_profiles_dir() / f"{highlight}.toml")
            elif entry is not None and what == "edit":
                path = await edit_profile(self, entry)
                if entry.shipped:
                    self.notify(f"your own copy: {path}", markup=False)
            elif entry is not None and what == "copy":
                self.notify(f"copied to {await copy_profile(entry)}", markup=False)
            elif entry is not None and what == "attach":
                answers = await self.push_screen_wait(ask_url(entry))
                if answers is not None:
                    self.launch(Launch(attached_entry(entry, *answers)))
                return
        except UsageError as error:
            self.notify(safe_line(str(error), limit=300), severity="warning", markup=False)
        await self._reload(highlight)

    async def _reload(self, highlight: str = "") -> None:
        try:
            reading = await asyncio.to_thread(read_catalogue, self._benches.running)
        except (VrampError, OSError) as error:
            self.notify(safe_line(str(error), limit=300), severity="error", timeout=30, markup=False)
            return
        for screen in self.screen_stack:
            if isinstance(screen, PickerScreen) and screen.is_mounted:
                screen.show(reading, highlight=highlight)
