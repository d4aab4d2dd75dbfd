"""The server launched again after it died, once for whoever waits for it."""

from __future__ import annotations

import asyncio

from tui.bench.asking import Asking
from tui.bench.system_under_test import SystemUnderTest
from tui.core.errors import LaunchError
from tui.core.tasks import background, end_task


class Relaunch:
    """At most one launch at a time; it goes on whatever the operator does meanwhile."""

    def __init__(self, testbed: SystemUnderTest, asking: Asking) -> None:
        self._testbed = testbed
        self._asking = asking
        self._launching: asyncio.Task[Exception | None] | None = None
        self._waiting = 0

    @property
    def under_way(self) -> bool:
        """Say whether the server is being launched again."""
        return self._launching is not None and not self._launching.done()

    async def wait(self) -> None:
        """Have the server launched again, or wait until it is. Raises LaunchError.

        What was asked of the one before is over with it.
        """
        self._asking.standing_since_ns = None
        if self._launching is None or self._launching.done():
            self._launching = background(self._launch(), name="relaunch")
        self._waiting += 1
        try:
            error = await asyncio.shield(self._launching)
        finally:
            self._waiting -= 1
        if error is not None:
            raise error
        self._asking.begin_with_nothing()

    async def close(self) -> None:
        """End a launch that is under way."""
        if self._launching is not None:
            await end_task(self._launching)
            self._launching = None

    async def _launch(self) -> Exception | None:
        """Return what went wrong, for whoever waits; a fault that nobody waits for is told by the task itself."""
        try:
            await self._testbed.relaunch()
        except LaunchError as error:
            return error
        except Exception as error:
            if not self._waiting:
                raise
            return error
        return None
