"""Reading a session: finished, being written, or left by a killed bench. Values are typed and sanitised (`tables`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import msgspec

from tui.core.errors import SessionError
from tui.metrics.cell import CellResult
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import ServerDeath, ServerStatus
from tui.metrics.trend import Trend, TrendPoint
from tui.session.aggregates import MAX_DEVICES, MOST_SAID, RequestEnds, VramPoint, request_ends, vram_point
from tui.session.database import SessionDatabase
from tui.session.deaths import MAX_STATES, deaths_of
from tui.session.lock import is_live
from tui.session.meta import SessionEnd, SessionMeta
from tui.session.session_file import MemorySession
from tui.session.tables import CELLS, EVENTS, GPUS, REQUESTS, SERIES

ALWAYS_NS = 2**63 - 1
MAX_CELLS = 10_000
MIN_TIME_SCALE, MAX_TIME_SCALE = 1e-3, 1e6


_ONE_OF = "tag IN (SELECT value FROM json_each(?))"


def _listed(tags: Iterable[int]) -> str:
    return msgspec.json.encode(list(tags)).decode()


class SessionState(StrEnum):
    """Whether a session goes on, and if not, whether its bench could close it."""

    RUNNING = "running"
    ENDED = "ended"
    KILLED = "killed"


class SessionReader:
    """A session file opened for reading. Every method raises SessionError where the file is damaged.

    All times are ns on the session's axis; `since_ns` is exclusive and `until_ns` inclusive, and `last` keeps only the
    newest so many. Iterators read as they go; what they yield is in the order of time.
    """

    def __init__(self, path: Path, in_memory: MemorySession | None = None, *, damaged: bool = False) -> None:
        """Open the file at `path`, or in its stead a copy in memory, which is of a session that goes on.

        A file that was altered since it was closed is a SessionError unless `damaged` ones are wanted.
        """
        self.path = path
        # Asked first: a session that is closed meanwhile has ended, and was not killed.
        live = in_memory is not None or is_live(path)
        self._database = SessionDatabase(path, None if in_memory is None else in_memory.connection)
        try:
            if not (damaged or live or self._database.is_unaltered() or is_live(path)):
                raise SessionError(
                    f"{path}: the file was altered or damaged since the session was closed: its checksum does not hold"
                    " (vramp export --damaged takes what can be read)"
                )
            self.meta: SessionMeta = self._database.meta()
            if not MIN_TIME_SCALE <= self.meta.time_scale <= MAX_TIME_SCALE:
                raise SessionError(f"{path}: time_scale: found {self.meta.time_scale}, which no clock can have")
            self.ended: SessionEnd | None = self._database.ended()
        except BaseException:
            self._database.close()
            raise
        self.state = SessionState.ENDED if self.ended else SessionState.RUNNING if live else SessionState.KILLED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def server(self) -> ServerStatus | None:
        """The last known state of the server, without its moving gauges."""
        return self.server_at(ALWAYS_NS)

    def server_at(self, at_ns: int) -> ServerStatus | None:
        """Return the state of the server at a moment, without its moving gauges."""
        return self._database.server(at_ns)

    def deaths(self, until_ns: int = ALWAYS_NS) -> list[ServerDeath]:
        """Return the ends of servers that had been ready, as far as known at a moment, oldest first."""
        return deaths_of(self._database.servers(until_ns, MAX_STATES))

    def last_ns(self) -> int:
        """Return the moment of the last thing kept; the session's start for an empty one."""
        return max(self._database.last_ns(), self.meta.started_at_ns, self.ended.at_ns if self.ended is not None else 0)

    def last_tag(self) -> int:
        """Return the highest number of a measurement, 0 for none: a resumed bench counts on from it."""
        return max(self._database.scalar(f"SELECT max(tag) FROM {name}") for name in ("requests", "cells"))  # noqa: S608

    def last_request_id(self) -> int:
        """Return the highest number of a request, 0 for none."""
        return self._database.scalar("SELECT max(request_id) FROM requests")

    def cells(self, until_ns: int = ALWAYS_NS) -> list[CellResult]:
        """Return all results of cells known at a moment, repeated measurements included, oldest first.

        Of a measurement that was told again, since more became known of it, what was told last.
        """
        found: dict[object, CellResult] = {}
        kept = self._database.values(CELLS, "recorded_at_ns <= ?", (until_ns,), last=MAX_CELLS)
        for number, cell in enumerate(kept):
            found[(cell.tag, cell.mode, cell.users, cell.prompt_tokens) if cell.tag else number] = cell
        return list(found.values())

    def requests(
        self,
        *,
        since_ns: int = -1,
        until_ns: int = ALWAYS_NS,
        last: int | None = None,
        started_ns: int | None = None,
        failed: bool = False,
        cancelled: bool = True,
    ) -> Iterator[RequestRecord]:
        """Yield the requests that ended in the time asked for.

        With `started_ns` only those that had been started by then, with `failed` only those that failed; without
        `cancelled` none that was cut by vramp itself.
        """
        where, parameters = "end_ns > ? AND end_ns <= ?", [since_ns, until_ns]
        if started_ns is not None:
            where, parameters = f"{where} AND start_ns <= ?", [*parameters, started_ns]
        if not cancelled:
            where = f"{where} AND outcome != 'cancelled'"
        if failed:
            where = f"{where} AND outcome NOT IN ('ok', 'cancelled')"
        return self._database.values(REQUESTS, where, parameters, last=last)

    def requests_of(self, tags: Iterable[int]) -> Iterator[RequestRecord]:
        """Yield the requests of some measurements, in the order in which they were written: all of them in one pass."""
        return self._database.values(REQUESTS, _ONE_OF, (_listed(tags),), as_written=True)

    def count_by_tag(self, tags: Iterable[int]) -> dict[int, int]:
        """Return how many requests there are of some measurements."""
        query = f"SELECT tag, count(*) FROM requests WHERE {_ONE_OF} GROUP BY tag"  # noqa: S608
        return dict(self._database.rows(query, (_listed(tags),)))

    def request_columns(self, stand_ins: Mapping[str, str], batch_rows: int) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield all requests as columns, so many at once; see `SessionDatabase.column_batches`."""
        return self._database.column_batches(REQUESTS, stand_ins, batch_rows)

    def had_tokens_before(self, at_ns: int) -> bool:
        """Say whether some request had been answered, at least in part, by then."""
        first = "SELECT 1 FROM requests WHERE end_ns <= ? AND first_token_ns IS NOT NULL LIMIT 1"
        return bool(self._database.scalar(f"SELECT count(*) FROM ({first})", (at_ns,)))  # noqa: S608

    def count_requests(self) -> int:
        """Return how many requests there are, however they ended."""
        return self._database.scalar("SELECT count(*) FROM requests")

    def request_counts(self, until_ns: int = ALWAYS_NS) -> tuple[int, int]:
        """Return how many requests had ended well, and how many had failed, at a moment."""
        count = "SELECT count(*) FROM requests WHERE end_ns <= ?"
        ok = self._database.scalar(f"{count} AND outcome = 'ok'", (until_ns,))
        return ok, self._database.scalar(f"{count} AND outcome NOT IN ('ok', 'cancelled')", (until_ns,))

    def request_ends(self, most: int) -> list[RequestEnds]:
        """Return how requests ended, alike ones counted together, the most frequent first, at most so many."""
        rows = self._database.rows(
            "SELECT outcome, http_status, substr(error, 1, ?) AS said, count(*) AS times, min(end_ns) FROM requests"
            " GROUP BY outcome, http_status, said ORDER BY times DESC, min(end_ns) LIMIT ?",
            (MOST_SAID, most),
        )
        return [request_ends(row) for row in rows]

    def vram(self, points: int) -> list[VramPoint]:
        """Return the VRAM of each GPU, or slice of one, over the session in about so many points, in order of time."""
        last_ns = self._database.scalar("SELECT max(at_ns) FROM gpus")
        span_ns = max(1, (last_ns - self.meta.started_at_ns) // max(1, points))
        slice_of = "mig_index" if self._database.has_column(GPUS, "mig_index") else "NULL"
        host = "host" if self._database.has_column(GPUS, "host") else "NULL"
        rows = self._database.rows(
            f'SELECT "index", {slice_of}, max(at_ns), max(vram_used_bytes), max(vram_total_bytes), {host}'  # noqa: S608
            f' FROM gpus GROUP BY {host}, "index", {slice_of}, (at_ns - ?) / ? ORDER BY max(at_ns) LIMIT ?',
            (self.meta.started_at_ns, span_ns, MAX_DEVICES * (points + 1)),
        )
        return [vram_point(row) for row in rows]

    def series(
        self, *, since_ns: int = -1, until_ns: int = ALWAYS_NS, last: int | None = None
    ) -> Iterator[SeriesPoint]:
        """Yield the seconds of the run."""
        return self._database.values(SERIES, "at_ns > ? AND at_ns <= ?", (since_ns, until_ns), last=last)

    @cached_property
    def trend(self) -> list[TrendPoint]:
        """Return the whole run in few points, as far as it had gone when this was first asked."""
        return Trend(self.meta.time_scale).extend(self.series()).points

    def gpus(self, *, since_ns: int = -1, until_ns: int = ALWAYS_NS, last: int | None = None) -> Iterator[GpuReading]:
        """Yield the readings of all GPUs."""
        return self._database.values(GPUS, "at_ns > ? AND at_ns <= ?", (since_ns, until_ns), last=last)

    def events(self, *, since_ns: int = -1, until_ns: int = ALWAYS_NS, last: int | None = None) -> Iterator[Event]:
        """Yield the lines of the log."""
        return self._database.values(EVENTS, "at_ns > ? AND at_ns <= ?", (since_ns, until_ns), last=last)


def latest_cells(cells: Iterable[CellResult], mode: str | None) -> list[CellResult]:
    """Return the latest result of each cell measured in `mode` (None = any), in the order of the axes."""
    latest = {(cell.users, cell.prompt_tokens, cell.mode): cell for cell in cells if mode is None or cell.mode == mode}
    return [latest[key] for key in sorted(latest)]
