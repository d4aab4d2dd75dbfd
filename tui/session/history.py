"""What is done with sessions that are kept: looked for, noted upon, named otherwise, found to be old."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tui.core.errors import SessionError, UsageError
from tui.core.known_secrets import hide_known
from tui.core.safe_text import safe_line
from tui.core.secrets import NOT_KEPT, hide_in_text
from tui.session import shelf
from tui.session.database import SUFFIX
from tui.session.lock import SessionLock, is_live
from tui.session.session_file import change_facts
from tui.session.session_summary import SessionSummary

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_AGE = re.compile(r"(\d{1,6})\s*(min|h|d|w)")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions are looked for; what is empty or None is any."""

    profile: str = ""
    since: datetime | None = None
    outcome: str = ""
    """A state (running, ended, killed, unreadable), "failed", or how a cell or the server ended, as oom-kv."""
    text: str = ""
    """Anywhere in its line: id, profile, note, how it ended, why it failed; capitals do not count."""

    def __call__(self, one: SessionSummary) -> bool:
        """Say whether a session is one of them."""
        if self.profile and one.profile != self.profile:
            return False
        if self.since is not None and not _begun_since(one, self.since):
            return False
        known = {one.state, *one.outcomes, *filter(None, (one.failure, "failed" if one.failure else ""))}
        if self.outcome and self.outcome not in known:
            return False
        told = (one.session_id, one.profile, one.note, one.ended_how, one.failure, one.problem, *one.outcomes)
        return self.text.casefold() in "\n".join(told).casefold()


def _begun_since(one: SessionSummary, since: datetime) -> bool:
    try:
        begun = datetime.fromisoformat(one.started_at)
    except ValueError:
        return False
    return (begun if begun.tzinfo else begun.replace(tzinfo=UTC)) >= since


def matching(sessions: Iterable[SessionSummary], wanted: Wanted) -> list[SessionSummary]:
    """Return those that are wanted."""
    return list(filter(wanted, sessions))


def age_of(text: str) -> timedelta:
    """Return an age such as 90min, 12h, 30d or 2w. Raises UsageError."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"found {safe_line(text, limit=40)!r}, expected an age as 90min, 12h, 30d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def moment_of(text: str, now: datetime) -> datetime:
    """Return a moment: a date or time (UTC where it names no zone), or an age before `now`. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return now - age_of(text)
        except (UsageError, OverflowError):
            said = safe_line(text, limit=40)
            raise UsageError(f"found {said!r}, expected a date as 2026-11-20, or an age as 12h, 30d or 2w") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def note(path: Path, text: str) -> str:
    """Write a note into a session file, in the place of an earlier one; "" takes it away. Return it as it was kept.

    Raises SessionError for a session that a bench is writing, a damaged one, or where it cannot be written.
    """
    kept = safe_line(hide_in_text(hide_known(text, NOT_KEPT), NOT_KEPT), limit=shelf.NOTE_LIMIT).strip()
    change_facts(path, note=kept)
    return kept


def rename(path: Path, name: str) -> Path:
    """Give a session, with its logs, another name in the same folder, and return its new path.

    Raises UsageError for a name that no session can have, SessionError for one that is taken, for a session that a
    bench is writing, or where it cannot be done.
    """
    if path.suffix != SUFFIX:
        raise SessionError(f"{path}: expected a session file, *{SUFFIX}")
    if not _NAME.fullmatch(name) or name == shelf.LATEST or name.endswith(SUFFIX):
        said = safe_line(name, limit=120)
        raise UsageError(
            f"found {said!r}, expected letters, digits, dots, dashes and underscores, and not {shelf.LATEST}"
        )
    new = path.with_name(name + SUFFIX)
    moves = [(path, new), *zip(shelf.log_files(path), shelf.log_files(new), strict=True)]
    for old, other in moves:
        if other.exists() and old.exists():
            raise SessionError(f"{other}: there is a file of that name already")
    change_facts(path, session_id=name)
    if path.with_name(path.name + "-wal").exists():
        raise SessionError(f"{path}: another program has it open; close that first")
    try:
        lock = SessionLock(path)
        try:
            for old, other in reversed(moves):  # the session last: until then it is found by its old name
                if old.exists():
                    old.rename(other)
        finally:
            lock.release()
    except OSError as error:
        raise SessionError(f"{path}: cannot be renamed: {error.strerror}") from None
    return new


def older_than(age: timedelta, now: datetime) -> list[Path]:
    """Return the session files that were written last before so long; none that a bench is writing."""
    try:
        before_s = (now - age).timestamp()
    except OverflowError:
        return []
    return [path for path in shelf.session_files() if shelf.written_s(path) < before_s and not is_live(path)]
