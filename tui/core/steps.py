"""Long work done in steps of some milliseconds, so that the event loop it is done in has its turn between them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Steps: TypeAlias = Generator[None, None, _T]
"""Work that stops at each `yield`, and what comes of it."""


def at_once(steps: Steps[_T]) -> _T:
    """Do all steps one after the other; return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result


async def in_turns(steps: Steps[_T]) -> _T:
    """Do a step whenever the loop has done what else was due; return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
        await asyncio.sleep(0)
