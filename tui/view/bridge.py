"""The view's side of a bench: snapshots in as messages, commands out. All in the view's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from textual.message import Message

from tui.core.errors import BenchLost, VrampError
from tui.link.protocol import Command, Reply, StopBench
from tui.metrics.snapshot import Snapshot

_LAST_MOMENTS_S = 5.0
"""For what a bench does after its last answer: it hangs up and ends, in milliseconds on an idle machine."""


class SnapshotSource(Protocol):
    """Where snapshots of a session come from: a bench's link, or a replay. `BenchLink` is one."""

    @property
    def why_gone(self) -> str:
        """Why there are no more snapshots, as far as it is known; empty while there are."""

    @property
    def took_leave(self) -> bool:
        """Whether it said itself that it ends, as a bench that was killed does not."""

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield snapshots as they come, the latest only; end when there will be no more."""

    async def request(self, command: Command) -> Reply:
        """Send a command and return its reply. Raises BenchLost."""

    async def close(self) -> None:
        """Hang up."""


class SnapshotArrived(Message):
    """A new snapshot; an older one that was not shown yet is dropped."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Replace an older snapshot in the queue, so that a slow terminal never falls behind."""
        return isinstance(message, SnapshotArrived)


class BenchGone(Message):
    """There will be no more snapshots."""

    def __init__(self, reason: str, *, took_leave: bool = False) -> None:
        """`took_leave`: the bench said so itself."""
        self.reason = reason
        self.took_leave = took_leave
        super().__init__()


class Bridge:
    """Pumps one source into the message queue of `post`'s owner."""

    def __init__(self, source: SnapshotSource, post: Callable[[Message], bool], *, read_only: bool = False) -> None:
        self.source = source
        self.read_only = read_only
        self.latest: Snapshot | None = None
        self._post = post
        self._closing = False
        self._over = asyncio.Event()

    async def pump(self) -> None:
        """Post every snapshot, then `BenchGone` unless we hung up ourselves. Runs as a worker."""
        reason = ""
        try:
            async for snapshot in self.source.snapshots():
                self.latest = snapshot
                self._post(SnapshotArrived(snapshot))
        except VrampError as error:  # a lost bench, a session file that is damaged
            reason = str(error)
        finally:
            self._over.set()
        if not self._closing:
            why = reason or self.source.why_gone or "the bench is gone"
            self._post(BenchGone(why, took_leave=self.source.took_leave and not reason))

    async def send(self, command: Command) -> Reply:
        """Return the bench's answer; a lost bench is an answer, too."""
        if self.read_only:
            return Reply(number=0, ok=False, message="this view only looks (--read-only)")
        try:
            return await self.source.request(command)
        except BenchLost as error:
            return Reply(number=0, ok=False, message=str(error))

    async def stop_bench(self) -> None:
        """Have the bench end, and return when it has hung up: from then on no list has it."""
        if (await self.send(StopBench())).ok:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_MOMENTS_S):
                    await self._over.wait()

    def expect_end(self) -> None:
        """From now on the end of the snapshots is as wished, no news."""
        self._closing = True

    async def close(self) -> None:
        """Hang up, within a second whatever the other side does."""
        self._closing = True
        try:
            async with asyncio.timeout(1.0):
                await self.source.close()
        except (TimeoutError, BenchLost):
            pass
