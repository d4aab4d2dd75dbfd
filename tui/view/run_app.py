"""The app from outside: opened with the settings, left with an exit code and a last word on the normal screen."""

from __future__ import annotations

import os

from tui.core.errors import ExitCode, in_a_sentence
from tui.core.printing import complain, narrate
from tui.profile.settings import load_settings
from tui.view.app import VrampApp
from tui.view.benches import LocalBenches
from tui.view.start import StartWish


def run_app(*, start: StartWish, theme: str | None = None, ascii_only: bool | None = None) -> int:
    """Open the app and return its exit code; what is left to say goes to stderr. Options win over the settings.

    Raises UsageError for a wrong theme, or settings that cannot be read.
    """
    settings = load_settings()
    if theme is not None:
        settings = settings.model_copy(update={"theme": theme})
    if ascii_only is not None:
        settings = settings.model_copy(update={"ascii": ascii_only})
    app = VrampApp(start, LocalBenches(refresh_hz=settings.refresh_hz), settings=settings)
    result = app.run()
    if app.farewell:
        narrate(app.farewell)
    if app.fault is not None:
        if os.environ.get("VRAMP_TRACEBACK"):
            raise app.fault
        complain(f"{in_a_sentence(app.fault)} (VRAMP_TRACEBACK=1 shows where)")
    if result is not None:
        return int(result)
    return int(app.return_code or ExitCode.OK)
