"""A bench that says what the test tells it to, for tests of the app without processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from tui.core.errors import BenchLost, VrampError
from tui.link.launcher import RunningBench
from tui.link.protocol import Command, Reply, StopBench
from tui.metrics.snapshot import Snapshot
from tui.profile.catalogue import ProfileEntry
from tui.view.start import Launch


class FakeSource:
    """A line to a bench: `say` sends snapshots down, `requests` holds what came up, `lose` cuts it."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._down: asyncio.Queue[Snapshot | None] = asyncio.Queue()
        self.requests: list[Command] = []
        self.closed = False
        self.lost = ""
        self.why_gone = ""
        self.took_leave = False
        self.answer = Reply(number=1, ok=True)
        for snapshot in snapshots:
            self.say(snapshot)

    def say(self, snapshot: Snapshot) -> None:
        """Send a snapshot down."""
        self._down.put_nowait(snapshot)

    def lose(self, reason: str) -> None:
        """Be gone."""
        self.lost = reason
        self._down.put_nowait(None)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield what was said."""
        while (snapshot := await self._down.get()) is not None:
            yield snapshot
        if self.lost:
            raise BenchLost(self.lost)

    async def request(self, command: Command) -> Reply:
        """Keep the command."""
        if self.lost:
            raise BenchLost(self.lost)
        self.requests.append(command)
        if isinstance(command, StopBench):
            self.say_farewell()
        return self.answer

    def say_farewell(self) -> None:
        """Hang up once it was told to end."""
        self._down.put_nowait(None)

    async def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._down.put_nowait(None)


class FakeBenches:
    """All benches of a machine: each launch and each attach gets `source`, or `refusal`."""

    def __init__(
        self, source: FakeSource | None = None, *, refusal: str = "", benches: list[str] | None = None
    ) -> None:
        self.source = source or FakeSource()
        self.refusal = refusal
        self.launched: list[tuple[ProfileEntry, str]] = []
        self.attached: list[tuple[Path, bool]] = []
        self._running = [RunningBench(name, Path(f"/run/{name}.sock")) for name in benches or []]

    async def launch(self, wish: Launch) -> FakeSource:
        """Start the one bench there is."""
        self.launched.append((wish.entry, wish.start))
        if self.refusal:
            raise VrampError(self.refusal)
        return self.source

    async def attach(self, socket_path: Path, *, read_only: bool) -> FakeSource:
        """Open a line to it."""
        self.attached.append((socket_path, read_only))
        if self.refusal:
            raise BenchLost(self.refusal)
        return self.source

    async def replay(self, path: Path, reference: dict[str, str] | None = None) -> FakeSource:
        """Open a session."""
        return self.source

    def running(self) -> list[RunningBench]:
        """Return those the test named."""
        return self._running
