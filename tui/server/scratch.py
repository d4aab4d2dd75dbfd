"""The temporary folder of one launch: made by the bench, removed by whichever keeper is left.

Each keeper holds a shared lock on it. Where all of them are killed in one moment it stays behind, unlocked, and goes at
the next launch. Imports little, since the watcher does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path

_NAME = re.compile(r"vramp-server-[0-9a-f]{8}")
_YOUNG_S = 60.0
"""A folder that is younger may not have been locked yet."""


def make_scratch() -> str:
    """Return a new folder of mode 0700; what killed keepers have left goes. Raises OSError (without a number: it is not
    the server's executable that is missing)."""
    try:
        parent = Path(tempfile.gettempdir())
        _remove_left(parent)
        folder = parent / f"vramp-server-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise OSError(0, f"there is no temporary folder for it: {error.strerror or error}") from None
    return str(folder)


def hold_scratch(folder: str) -> None:
    """Keep others from removing it for as long as this process lives."""
    with contextlib.suppress(OSError):  # a file system without locks: its folders are never taken for left ones
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)


def remove_scratch(folder: str) -> None:
    """Remove it with all that is in it; nothing where there is none."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(parent: Path) -> None:
    for path in parent.iterdir():
        if not _NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):  # it is held, or is not ours
            left = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                info = os.fstat(left)
                if info.st_uid == os.getuid() and time.time() - info.st_ctime > _YOUNG_S:
                    fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(left)
