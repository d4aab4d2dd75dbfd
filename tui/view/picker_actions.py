"""What the picker asks of the app: its list, and the actions that take files, questions or an editor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.app import App

from tui.core.errors import UsageError, VrampError
from tui.core.paths import user_profiles_dir
from tui.core.safe_text import safe_line
from tui.profile.catalogue import ProfileEntry
from tui.view.benches import Benches
from tui.view.catalogue_reading import read_catalogue
from tui.view.profile_actions import ask_copy_name, ask_new_name, ask_server, attached_entry, edit_profile, open_editor
from tui.view.screens.picker import PickerScreen
from tui.view.start import Launch


class PickerActions:
    """Carries out for an app what its picker asks for, one thing at a time."""

    def __init__(self, app: App[int], benches: Benches, launch: Callable[[Launch], None]) -> None:
        """`launch` starts a bench for a profile and looks at it."""
        self._app = app
        self._benches = benches
        self._launch = launch

    def start(self, wanted: PickerScreen.Wanted) -> None:
        """Begin what the picker asks for; returns at once."""
        self._app.run_worker(self._carry_out(wanted.what, wanted.entry), group="profile-actions", exclusive=True)

    async def _carry_out(self, what: str, entry: ProfileEntry | None) -> None:
        highlight = entry.name if entry else ""
        try:
            if what == "new":
                names = await self._app.push_screen_wait(ask_new_name())
                if names is None:
                    return
                highlight = names[0]
                await open_editor(self._app, user_profiles_dir() / f"{highlight}.toml")
            elif entry is not None and what == "edit":
                path = await edit_profile(self._app, entry)
                if entry.shipped:
                    self._app.notify(f"your own copy: {path}", markup=False)
            elif entry is not None and what == "copy":
                names = await self._app.push_screen_wait(ask_copy_name(entry))
                if names is None:
                    return
                highlight = names[0]
                self._app.notify(f"copied to {user_profiles_dir() / highlight}.toml", markup=False)
            elif entry is not None and what == "attach":
                wanted = await self._app.push_screen_wait(ask_server(entry))
                if wanted is not None:
                    self._launch(Launch(attached_entry(entry, wanted)))
                return
        except UsageError as error:
            self._app.notify(safe_line(str(error), limit=300), severity="warning", markup=False)
        await self._reload(highlight)

    async def _reload(self, highlight: str) -> None:
        try:
            reading = await asyncio.to_thread(read_catalogue, self._benches.running)
        except (VrampError, OSError) as error:
            self._app.notify(safe_line(str(error), limit=300), severity="error", timeout=30, markup=False)
            return
        for screen in self._app.screen_stack:
            if isinstance(screen, PickerScreen) and screen.is_mounted:
                screen.show(reading, highlight=highlight)
