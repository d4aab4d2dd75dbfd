"""A burst or a plan under way: what each worker still owes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tui.load.member import Member


class Errand:
    """Spread over some workers; over when each has said so, or is gone."""

    def __init__(self, parts: Sequence[tuple[Member, int]]) -> None:
        """`parts`: each worker with how many requests it is to send."""
        self._parts = {member: (requests, member.requests_over) for member, requests in parts}
        self._unready = {member for member, _ in parts}
        self._under_way = set(self._unready)
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self.dropped = 0
        """Requests that were to be sent and were not."""
        self.sent = 0

    def owes(self, member: Member) -> bool:
        """Say whether `member` has a part in this and is not done with it."""
        return member in self._under_way

    def on_ready(self, member: Member) -> None:
        """Take it that a worker's connections are open."""
        self._unready.discard(member)
        if not self._unready:
            self.ready.set()

    def on_over(self, member: Member, dropped: int | None = None) -> None:
        """Take it that a worker's part is over; `dropped`: None = the worker is gone, so all that it did not send."""
        requests, over_before = self._parts[member]
        sent = member.requests_over - over_before
        self.sent += sent
        self.dropped += max(0, requests - sent) if dropped is None else dropped
        self.on_ready(member)
        self._under_way.discard(member)
        if not self._under_way:
            self.over.set()

    def abandon(self) -> None:
        """Let whoever waits go on: there is nobody left to wait for."""
        self.ready.set()
        self.over.set()
