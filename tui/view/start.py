"""What the app is opened on; imports nothing that draws, so that a bench can start while that is still loading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from tui.core.errors import UsageError
from tui.link.launcher import StartingBench, spec_for
from tui.link.protocol import BenchSpec
from tui.profile.catalogue import ProfileEntry, profile_text
from tui.profile.demo_table import DemoTable
from tui.profile.settings import load_settings


@dataclass(frozen=True, slots=True)
class Picker:
    """The list of profiles."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A profile, at once."""

    entry: ProfileEntry
    start: str = "idle"
    """What the bench does when its server is ready: idle, sweep, ramp."""
    presentation: bool = False
    time_scale: float = 1.0
    script: DemoTable | None = None
    """What is shown step by step, in place of the profile's own."""
    bench: StartingBench | None = None
    """The bench, where it was started already."""

    def begun(self) -> Launch:
        """Return this wish with its bench on its way. Raises UsageError for a profile with mistakes."""
        return replace(self, bench=StartingBench(self._spec()))

    async def started(self) -> StartingBench:
        """Return its bench on its way; starts it where that was not done. Raises UsageError."""
        if self.bench is not None:
            return self.bench
        return await asyncio.to_thread(lambda: StartingBench(self._spec()))

    def abandon(self) -> None:
        """End a bench that nobody will look at."""
        if self.bench is not None:
            self.bench.abandon()

    def _spec(self) -> BenchSpec:
        if self.entry.profile is None:
            raise UsageError("\n".join(self.entry.problems))
        settings = load_settings()
        return spec_for(
            self.entry.profile,
            profile_toml=profile_text(self.entry),
            profile_path=self.entry.path,
            start=self.start,
            linger=True,
            unattended_s=settings.unattended_s,
            users_return=settings.users_after_relaunch == "return",
            time_scale=self.time_scale,
        )


@dataclass(frozen=True, slots=True)
class Attach:
    """A bench that runs."""

    socket_path: Path
    read_only: bool = False
    presentation: bool = False
    script: DemoTable | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A finished session."""

    path: Path
    presentation: bool = False
    reference: dict[str, str] | None = None
    """A `[reference]` table instead of its profile's."""


StartWish = Picker | Launch | Attach | Replay


def demo(
    entry: ProfileEntry,
    *,
    ramp: bool = True,
    presentation: bool = False,
    time_scale: float = 1.0,
    script: DemoTable | None = None,
) -> Launch:
    """Return the wish for the demo: the simulated server, its grid filling by itself unless `ramp` is off.

    With a script it is on stage, and nothing fills by itself.
    """
    start = "sweep" if ramp and script is None else "idle"
    on_stage = presentation or script is not None
    return Launch(entry, start=start, presentation=on_stage, time_scale=time_scale, script=script)
