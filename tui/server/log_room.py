"""Room for what a server writes next to its log, set aside ahead of its end: so a disk that somebody fills in mid run
does not take the lines that tell why the server died.

asyncio, in the bench. The server writes to the file by itself and goes on whatever becomes of it; where no more can be
set aside that is said, and what was read stays in memory for the diagnosis.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

ROOM_BYTES = 1024 * 1024
PERIOD_S = 0.5
_KEEP_SIZE = 1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OnNews = Callable[[str, str], None]
"""Takes a text and its level."""


class LogRoom:
    """Of one log, from the start of its server to its end. `close` gives back what was not used."""

    def __init__(self, path: Path, on_news: _OnNews) -> None:
        """Raises OSError where the file cannot be opened."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._on_news = on_news
        self._until = 0
        """Up to here there is room, whatever becomes of the disk."""
        self._short = self._lost = False
        self.look()

    async def watch(self) -> None:
        """See to it again and again, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Set room aside where half of it is used up; tell when there is none to be had, and when there is again."""
        size = os.fstat(self._descriptor).st_size
        if self._until - size > ROOM_BYTES // 2:
            return
        error = _set_aside(self._descriptor, size, ROOM_BYTES)
        if error not in _FULL:
            # A file system that sets nothing aside (EOPNOTSUPP) leaves it at what there is.
            self._until = size + ROOM_BYTES
            if self._short:
                self._on_news("the server's log has room again", "info")
            self._short = self._lost = False
        elif size >= self._until:
            if not self._lost:
                self._on_news(
                    "the disk is full and so is the server's log: what the server says from here on is lost; its last"
                    " lines before are kept in memory",
                    "error",
                )
            self._short = self._lost = True
        elif not self._short:
            self._short = True
            left_kb = (self._until - size) // 1024
            self._on_news(
                f"the disk is full: {left_kb} kB are set aside for the server's log, what it says after that is lost",
                "warning",
            )

    def close(self) -> None:
        """Give back what was not used; the server is to have ended."""
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size)
        except OSError:
            pass  # it is as it is
        finally:
            os.close(self._descriptor)


def _set_aside(descriptor: int, start: int, length: int) -> int:
    """Have the file system keep blocks for this range without making the file longer (fallocate(2)); return errno."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return errno.EOPNOTSUPP
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return 0 if fallocate(descriptor, _KEEP_SIZE, start, length) == 0 else ctypes.get_errno()
