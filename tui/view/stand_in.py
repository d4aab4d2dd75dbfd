"""The last good session in place of one that fails before an audience: in the same screen, marked REPLAY, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tui.session.shelf import summaries
from tui.view.benches import Benches
from tui.view.bridge import SnapshotSource
from tui.view.replaying import ReplaySource

_NEWEST = 100
"""Sessions that are looked at."""


@dataclass(frozen=True, slots=True)
class StandsFor:
    """The session in whose place another is played."""

    session_id: str
    title: str
    read_only: bool


def last_good(profile: str, *, besides: str) -> Path | None:
    """Return the file written last that has a measured cell: one of that profile if there is any, else any.

    `besides`: the id of the session that fails. Blocks: call it from a thread.
    """
    good = [one for one in summaries(_NEWEST) if one.cells_ok and one.session_id != besides]
    of_profile = [one for one in good if one.profile == profile]
    return next((Path(one.file) for one in (*of_profile, *good)), None)


def playing(benches: Benches, path: Path) -> Callable[[], Awaitable[SnapshotSource]]:
    """Return what opens a session and plays it from where its first measured cell began."""

    async def opening() -> SnapshotSource:
        source = await benches.replay(path)
        if isinstance(source, ReplaySource):
            source.seek(await source.first_measured_ns())
            source.toggle_playing()
        return source

    return opening
