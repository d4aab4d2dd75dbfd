"""Writing the session file: one SQLite database per session, filled as things happen.

The bench calls `add_*` from any thread, which never waits for the disk; a thread of the writer's own commits
at most every 0.5 s, so that a SIGKILL of the bench loses less than a second. The file is in WAL mode while it is being
written (readers never wait either) and a plain single file afterwards. A disk that cannot be written stops nothing:
`failure` says so, what comes meanwhile is kept in memory up to a limit, counted beyond it, and written when it can be.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tui.core.clock import now_ns, utc_now
from tui.core.errors import SessionError
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import ServerStatus
from tui.session.database import APPLICATION_ID, FORMAT_VERSION, SessionDatabase, column_names
from tui.session.lock import SessionLock
from tui.session.meta import SessionEnd, SessionMeta, axis_shift_ns
from tui.session.redaction import without_secrets
from tui.session.tables import TABLES, rows_by_target

__all__ = ["SessionMeta", "SessionWriter"]

COMMIT_EVERY_S = 0.5
RETRY_EVERY_S = 5.0
MAX_PENDING = 50_000
CLOSE_TIMEOUT_S = 30.0

Kept = RequestRecord | SeriesPoint | GpuReading | CellResult | Event | ServerStatus


class SessionWriter:
    """The one writer of a session file. No method but the constructor raises."""

    def __init__(self, path: Path, meta: SessionMeta, *, resume: bool = False) -> None:
        """Make the file, or with `resume` go on with it.

        Raises SessionError when another bench writes it, when it exists already (without `resume`) or is no session
        (with it). A disk that cannot be written is no error but a `failure`.
        """
        self.path = path
        self.failure = ""
        """"" or why nothing can be written now, or what was lost, in one sentence for the operator."""
        self.lost = 0
        """How many values were lost because the file could not be written."""
        self._start_ns, self._time_scale = meta.started_at_ns, meta.time_scale
        self._shift_ns = 0
        self._earlier: SessionMeta | None = None
        self._flush_wanted = False
        self._last_server: ServerStatus | None = None
        self._pending: list[tuple[int, Kept]] = []
        self._meta: SessionMeta | None = without_secrets(meta)
        self._end: SessionEnd | None = None
        self._changed = threading.Condition()
        self._connection: sqlite3.Connection | None = None
        self._lock: SessionLock | None = None
        try:
            self._lock = SessionLock(path)
            self._connection = self._open(resume)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        except SessionError:
            self._release()
            raise
        self._thread = threading.Thread(target=self._run, name="session-writer", daemon=True)
        self._thread.start()

    def add_requests(self, records: Sequence[RequestRecord]) -> None:
        """Keep finished requests."""
        self._add(records)

    def add_series(self, point: SeriesPoint) -> None:
        """Keep one second of the run."""
        self._add([point])

    def add_gpus(self, readings: Sequence[GpuReading]) -> None:
        """Keep one round of GPU readings."""
        self._add(readings)

    def add_cell(self, cell: CellResult, at_ns: int | None = None) -> None:
        """Keep the result of a cell, known at `at_ns` (None = now). One that is still open is no result."""
        if not cell.outcome.is_open:
            self._add([cell], at_ns)

    def add_event(self, event: Event) -> None:
        """Keep a line of the log."""
        self._add([event])

    def set_server(self, status: ServerStatus, at_ns: int | None = None) -> None:
        """Keep the state of the server from `at_ns` (None = now) on; its moving gauges are kept in the series."""
        status = msgspec.structs.replace(
            status, running=None, waiting=None, kv_cache_usage=None, preemptions_total=None
        )
        if status != self._last_server:
            self._last_server = status
            self._add([status], at_ns)

    def set_meta(self, meta: SessionMeta) -> None:
        """Replace what the session says of itself, e.g. when the command line became known."""
        with self._changed:
            self._meta = self._on_first_start(without_secrets(meta))
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was added is in the file, or cannot be."""
        with self._changed:
            self._flush_wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._flush_wanted or not self._thread.is_alive())

    def close(self, ended_how: str) -> None:
        """Write what is left, leave one plain file, let go of the lock. Harmless when called again."""
        with self._changed:
            if self._end is None:
                self._end = SessionEnd(how=ended_how, at=utc_now(), at_ns=self._session_ns() + self._shift_ns)
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)  # a disk that hangs must not hold the end of the run

    # -- the writer's own thread -------------------------------------------------------------------------------

    def _add(self, values: Sequence[Kept], at_ns: int | None = None) -> None:
        moment = self._session_ns() if at_ns is None else at_ns
        with self._changed:
            if not self._pending:
                self._changed.notify_all()
            for value in values:
                if self._end is None and (len(self._pending) < MAX_PENDING or isinstance(value, CellResult)):
                    self._pending.append((moment, value))
                else:
                    self.lost += 1

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._meta or self._end or self._flush_wanted)
                pause_s = RETRY_EVERY_S if self.failure else COMMIT_EVERY_S
                self._changed.wait_for(lambda: self._end or self._flush_wanted, pause_s)
                batch, self._pending = self._pending, []
                meta, self._meta = self._meta, None
                end, flushing = self._end, self._flush_wanted
            self._write(batch, meta, end)
            if end is not None:
                self._finish(end)
            with self._changed:
                self._flush_wanted = self._flush_wanted and not flushing
                self._changed.notify_all()
            if end is not None:
                return

    def _session_ns(self) -> int:
        """Return the session time: with a time scale it runs so many times faster than the monotonic clock."""
        return self._start_ns + round((now_ns() - self._start_ns) * self._time_scale)

    def _write(self, batch: list[tuple[int, Kept]], meta: SessionMeta | None, end: SessionEnd | None) -> None:
        if self._connection is None:
            self.lost += len(batch)
            return
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                _write_batch(self._connection, batch, self._shift_ns)
                _write_facts(self._connection, meta)
                _write_facts(self._connection, end)
        except sqlite3.OperationalError as error:
            self._fail(error)
            with self._changed:
                self._pending = batch + self._pending
                self._meta = self._meta or meta
        except Exception as error:  # a value SQLite cannot hold must not end the thread, nor take others with it
            if len(batch) <= 1:
                self.lost += len(batch)
                self._fail(error)
                return
            for one in batch:
                self._write([one], None, None)
            self._write([], meta, end)
        else:
            self.failure = f"{self.path.name}: {self.lost} values could not be kept" if self.lost else ""
            if not self.path.exists():
                self.failure = f"the session is not being kept: {self.path} was removed"

    def _fail(self, error: Exception) -> None:
        self.failure = f"the session is not being kept: {self.path}: {safe_line(str(error), limit=200)}"

    def _finish(self, end: SessionEnd) -> None:
        if self._pending:
            # The disk is full. The requests are by far the most; without them the results may still fit.
            essential: list[tuple[int, Kept]] = [
                (at_ns, value) for at_ns, value in self._pending if not isinstance(value, RequestRecord)
            ]
            self.lost += len(self._pending) - len(essential)
            self._pending = []
            self._write(essential, None, end)
            self.lost += len(self._pending)
        if self._connection is not None:
            try:
                self._connection.execute("PRAGMA busy_timeout=500")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error:
                pass  # a reader has it open, or the disk is full: nothing is lost, what is left lies in -wal
        self._release()

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open(self, resume: bool) -> sqlite3.Connection:
        existed = self.path.exists()
        if existed and not resume:
            raise SessionError(f"{self.path}: this session exists already")
        if existed:
            self._join_earlier_part()
        else:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            _prepare(connection, self._meta)
            self._meta = None
        except sqlite3.Error:
            connection.close()
            if not existed:
                self.path.unlink(missing_ok=True)
            raise
        return connection

    def _join_earlier_part(self) -> None:
        with SessionDatabase(self.path) as before:
            self._earlier = before.meta()
            last_ns = before.last_ns()
        self._shift_ns = axis_shift_ns(self._earlier, last_ns, self._session_ns(), datetime.now(UTC))
        self._meta = self._meta and self._on_first_start(self._meta)

    def _on_first_start(self, meta: SessionMeta) -> SessionMeta:
        """A session that is resumed goes on under its first start: its time axis begins there."""
        first = self._earlier or meta
        return msgspec.structs.replace(
            meta, session_id=first.session_id, started_at=first.started_at, started_at_ns=first.started_at_ns
        )


def _prepare(connection: sqlite3.Connection, meta: SessionMeta | None) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("CREATE TABLE IF NOT EXISTS server (at_ns INTEGER, status TEXT)")
        connection.execute("DELETE FROM meta WHERE key = 'ended'")
        _write_facts(connection, meta)  # at once, so that what a reader finds is a session from the first moment
        for table in TABLES:
            declared = table.declarations()
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(declared.values())})")
            for name in declared.keys() - set(column_names(connection, table.name)):
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {declared[name]}")
            connection.execute(f"CREATE INDEX IF NOT EXISTS {table.name}_by_time ON {table.name} ({table.time_column})")


def _write_batch(connection: sqlite3.Connection, batch: list[tuple[int, Kept]], shift_ns: int) -> None:
    for target, rows in rows_by_target(batch, shift_ns).items():
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)  # noqa: S608 - our own names


def _write_facts(connection: sqlite3.Connection, facts: SessionMeta | SessionEnd | None) -> None:
    if facts is None:
        return
    pairs = {"ended": facts} if isinstance(facts, SessionEnd) else msgspec.structs.asdict(facts)
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, msgspec.json.encode(value).decode()) for key, value in pairs.items()],
    )
