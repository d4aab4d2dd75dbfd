"""Writing a session: one SQLite file, filled as things happen.

The bench calls `add_*` from any thread, which never waits for the disk; a thread of the writer's own commits
at most every 0.5 s, so that a SIGKILL of the bench loses less than a second. The file is in WAL mode while it is being
written (readers never wait either) and a plain single file afterwards.

A disk that cannot be written stops nothing here: `failure` says so, `on_event` is told at once, what comes meanwhile
is kept in memory up to a limit, counted beyond it, and written when it can be. A file that could not be made is tried
again, and one that was taken away is made again, whole. `in_memory` gives a copy of everything for an export elsewhere.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tui.core.clock import now_ns, utc_now
from tui.core.errors import SessionError
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import ServerStatus
from tui.session.meta import SessionEnd, SessionMeta
from tui.session.redaction import without_secrets
from tui.session.session_file import Batch, Kept, MemorySession, SessionFile

__all__ = ["SessionMeta", "SessionWriter"]

COMMIT_EVERY_S = 0.5
RETRY_EVERY_S = 5.0
# A request with a hundred tokens takes about 1 kB.
MAX_PENDING = 200_000
CLOSE_TIMEOUT_S = 30.0

OnEvent = Callable[[str, str], None]
"""(text, level): what the operator is to know of the session file; called from the writer's thread."""

_UNWRITABLE = (OSError, sqlite3.OperationalError, sqlite3.DatabaseError, SessionError)


class SessionWriter:
    """The one writer of a session file. No method but the constructor and `in_memory` raises."""

    def __init__(
        self,
        path: Path,
        meta: SessionMeta,
        *,
        resume: bool = False,
        on_event: OnEvent = lambda text, level: None,
    ) -> None:
        """Make the file, or with `resume` go on with it.

        Raises SessionError when another bench writes it, when it exists already (without `resume`) or is no session
        (with it). A disk that cannot be written is no error but a `failure`.
        """
        self.path = path
        self.failure = ""
        """"" or why nothing can be written now, or what was lost, in one sentence for the operator."""
        self.lost = 0
        """How many values were lost because the file could not be written."""
        self._on_event = on_event
        self._start_ns, self._time_scale = meta.started_at_ns, meta.time_scale
        self._shift_ns = 0
        self._earlier: SessionMeta | None = None
        self._failing = False
        self._flush_wanted = False
        self._over = False
        """The thread writes nothing any more; it may not have ended yet."""
        self._last_server: ServerStatus | None = None
        self._pending: Batch = []
        self._meta = without_secrets(meta)
        self._meta_is_new = False
        self._end: SessionEnd | None = None
        self._changed = threading.Condition()
        self._disk = threading.Lock()
        """Held while the file, or what stands in for it, is used."""
        self._file: SessionFile | None = None
        self._taken_away: MemorySession | None = None
        """What a file held that was taken away, until there is another."""
        try:
            self._file = SessionFile(path, self._meta, resume=resume, now_ns=self._session_ns())
            self._shift_ns, self._earlier = self._file.shift_ns, self._file.earlier
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        self._thread = threading.Thread(target=self._run, name="session-writer", daemon=True)
        self._thread.start()

    @property
    def meta(self) -> SessionMeta:
        """What the session says of itself, without secrets."""
        return self._meta

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
            meta = without_secrets(meta)
            self._meta = meta if self._earlier is None else meta.on_first_start(self._earlier)
            self._meta_is_new = True
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was added is in the file, or cannot be."""
        with self._changed:
            self._flush_wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._flush_wanted or self._over)

    def in_memory(self) -> MemorySession:
        """Return a copy of everything, what the file could not take included. Raises SessionError.

        Takes as long, and as much memory, as the session is large.
        """
        with self._disk:
            try:
                if self._file is not None:
                    copy = self._file.in_memory()
                else:
                    copy = self._taken_away.copy() if self._taken_away else MemorySession.empty(self._meta)
                with self._changed:
                    pending, meta = list(self._pending), self._meta
                try:
                    copy.write(pending, meta, self._shift_ns)
                except BaseException:
                    copy.close()
                    raise
            except (OSError, sqlite3.Error) as error:
                raise SessionError(f"{self.path}: {safe_line(str(error), limit=200)}") from None
        return copy

    def close(self, ended_how: str) -> None:
        """Write what is left, leave one plain file, let go of the lock. Harmless when called again."""
        with self._changed:
            if self._end is None:
                self._end = SessionEnd(how=ended_how, at=utc_now(), at_ns=self._session_ns() + self._shift_ns)
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)  # a disk that hangs must not hold the end of the run
        if not self._thread.is_alive():
            self._let_go()  # of what a thread that failed has left open

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
        try:
            self._keep_writing()
        except Exception as error:  # a mistake of ours must not end the thread unseen
            self._fail(error)
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()  # whoever waits for a flush

    def _keep_writing(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._meta_is_new or self._end or self._flush_wanted)
                pause_s = RETRY_EVERY_S if self._failing else COMMIT_EVERY_S
                self._changed.wait_for(lambda: self._end or self._flush_wanted, pause_s)
                end, flushing = self._end, self._flush_wanted
            with self._disk:
                with self._changed:
                    batch, self._pending = self._pending, []
                self._write(batch, end)
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

    def _write(self, batch: Batch, end: SessionEnd | None) -> None:
        meta = self._meta
        try:
            self._opened().write(batch, meta if self._meta_is_new else None, end, shift_ns=self._shift_ns)
        except _UNWRITABLE as error:
            self._fail(error)
            with self._changed:
                self._pending = batch + self._pending
        except Exception as error:  # a value SQLite cannot hold must not end the thread, nor take others with it
            if len(batch) <= 1:
                self.lost += len(batch)
                self._fail(error)
                return
            for one in batch:
                self._write([one], None)
            self._write([], end)
        else:
            self._meta_is_new = self._meta_is_new and self._meta is not meta
            self._succeed()

    def _opened(self) -> SessionFile:
        """Return the file; make it where it could not be made before, or was taken away meanwhile."""
        if self._file is not None and not self._file.in_place:
            self._taken_away = self._file.in_memory()
            gone, self._file = self._file, None
            gone.close()
            self._on_event(f"the session file was taken away; it is made again: {self.path}", "warning")
        if self._file is None:
            if self._taken_away is not None:
                self._file = SessionFile.restored(self.path, self._meta, self._taken_away)
                self._taken_away.close()
                self._taken_away = None
            else:
                self._file = SessionFile(self.path, self._meta)
        return self._file

    def _fail(self, error: Exception) -> None:
        self._failing = True
        reason = safe_line(getattr(error, "strerror", None) or str(error), limit=200)
        self._tell_failure(f"the session is not being kept: {self.path}: {reason}")

    def _succeed(self) -> None:
        if self._failing:
            self._failing = False
            self._on_event(f"the session is being kept again: {self.path}", "info")
        self._tell_failure(f"{self.path.name}: {self.lost} values could not be kept" if self.lost else "")

    def _tell_failure(self, failure: str) -> None:
        if failure and failure != self.failure:
            self._on_event(failure, "error")
        self.failure = failure

    def _finish(self, end: SessionEnd) -> None:
        with self._changed:
            left, self._pending = self._pending, []
        if left:
            # The disk is full. The requests are by far the most; without them the results may still fit.
            essential: Batch = [(at_ns, value) for at_ns, value in left if not isinstance(value, RequestRecord)]
            self.lost += len(left) - len(essential)
            self._write(essential, end)
            self.lost += len(self._pending)
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
