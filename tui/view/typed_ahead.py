"""Keys in the order they were typed, each for the screen that the ones before it have brought up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen

Result = TypeVar("Result")

_PATIENCE_S = 1.0
"""How long a key may take before the next is handed on all the same: what closes while it has a key never answers."""
_SCREENS_IN_A_ROW = 4
"""A key that brings up more screens than this, one over the other, is not waited for any longer."""


class TypedAhead(App[Result]):
    """An app that acts on one key after the other.

    Textual hands a key to whatever has the focus when it is read. Keys that come in one read (a fast hand, a slow line,
    a paste of `/name` and enter) then all reach the screen that is up before the first of them was acted on: a name
    typed into a search would be a row of commands. Here a key waits until its predecessors, and the screens that came
    of them, have been dealt with.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._typed: deque[events.Key] = deque()
        self._key_under_way = False

    async def on_event(self, event: events.Event) -> None:
        """Act on a key, or keep it until its turn comes; everything else goes its way."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_under_way:
            self._typed.append(event)
        else:
            self._key_under_way = True
            target, screen = self.focused or self.screen, self.screen
            await super().on_event(event)
            self.run_worker(self._go_on(target, screen), group="typed-ahead")

    async def _go_on(self, target: DOMNode, screen: Screen[object]) -> None:
        """Wait for a key to be done with, then act on those that came meanwhile."""
        try:
            await self._done_with(target, screen)
            while self._typed:
                event = self._typed.popleft()
                target, screen = self.focused or self.screen, self.screen
                await super().on_event(event)
                await self._done_with(target, screen)
        finally:
            self._key_under_way = False

    async def _done_with(self, target: DOMNode, screen: Screen[object]) -> None:
        """Wait until a key has gone from what had the focus up to the app, and what it brought up can take the next."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await _passed(target)
                for _ in range(_SCREENS_IN_A_ROW):
                    if self.screen is screen:
                        break
                    screen = self.screen
                    await _passed(screen)
        except TimeoutError:
            pass


async def _passed(node: DOMNode) -> None:
    """Wait until a node, and then each of those above it, has dealt with all messages that it has now."""
    for each in list(node.ancestors_with_self):
        reached = asyncio.Event()
        if each.call_later(reached.set):
            await reached.wait()
