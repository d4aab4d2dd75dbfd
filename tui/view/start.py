"""What the app is opened on. Values only, so that the command line can say it without drawing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui.profile.catalogue import ProfileEntry


@dataclass(frozen=True, slots=True)
class Picker:
    """The list of profiles."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A profile, at once."""

    entry: ProfileEntry
    start: str = "idle"
    """What the bench does when its server is ready: idle, sweep, ramp."""
    stage: bool = False
    time_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Attach:
    """A bench that runs."""

    socket_path: Path
    read_only: bool = False
    stage: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """A finished session."""

    path: Path
    stage: bool = False


StartWish = Picker | Launch | Attach | Replay


def demo(entry: ProfileEntry, *, ramp: bool = True, stage: bool = False, time_scale: float = 1.0) -> Launch:
    """Return the wish for the demo: the simulated server, its grid filling by itself unless `ramp` is off."""
    return Launch(entry, start="sweep" if ramp else "idle", stage=stage, time_scale=time_scale)
