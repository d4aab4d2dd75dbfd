"""A finished session as a source of snapshots: at its end, and at any moment before it, by steps or by playing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tui.core.clock import NS_PER_S
from tui.link.protocol import Command, Reply
from tui.metrics.snapshot import Snapshot
from tui.session.reader import SessionReader
from tui.session.references import Beside, beside_session
from tui.session.replay import snapshot as snapshot_at

STEPS = 100
"""A step is this part of a session, and at least a second."""
PLAY_TICK_S = 0.5
FASTEST = 64.0


class ReplaySource:
    """Reads the session file in a thread of its own, one moment at a time; only the latest wished-for is read."""

    def __init__(self, reader: SessionReader, last: Snapshot, thread: ThreadPoolExecutor) -> None:
        self._reader = reader
        self._beside = Beside(last.terms, last.reference)
        self._thread = thread
        self.started_ns = last.started_at_ns
        self.ended_ns = max(last.at_ns, last.started_at_ns)
        self.at_ns = self.ended_ns
        self.playing = False
        self.speed = 1.0
        self._changed = asyncio.Event()
        self._changed.set()
        self._closed = False
        self.why_gone = ""
        self.took_leave = False

    @classmethod
    async def open(cls, path: Path, reference: dict[str, str] | None = None) -> ReplaySource:
        """Open a session file, with another `[reference]` table than its profile's where one is given.

        Raises SessionError.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="replay")
        loop = asyncio.get_running_loop()
        try:
            reader = await loop.run_in_executor(thread, SessionReader, path)
            beside = await loop.run_in_executor(thread, beside_session, reader, reference)
            return cls(reader, await loop.run_in_executor(thread, snapshot_at, reader, None, beside), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def first_measured_ns(self) -> int:
        """Return when the first measured cell began; the session's begin where there is none. Raises SessionError."""
        cells = await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.cells)
        return min((cell.started_at_ns for cell in cells if cell.started_at_ns), default=self.started_ns)

    def step(self, steps: int) -> None:
        """Go so many steps on, or back."""
        step_ns = max(NS_PER_S, (self.ended_ns - self.started_ns) // STEPS)
        self.seek(self.at_ns + steps * step_ns)

    def faster(self) -> None:
        """Play four times as fast, or as it was when that was the fastest."""
        self.speed = self.speed * 4 if self.speed < FASTEST else 1.0
        self._changed.set()

    def toggle_playing(self) -> None:
        """Play, or stop; from the beginning when at the end."""
        self.playing = not self.playing
        if self.playing and self.at_ns >= self.ended_ns:
            self.at_ns = self.started_ns
        self._changed.set()

    def seek(self, at_ns: int) -> None:
        """Go to a moment, or to the nearest that there is."""
        self.at_ns = min(max(at_ns, self.started_ns), self.ended_ns)
        self._changed.set()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the snapshot of each moment that is asked for."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            await self._next_moment()
            if self._closed:
                return
            self._changed.clear()
            at_ns = None if self.at_ns >= self.ended_ns else self.at_ns
            yield await loop.run_in_executor(self._thread, snapshot_at, self._reader, at_ns, self._beside)

    async def _next_moment(self) -> None:
        try:
            async with asyncio.timeout(PLAY_TICK_S if self.playing else None):
                await self._changed.wait()
        except TimeoutError:
            self.seek(self.at_ns + round(PLAY_TICK_S * self.speed * NS_PER_S))
            self.playing = self.playing and self.at_ns < self.ended_ns

    async def request(self, command: Command) -> Reply:
        """Refuse: what is over cannot be steered."""
        return Reply(number=0, ok=False, message="this session is over; it can only be looked at")

    async def close(self) -> None:
        """Close the file."""
        if self._closed:
            return
        self._closed = True
        self._changed.set()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.close)
        self._thread.shutdown(wait=False)
