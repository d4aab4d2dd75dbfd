"""Whether a bench is wanted by somebody: what nobody looks at any more ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

# A bench that nobody ever looked at has lost the front end that started it.
FIRST_FRONT_END_S = 30.0


class FrontEnds(Protocol):
    """Those that look at a bench."""

    @property
    def busy(self) -> bool:
        """Whether one looks now."""

    ever_busy: bool
    """Whether one ever did."""


class Attendance:
    """Says when a session is to end since nobody wants it; one that was left on purpose (detached) goes on."""

    def __init__(self, end: Callable[[str], None], *, lingers: bool, unattended_s: float) -> None:
        """`lingers`: it outlives its last front end, while it has something to do and for `unattended_s` after."""
        self._end = end
        self._lingers = lingers
        self._unattended_s = unattended_s
        self._detached = False
        self._wanted_at_s = time.monotonic()
        """When last somebody looked at it, or it had something to do."""

    def starter_gone(self, front_ends: FrontEnds) -> None:
        """Take note that the process which started the bench is gone."""
        if not front_ends.ever_busy:
            self._end("its front end went away before it had looked")

    def last_left(self, detached: bool) -> None:
        """Take note that the last front end has left."""
        self._detached = detached
        if not (detached or self._lingers):
            self._end("its front end went away")

    def check_first(self, front_ends: FrontEnds) -> None:
        """End what nobody has looked at in the time given (`FIRST_FRONT_END_S`)."""
        if not front_ends.ever_busy:
            self._end("no front end came")

    def check(self, front_ends: FrontEnds, *, is_working: bool) -> None:
        """End a lingering session that nobody looks at and that has nothing to do."""
        if front_ends.busy or self._detached or is_working:
            self._wanted_at_s = time.monotonic()
        elif time.monotonic() - self._wanted_at_s > self._unattended_s:
            self._end(f"nobody looked at it and nothing ran for {self._unattended_s:.0f} s")
