"""Who writes a session file: an advisory lock on a file beside it, which the kernel lets go when its holder dies.

The lock is not on the session file itself: closing any descriptor of that file would drop SQLite's own locks, and on
NFS flock would collide with them.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from tui.core.errors import SessionError

LOCK_SUFFIX = ".lock"
_TRIES = 25
_PROBE_S = 0.02  # another command's look at the lock lasts microseconds; a bench's hold lasts


def lock_path(session_file: Path) -> Path:
    """Return the path of the lock file of a session file."""
    return session_file.with_name(session_file.name + LOCK_SUFFIX)


class SessionLock:
    """Held as long as a process writes a session file."""

    def __init__(self, session_file: Path) -> None:
        """Take the lock; raises SessionError when another process holds it, OSError when none can be made."""
        self._path = lock_path(session_file)
        for _ in range(_TRIES):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current():
                    return
            except BlockingIOError:
                time.sleep(_PROBE_S)
            except OSError:
                os.close(self._descriptor)
                raise
            os.close(self._descriptor)
        raise SessionError(f"{session_file}: another bench is writing this session")

    def _is_current(self) -> bool:
        # The holder before us may have removed the file between our open and our flock.
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go and leave nothing behind."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # its folder is gone, or has become read-only: the kernel lets go all the same
        os.close(self._descriptor)


def is_live(session_file: Path) -> bool:
    """Say whether some process is writing this session file."""
    try:
        descriptor = os.open(lock_path(session_file), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
