"""What the view does with the benches of this machine: start one, find them, connect. Faked in the view's tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from tui.core.errors import VrampError
from tui.link.client import BenchLink
from tui.link.launcher import RunningBench, StartingBench, running
from tui.view.bridge import SnapshotSource
from tui.view.replaying import ReplaySource
from tui.view.start import Launch


class Benches(Protocol):
    """All that the app asks of the world below it, apart from reading files."""

    async def launch(self, wish: Launch) -> SnapshotSource:
        """Start a bench for a profile, unless it was started already, and open a line to it. Raises VrampError.

        Called off (cancelled), it leaves no bench, no server and no session, whatever the moment.
        """

    async def attach(self, socket_path: Path, *, read_only: bool) -> SnapshotSource:
        """Open a line to a bench that runs. Raises BenchLost."""

    async def replay(self, path: Path, reference: dict[str, str] | None = None) -> SnapshotSource:
        """Open a session file. Raises SessionError."""

    def running(self) -> list[RunningBench]:
        """Return the benches that answer. Blocks: call it from a thread."""


class LocalBenches:
    """The benches of this user on this machine."""

    def __init__(self, *, refresh_hz: float = 2.0) -> None:
        self._refresh_hz = refresh_hz

    async def launch(self, wish: Launch) -> SnapshotSource:
        """Start a bench that outlives this view, unless it was started already, and open a line to it."""
        starting = asyncio.create_task(wish.started(), name="start-bench")
        try:
            bench = await asyncio.shield(starting)
            return await self.attach(await bench.listening(), read_only=False)
        except asyncio.CancelledError:
            await asyncio.shield(_abandon(starting))
            raise

    async def attach(self, socket_path: Path, *, read_only: bool) -> SnapshotSource:
        """Open a line to a bench that runs."""
        return await BenchLink.connect(socket_path, read_only=read_only, refresh_hz=self._refresh_hz)

    async def replay(self, path: Path, reference: dict[str, str] | None = None) -> SnapshotSource:
        """Open a session file as a source of snapshots, beside another reference than its profile's if one is given."""
        return await ReplaySource.open(path, reference)

    def running(self) -> list[RunningBench]:
        """Return the benches that answer."""
        return running()


async def _abandon(starting: asyncio.Task[StartingBench]) -> None:
    try:
        bench = await starting
    except (VrampError, OSError):
        return  # it came to nothing by itself
    await asyncio.to_thread(bench.abandon)
