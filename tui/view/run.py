"""What the app is looking at, the screen that shows it, and what is left to say of it at the end."""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.safe_text import safe_line
from tui.metrics.snapshot import Snapshot
from tui.profile.settings import Settings
from tui.view.screens.gone import GoneScreen
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.live import LiveScreen
from tui.view.screens.replay import ReplayScreen
from tui.view.script import Script
from tui.view.stand_in import StandsFor
from tui.view.start import Launch


@dataclass(slots=True)
class Run:
    """What the app is looking at, from `enter` in the picker to the way back."""

    title: str
    wish: Launch | None = None
    """How it was launched, when it was launched from here."""
    read_only: bool = False
    replay: bool = False
    presentation: bool = False
    screen: LaunchScreen | LiveScreen | GoneScreen | None = None
    script: Script | None = None
    stands_for: StandsFor | None = None
    """In whose place this session is played."""
    panes_wanted: bool = False
    """The operator looks at the panes of a server that failed."""
    asked_of_unkept: bool = False
    """Whether to go on in memory is asked once."""

    @property
    def on_stage(self) -> bool:
        """Return whether it is shown to an audience."""
        return self.screen.presenting if isinstance(self.screen, LiveScreen) else self.presentation


def live_screen_of(run: Run, settings: Settings) -> LiveScreen:
    """Return the screen that shows a run whose server is up, or a finished session."""
    told = settings.stage
    words_per_token = told.words_per_token if told.words == "words" else None
    if run.replay:
        return ReplayScreen(
            presentation=run.presentation, words_per_token=words_per_token, clipboard=settings.clipboard
        )
    return LiveScreen(
        read_only=run.read_only,
        presentation=run.presentation,
        words_per_token=words_per_token,
        cut_leaving=settings.leaving_users == "cut",
        clipboard=settings.clipboard,
        script=run.script,
        refresh_hz=settings.refresh_hz,
    )


def farewell_of(run: Run, snapshot: Snapshot, *, goes_on: bool) -> str:
    """Return a line for the normal screen: where the session is, and how one comes back to it."""
    session, file = safe_line(snapshot.session_id), safe_line(snapshot.session_file)
    if run.stands_for is not None:
        left = safe_line(run.stands_for.session_id)
        return f"session {left} was left as it is; come back by: vramp attach {left}"
    if run.replay:
        return ""
    if goes_on:
        return f"session {session} goes on; come back by: vramp attach {session}"
    if snapshot.unkept:
        return f"session {session}: {safe_line(snapshot.unkept)}"
    return f"session {session} is kept in {file}; export it by: vramp export {session}"
