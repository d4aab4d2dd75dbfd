"""The SQLite side of writing a session: making the file, going on with one, filling it, and copying it into memory.

With `database`, which reads, the only importer of sqlite3. For `tui.session.store`, which decides what happens when
something here fails: OSError, SessionError and sqlite3.Error are raised as they come.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from tui.core.clock import NS_PER_US
from tui.core.errors import SessionError
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import ServerStatus
from tui.session.checksum import new_mark, seal
from tui.session.database import APPLICATION_ID, CHECKSUM_KEY, FORMAT_VERSION, SessionDatabase, column_names
from tui.session.lock import SessionLock
from tui.session.meta import SessionEnd, SessionMeta, axis_shift_ns
from tui.session.tables import TABLES, rows_by_target

Kept = RequestRecord | SeriesPoint | GpuReading | CellResult | Event | ServerStatus
Batch = list[tuple[int, Kept]]
"""Values, each with the moment it was given, ns of the session's axis."""

_BUSY_S = 5.0


class SessionFile:
    """A session file that is being written, locked against other writers."""

    def __init__(self, path: Path, meta: SessionMeta, *, resume: bool = False, now_ns: int = 0) -> None:
        """Make the file, or with `resume` go on with it at `now_ns`.

        Raises SessionError when another process writes it, when it exists already (without `resume`) or is no session
        (with it); OSError and sqlite3.Error when it cannot be written.
        """
        self.path = path
        self.earlier: SessionMeta | None = None
        """What the session said of itself before it was resumed."""
        self.shift_ns = 0
        """What is added to all moments, so that the axis of a resumed session goes on."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = SessionLock(path)
        try:
            self._connection = self._open(meta, resume, now_ns)
            self._identity = _identity(path)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def restored(cls, path: Path, meta: SessionMeta, content: MemorySession) -> Self:
        """Make the file again with `content`, after the first one was taken away."""
        for suffix in ("-wal", "-shm"):  # of the one that is gone; SQLite would mix it into the new one
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        made = cls(path, meta)
        try:
            content.connection.backup(made._connection)
            made._connection.execute("PRAGMA journal_mode=WAL")
        except BaseException:
            made.close()
            path.unlink(missing_ok=True)
            raise
        return made

    @property
    def in_place(self) -> bool:
        """Say whether the file still lies where it was made."""
        try:
            return _identity(self.path) == self._identity
        except OSError:
            return False

    def write(self, batch: Batch, *facts: SessionMeta | SessionEnd | None, shift_ns: int) -> None:
        """Write all of it or nothing."""
        _write(self._connection, batch, facts, shift_ns)

    def in_memory(self) -> MemorySession:
        """Return a copy of all that has been written."""
        return MemorySession.of(self._connection)

    def close(self) -> None:
        """Leave one plain file, sealed by its checksum, where that can be had, and let go of the lock."""
        mark = ""
        try:
            self._connection.execute("PRAGMA busy_timeout=500")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if self._connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",):
                mark = new_mark()
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CHECKSUM_KEY, mark))
        except sqlite3.Error:
            mark = ""  # a reader has it open, or the disk is full: nothing is lost, what is left lies in -wal
        self._connection.close()
        if mark:
            with suppress(OSError):
                seal(self.path, mark)
        self._lock.release()

    def _open(self, meta: SessionMeta, resume: bool, now_ns: int) -> sqlite3.Connection:
        from_new = not self.path.exists()
        if from_new:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        elif not resume:
            raise SessionError(f"{self.path}: this session exists already")
        else:
            with SessionDatabase(self.path) as before:
                self.earlier = before.meta()
                last_ns = before.last_ns()
            self.shift_ns = axis_shift_ns(self.earlier, last_ns, now_ns, datetime.now(UTC))
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                _prepare(connection, meta if self.earlier is None else meta.on_first_start(self.earlier))
            except BaseException:
                connection.close()
                raise
        except BaseException:
            if from_new:
                self.path.unlink(missing_ok=True)
            raise
        return connection


def change_facts(path: Path, **facts: str) -> None:
    """Change what a session that is not being written says of itself; its figures, its seal and its age stay.

    Raises SessionError for one that a bench is writing, that is damaged or no session, or that cannot be written.
    """
    try:
        _change_facts(path, facts)
    except (OSError, sqlite3.Error) as error:
        reason = safe_line(getattr(error, "strerror", None) or str(error), limit=200)
        raise SessionError(f"{path}: cannot be written: {reason}") from None


def _change_facts(path: Path, facts: dict[str, str]) -> None:
    lock = SessionLock(path)
    try:
        with SessionDatabase(path) as before:  # which refuses a file with code of its own
            if not before.is_unaltered():
                raise SessionError(f"{path}: the file was altered or damaged since the session was closed")
            sealed = before.is_sealed()
        written_ns = max(_written_ns(path), _written_ns(path.with_name(path.name + "-wal")))
        mark = new_mark() if sealed else ""
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                rows = [(key, msgspec.json.encode(value).decode()) for key, value in facts.items()]
                connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", rows)
                if sealed:
                    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CHECKSUM_KEY, mark))
        finally:
            connection.close()
        if sealed:
            seal(path, mark)
        # A little later than before: the latest session stays the latest, and who remembers this one reads it again.
        os.utime(path, ns=(written_ns + NS_PER_US, written_ns + NS_PER_US))
    finally:
        lock.release()


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class MemorySession:
    """A session that lies in memory only: a copy to read, or what is left of a file that was taken away."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    @classmethod
    def empty(cls, meta: SessionMeta) -> Self:
        """Return one that holds nothing but what it says of itself."""
        made = cls()
        _prepare(made.connection, meta)
        return made

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> Self:
        """Return one with all that has been written there."""
        made = cls()
        try:
            connection.backup(made.connection)
        except BaseException:
            made.close()
            raise
        return made

    def copy(self) -> MemorySession:
        """Return another one with the same content."""
        return MemorySession.of(self.connection)

    def close(self) -> None:
        """Give the memory back."""
        self.connection.close()

    def write(self, batch: Batch, meta: SessionMeta, shift_ns: int) -> None:
        """Add to it."""
        _write(self.connection, batch, (meta,), shift_ns)


def _identity(path: Path) -> tuple[int, int]:
    info = path.lstat()
    return info.st_dev, info.st_ino


def _prepare(connection: sqlite3.Connection, meta: SessionMeta) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("CREATE TABLE IF NOT EXISTS server (at_ns INTEGER, status TEXT)")
        connection.execute("DELETE FROM meta WHERE key IN ('ended', ?)", (CHECKSUM_KEY,))
        _write_facts(connection, meta)  # at once, so that what a reader finds is a session from the first moment
        for table in TABLES:
            declared = table.declarations()
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(declared.values())})")
            for name in declared.keys() - set(column_names(connection, table.name)):
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {declared[name]}")
            connection.execute(f"CREATE INDEX IF NOT EXISTS {table.name}_by_time ON {table.name} ({table.time_column})")


def _write(
    connection: sqlite3.Connection, batch: Batch, facts: tuple[SessionMeta | SessionEnd | None, ...], shift_ns: int
) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for target, rows in rows_by_target(batch, shift_ns).items():
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)  # noqa: S608 - our own names
        for fact in facts:
            if fact is not None:
                _write_facts(connection, fact)


def _write_facts(connection: sqlite3.Connection, facts: SessionMeta | SessionEnd) -> None:
    pairs = {"ended": facts} if isinstance(facts, SessionEnd) else msgspec.structs.asdict(facts)
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, msgspec.json.encode(value).decode()) for key, value in pairs.items()],
    )
