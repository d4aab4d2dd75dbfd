"""Reading the SQLite side of a session file. With `session_file`, which writes it, the only importer of sqlite3.

Whatever is in a file is untrusted (see `tables`); a mistake in it is a SessionError, never another exception.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from tui.core.errors import SessionError
from tui.core.safe_text import safe_line
from tui.metrics.snapshot import ServerStatus
from tui.session.checksum import holds
from tui.session.meta import SessionEnd, SessionMeta
from tui.session.tables import TABLES, T, Table, typed_json

SUFFIX = ".vramp"
FORMAT_VERSION = 1
CHECKSUM_KEY = "checksum"
APPLICATION_ID = 0x5652_4D50  # "VRMP"
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_MAX_VALUE_BYTES = 32 * 1024 * 1024
# SQLite quotes a damaged schema in its message, which Python then fails to decode: a ValueError.
_UNREADABLE = (sqlite3.Error, ValueError, OverflowError)
_NO_SESSION = "expected a session file of vramp, found something else"


def column_names(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the stored columns of a table."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


class SessionDatabase:
    """A session file opened for reading: checked to be one, then read table by table. Every mistake is a SessionError.

    For `tui.session.reader`, which everybody else uses.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection | None = None) -> None:
        """Open `path`, which may be being written, or be left by a killed writer; or read `connection` in its stead."""
        self.path = path
        self._connection = self._open() if connection is None else _guarded(connection)
        try:
            with self._errors():
                self._check()
        except SessionError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def meta(self) -> SessionMeta:
        """Return what the session says of itself."""
        facts = {key: value for key, value in self._facts().items() if key not in ("ended", CHECKSUM_KEY)}
        with self._errors():
            document = ", ".join(f"{msgspec.json.encode(key).decode()}: {value}" for key, value in facts.items())
            return typed_json("{" + document + "}", SessionMeta)

    def ended(self) -> SessionEnd | None:
        """Return how the session was closed; None when it was not."""
        text = self._facts().get("ended")
        with self._errors():
            return None if text is None else typed_json(text, SessionEnd)

    def is_unaltered(self) -> bool:
        """Say whether the file is as it was when it was closed; true of one that has no checksum."""
        mark = self._facts().get(CHECKSUM_KEY)
        try:
            return mark is None or holds(self.path, mark)
        except OSError as error:
            raise SessionError(f"{self.path}: {error.strerror}") from None

    def is_sealed(self) -> bool:
        """Say whether the file bears a checksum: it was closed, and not altered by anybody who took it away."""
        return CHECKSUM_KEY in self._facts()

    def last_ns(self) -> int:
        """Return the moment of the last value kept, on the session's axis; 0 for an empty one."""
        sources = [(table.name, table.time_column) for table in TABLES] + [("server", "at_ns")]
        return max(self.scalar(f"SELECT max({column}) FROM {name}") for name, column in sources)  # noqa: S608

    def scalar(self, query: str, parameters: Sequence[object] = ()) -> int:
        """Return the one whole number that `query` asks for, 0 for none."""
        with self._errors():
            value = self._connection.execute(query, parameters).fetchone()[0]
        return value if isinstance(value, int) and value >= 0 else 0

    def rows(self, query: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that `query` asks for, as SQLite has them: who asks checks them."""
        with self._errors():
            yield from self._connection.execute(query, parameters)

    def has_column(self, table: Table[T], name: str) -> bool:
        """Say whether the file has a column, which older ones may lack."""
        with self._errors():
            return name in column_names(self._connection, table.name)

    def server(self, until_ns: int) -> ServerStatus | None:
        """Return the state of the server at a moment."""
        with self._errors():
            row = self._connection.execute(
                "SELECT status FROM server WHERE at_ns <= ? ORDER BY at_ns DESC, rowid DESC LIMIT 1", (until_ns,)
            ).fetchone()
            return None if row is None else typed_json(row[0], ServerStatus)

    def servers(self, until_ns: int, last: int) -> list[tuple[int, ServerStatus]]:
        """Return the latest states of the server at a moment, with when they were, oldest first."""
        query = "SELECT at_ns, status FROM server WHERE at_ns <= ? ORDER BY at_ns DESC, rowid DESC LIMIT ?"
        with self._errors():
            rows = self._connection.execute(query, (until_ns, last)).fetchall()
            return [(int(at_ns), typed_json(status, ServerStatus)) for at_ns, status in reversed(rows)]

    def values(
        self,
        table: Table[T],
        where: str,
        parameters: Sequence[object],
        *,
        last: int | None = None,
        as_written: bool = False,
    ) -> Iterator[T]:
        """Yield the values of `table` for which `where` holds, in the order of time; of these only the `last` ones.

        `as_written`: in the order in which they were written, which needs no sorting.
        """
        with self._errors():
            known = [name for name in column_names(self._connection, table.name) if name in table.by_name]
            names = ", ".join(f'"{name}"' for name in known)
            order = "rowid" if as_written else f"{table.time_column}, rowid"
            query = f"SELECT {names} FROM {table.name} WHERE {where} ORDER BY "  # noqa: S608
            if last is None:
                rows: Iterator[Any] = self._connection.execute(query + order, parameters)
            else:
                query += f"{table.time_column} DESC, rowid DESC LIMIT ?"
                newest = self._connection.execute(query, (*parameters, last)).fetchall()
                rows = reversed(newest)
            for row in rows:
                yield table.value(known, row)

    def column_batches(
        self, table: Table[T], stand_ins: Mapping[str, str], batch_rows: int
    ) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the whole `table` in the order of time, so many rows at once, as columns.

        `stand_ins` are the SQL expressions that are read in the place of some columns, where the file has them all.
        """
        with self._errors():
            known = [name for name in column_names(self._connection, table.name) if name in table.by_name]
            whole = len(known) == len(table.columns)
            names = ", ".join(stand_ins[name] if whole and name in stand_ins else f'"{name}"' for name in known)
            cursor = self._connection.execute(
                f"SELECT {names} FROM {table.name} ORDER BY {table.time_column}, rowid"  # noqa: S608
            )
            while rows := cursor.fetchmany(batch_rows):
                yield table.columns_of(known, rows)

    def _facts(self) -> dict[str, str]:
        with self._errors():
            rows = self._connection.execute("SELECT key, value FROM meta LIMIT 100").fetchall()
        return {str(key): str(value) for key, value in rows}

    def _open(self) -> sqlite3.Connection:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise SessionError(f"{self.path}: expected a session file, found something that is not a file")
        except OSError as error:
            raise SessionError(f"{self.path}: {error.strerror}") from None
        uri = self.path.absolute().as_uri() + "?mode=ro"
        try:
            return _connected(uri)
        except _UNREADABLE as error:
            # A plain copy in a folder that cannot be written: there is nobody to share it with.
            if self.path.with_name(self.path.name + "-wal").exists():
                raise SessionError(f"{self.path}: {safe_line(str(error), limit=200)}") from None
        try:
            return _connected(uri + "&immutable=1")
        except _UNREADABLE as error:
            raise SessionError(f"{self.path}: {_why_unreadable(self.path, error)}") from None

    def _check(self) -> None:
        """See that the file holds our tables and nothing that would run code of its own when it is read."""
        if self._pragma("application_id") != APPLICATION_ID:
            raise SessionError(_NO_SESSION)
        if self._pragma("user_version") > FORMAT_VERSION:
            raise SessionError(
                f"expected session format {FORMAT_VERSION}, found {self._pragma('user_version')}: "
                "a newer vramp wrote this file"
            )
        found = self._connection.execute("SELECT type, name, rootpage FROM sqlite_master LIMIT 100").fetchall()
        tables = {name for kind, name, root in found if kind == "table" and root}
        if any(kind not in ("table", "index") for kind, _, _ in found):
            raise SessionError(f"{_NO_SESSION}: it holds views or triggers")
        absent = {"meta", "server", *(table.name for table in TABLES)} - tables
        if absent:
            raise SessionError(f"{_NO_SESSION}: no table {', '.join(sorted(absent))}")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SessionError as error:
            raise SessionError(f"{self.path}: {error}") from None
        except _UNREADABLE as error:
            reason = safe_line(str(error), limit=200)
            raise SessionError(f"{self.path}: the session file is damaged: {reason}") from None


def _why_unreadable(path: Path, error: Exception) -> str:
    """Say of a file that SQLite does not open whether it is a session of ours, and whether its end is missing.

    By the first bytes of the file (https://sqlite.org/fileformat.html#the_database_header).
    """
    reason = safe_line(str(error), limit=200)
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            size = file.seek(0, os.SEEK_END)
    except OSError as unread:
        return unread.strerror or reason
    if not head.startswith(_MAGIC) or int.from_bytes(head[68:72]) != APPLICATION_ID:
        return f"{_NO_SESSION} ({reason})"
    page = int.from_bytes(head[16:18])
    whole = (65536 if page == 1 else page) * int.from_bytes(head[28:32])
    if size < whole:
        return f"the session file is cut off: {size:,} of its {whole:,} bytes are left"
    return f"the session file is damaged: {reason}"


def _connected(uri: str) -> sqlite3.Connection:
    return _guarded(sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=5.0))


def _guarded(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except _UNREADABLE:
        connection.close()
        raise
    return connection
