"""Files that are there as a whole or not at all: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tui.core.errors import UsageError

LOG_ROOM_BYTES = 16 * 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def atomic_file(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file to become `path` when the block ends well; line ends are written as they come.

    What a killed process left unfinished of the same file goes. Raises UsageError when the folder cannot be written, or
    the disk is full; `path` is then as it was.
    """
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r}: found a NUL, which no path can hold")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(path)
        temporary, descriptor = _open_part(path)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a descriptor, no path
                yield file
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def _open_part(path: Path) -> tuple[Path, int]:
    """Open a file beside `path`, locked for as long as it is open: so it is told from one that was left."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(part, _NEW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return part, descriptor  # a file system without locks
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # another process took it for one that was left, before it was locked


def _remove_unfinished(path: Path) -> None:
    of_this_file = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part")
    for left in path.parent.iterdir():
        if not of_this_file.fullmatch(left.name):
            continue
        with contextlib.suppress(OSError):  # it is being written, or is not ours to remove
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(descriptor)


def write_new_file(path: Path, content: bytes) -> None:
    """Write a file whose name is free. Raises FileExistsError where it is not, UsageError as `atomic_file` does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    try:
        os.close(os.open(path, _NEW, 0o666))  # the name is ours from here on
    except FileExistsError:
        raise
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    try:
        with atomic_file(path) as file:
            file.buffer.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def log_file(path: Path) -> Path:
    """Return `path` as a file that programs can append to; where it cannot be, one in memory, for as long as we live.

    Nor is it on a disk that is all but full: what a server says last tells why it died. Raises OSError where neither
    can be had.
    """
    try:
        path.touch(mode=0o600)
        with path.open("ab"):
            room = os.statvfs(path)
        if room.f_bavail * room.f_frsize >= LOG_ROOM_BYTES:
            return path
    except OSError:
        if not hasattr(os, "memfd_create"):
            raise
    # Never closed: whoever opens it by this path does so as long as this process runs.
    return Path(f"/proc/{os.getpid()}/fd/{os.memfd_create(path.name)}")


def _cannot_be_written(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be written: {error.strerror or error}")
