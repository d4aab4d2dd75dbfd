"""A bench of which nothing is heard: it hangs, or was stopped by a signal."""

from __future__ import annotations

import time

UNHEARD_S = 30.0
"""So long is waited before it is told, each time again."""


class Unheard:
    """Says when the bench has been silent for long; all times are those of time.monotonic, in seconds."""

    def __init__(self) -> None:
        self.heard()

    def heard(self) -> None:
        """Something has come."""
        self._heard_s = self._told_s = time.monotonic()

    def news(self, now_s: float) -> str:
        """Return what there is to tell if nothing has come until now; empty = nothing yet."""
        if now_s - self._told_s < UNHEARD_S:
            return ""
        self._told_s = now_s
        return f"no word from the bench for {now_s - self._heard_s:.0f} s"
