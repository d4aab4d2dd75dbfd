"""Sessions that were deleted in the app: kept aside for a while, so that it can be undone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tui.core.errors import SessionError
from tui.session import shelf
from tui.session.database import SUFFIX
from tui.session.lock import SessionLock

KEPT_S = 24 * 3600.0
_NAME = ".deleted"


def put_away(path: Path) -> Path:
    """Move a session, with all that lies beside it under its name but exports, out of every list; return where to.

    Raises SessionError for one that a bench is writing, for what is not named as a session file, or where that cannot
    be done.
    """
    if path.suffix != SUFFIX:
        raise SessionError(f"{path}: expected a session file, *{SUFFIX}")
    folder = path.with_name(_NAME)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = SessionLock(path)
        try:
            away = _own(folder, path.stem)
            away.mkdir(mode=0o700)
            for one in (*shelf.beside(path), path):  # the session last: until then it is on its shelf
                if one.exists():
                    one.rename(away / one.name)
        finally:
            lock.release()
    except OSError as error:
        raise SessionError(f"{path}: cannot be deleted: {error.strerror}") from None
    return away / path.name


def put_back(away: Path) -> Path:
    """Undo `put_away` of what lies there now; return where the session is. Raises SessionError where it cannot be."""
    back = away.parent.parent.with_name(away.name)
    try:
        moves = [(one, back.with_name(one.name)) for one in sorted(away.parent.iterdir())]
        if any(new.exists() for _, new in moves):
            raise SessionError(f"{back}: there is a file of that name again")
        for old, new in moves:
            old.rename(new)
        away.parent.rmdir()
    except OSError as error:
        raise SessionError(f"{back}: cannot be brought back: {error.strerror}") from None
    return back


def latest(sessions: Path) -> Path | None:
    """Return what was put away last of the sessions of that folder, for `put_back`; None where nothing is there."""
    try:
        away = [one for one in (sessions / _NAME).iterdir() if one.is_dir() and not one.is_symlink()]
        away.sort(key=lambda one: one.lstat().st_mtime_ns, reverse=True)
        found = (next(one.glob(f"*{SUFFIX}"), None) for one in away)
        return next((path for path in found if path is not None), None)
    except OSError:
        return None


def empty(sessions: Path, older_than_s: float = KEPT_S) -> int:
    """Remove what was put away longer ago than that, for good; return how many sessions. What cannot be, stays."""
    gone = 0
    try:
        there = list((sessions / _NAME).iterdir())
    except OSError:
        return 0
    for one in there:
        try:
            old = time.time() - one.lstat().st_mtime > older_than_s
        except OSError:
            continue
        if old and one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
            gone += not one.exists()
    return gone


def _own(folder: Path, name: str) -> Path:
    """Return a folder for one session, which is not there yet."""
    places = (folder / (name if number == 0 else f"{name}.{number}") for number in range(1000))
    return next(place for place in places if not place.exists())
