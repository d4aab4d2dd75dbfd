"""A burst or a plan under way: what each worker still owes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tui.load.worker_handle import WorkerHandle


class Assignment:
    """Spread over some workers; over when each has said so, or is gone."""

    def __init__(self, parts: Sequence[tuple[WorkerHandle, int]]) -> None:
        """`parts`: each worker with how many requests it is to send."""
        self._parts = {handle: (requests, handle.requests_over) for handle, requests in parts}
        self._unready = {handle for handle, _ in parts}
        self._under_way = set(self._unready)
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self.dropped = 0
        """Requests that were to be sent and were not."""
        self.sent = 0

    def owes(self, handle: WorkerHandle) -> bool:
        """Say whether `handle` has a part in this and is not done with it."""
        return handle in self._under_way

    def on_ready(self, handle: WorkerHandle) -> None:
        """Take it that a worker's connections are open."""
        self._unready.discard(handle)
        if not self._unready:
            self.ready.set()

    def on_over(self, handle: WorkerHandle, dropped: int | None = None) -> None:
        """Take it that a worker's part is over; `dropped`: None = the worker is gone, so all that it did not send."""
        requests, over_before = self._parts[handle]
        sent = handle.requests_over - over_before
        self.sent += sent
        self.dropped += max(0, requests - sent) if dropped is None else dropped
        self.on_ready(handle)
        self._under_way.discard(handle)
        if not self._under_way:
            self.over.set()

    def abandon(self) -> None:
        """Let whoever waits go on: there is nobody left to wait for."""
        self.ready.set()
        self.over.set()
