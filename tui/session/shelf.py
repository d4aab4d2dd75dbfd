"""The sessions that are kept: listed, found by name, removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from tabulate import tabulate

from tui.core.errors import SessionError
from tui.core.nearest import did_you_mean
from tui.core.outcome import Outcome
from tui.core.paths import sessions_dir
from tui.core.safe_text import safe_line
from tui.metrics.best import best_cell
from tui.metrics.cell import CellResult
from tui.metrics.snapshot import Phase, ServerStatus
from tui.session.database import SUFFIX
from tui.session.lock import SessionLock, is_live
from tui.session.reader import SessionReader, SessionState, latest_cells
from tui.session.session_summary import GridCell, SessionSummary
from tui.session.shelf_index import Identity, ShelfIndex

LATEST = "latest"
NOTE_LIMIT = 500
_MOST_PICTURED = 400
_SQLITE_SUFFIXES = ("-wal", "-shm", "-journal")
_LOG_SUFFIXES = (".server.log", ".bench.log", ".log")


def session_files() -> list[Path]:
    """Return the session files that are kept, the one written last first."""
    files = [path for path in sessions_dir().glob(f"*{SUFFIX}") if path.is_file()]
    return sorted(files, key=lambda path: (written_s(path), path.name), reverse=True)


def list_sessions() -> list[SessionSummary]:
    """Return a summary of every session that is kept, the one begun last first, then those that cannot be read."""
    return sorted(summaries(), key=lambda one: (one.started_at, one.session_id), reverse=True)


def summaries(newest: int | None = None) -> list[SessionSummary]:
    """Return a summary of the files written last (None = of all), in that order.

    Only those are read that have changed since they were read last (`shelf_index`), or are being written.
    """
    files = session_files()
    index = ShelfIndex(sessions_dir())
    found = []
    for path in files[:newest]:
        identity = _identity(path)
        known = None if is_live(path) else index.get(path, identity)
        if known is None:
            known = summary(path)
            if known.state != SessionState.RUNNING and identity == _identity(path):
                index.put(path, identity, known)
        found.append(known)
    index.save(files)
    return found


def _identity(path: Path) -> Identity:
    numbers: list[int] = []
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            info = each.stat()
            numbers += [info.st_size, info.st_mtime_ns, info.st_ino]
        except OSError:
            numbers += [0, 0, 0]
    return tuple(numbers)


def summary(path: Path) -> SessionSummary:
    """Return a session file in a line, also one that cannot be read."""
    try:
        with SessionReader(path) as reader:
            cells = [cell for cell in latest_cells(reader.cells(), None) if cell.outcome is not Outcome.IMPLIED]
            best = best_cell(cells)
            cells_ok = sum(cell.outcome is Outcome.OK for cell in cells)
            return SessionSummary(
                session_id=safe_line(path.stem),
                file=str(path),
                profile=safe_line(reader.meta.profile_name, limit=80),
                started_at=safe_line(reader.meta.started_at, limit=40),
                state=reader.state,
                ended_how=safe_line(reader.ended.how, limit=80) if reader.ended else "",
                simulated=reader.meta.simulated,
                cells_measured=len(cells),
                cells_ok=cells_ok,
                failure="" if cells_ok else _failure_of(reader.server),
                outcomes=sorted({str(cell.outcome) for cell in cells}),
                note=safe_line(reader.meta.note, limit=NOTE_LIMIT),
                best_users=best.users if best else None,
                best_prompt_tokens=best.prompt_tokens if best else None,
                best_tokens_per_s_total=best.tokens_per_s_total if best else None,
                best_tokens_per_s_per_user=best.tokens_per_s_per_user if best else None,
                best_ttft_p50_s=best.ttft_p50_s if best else None,
                grid=_grid_of(cells),
            )
    except SessionError as error:
        return SessionSummary(
            session_id=safe_line(path.stem), file=str(path), problem=safe_line(str(error).removeprefix(f"{path}: "))
        )


def _grid_of(cells: list[CellResult]) -> list[GridCell]:
    modes = [cell.mode for cell in cells]
    mode = max(modes, key=modes.count, default="")
    shown = [cell for cell in cells if cell.mode == mode][:_MOST_PICTURED]
    return [GridCell(cell.users, cell.prompt_tokens, cell.outcome, cell.time_to_resolve_s) for cell in shown]


def _failure_of(server: ServerStatus | None) -> str:
    """Return the class of the failure that a server was left with; empty when it was not."""
    if server is None or server.phase is not Phase.FAILED or server.failure is None:
        return ""
    return safe_line(server.failure.failure, limit=40)


def as_json(summaries: Sequence[SessionSummary]) -> str:
    """Return summaries as a JSON list."""
    return msgspec.json.encode(summaries).decode()


def as_table(summaries: Sequence[SessionSummary]) -> str:
    """Return summaries as a table for a terminal."""
    if not summaries:
        return f"no sessions are kept in {sessions_dir()}"
    rows = [
        [
            one.session_id,
            one.profile,
            one.started_at,
            one.problem or one.state_in_words,
            f"{one.cells_ok} ok of {one.cells_measured}",
            one.best or "–",
            " ".join(filter(None, ("SIMULATED" if one.simulated else "", one.note))),
        ]
        for one in summaries
    ]
    headers = ["session", "profile", "started (UTC)", "state", "cells", "best cell", ""]
    return tabulate(rows, headers=headers, disable_numparse=True)


def find(wanted: str) -> Path:
    """Return the file of a session: "latest", an id, the beginning of one id only, or a path.

    Raises SessionError that names the nearest ids when there is none, or all when there are several.
    """
    files = session_files()
    if wanted == LATEST:
        if not files:
            raise SessionError(f"no sessions are kept in {sessions_dir()}")
        return files[0]
    exact = [path for path in files if wanted in (path.stem, path.name)]
    matches = exact or [path for path in files if wanted and path.name.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SessionError(f"several sessions begin with {safe_line(wanted)!r}: {_names(matches)}")
    if wanted and _is_file(Path(wanted)):
        return Path(wanted)
    there_are = f"; there are {_names(files)}" if files else ""
    hint = did_you_mean(wanted, [path.stem for path in files], most=3, cutoff=0.3, otherwise=there_are)
    raise SessionError(f"no session and no file is called {safe_line(wanted, limit=200)!r}{safe_line(hint)}")


def remove(path: Path) -> Path:
    """Remove a session file with all that lies beside it under its name but exports, and return its path.

    Raises SessionError for one that a bench is writing, and for what is not named as a session file.
    """
    if path.suffix != SUFFIX:
        raise SessionError(f"{path}: expected a session file, *{SUFFIX}")
    try:
        lock = SessionLock(path)
        try:
            path.unlink()
            for one in beside(path):
                one.unlink(missing_ok=True)
        finally:
            lock.release()
    except OSError as error:
        raise SessionError(f"{path}: cannot be removed: {error.strerror}") from None
    return path


def beside(path: Path) -> list[Path]:
    """Return what may lie beside a session file under its name, exports left out."""
    databases = [path.with_name(path.name + suffix) for suffix in _SQLITE_SUFFIXES]
    return databases + log_files(path)


def log_files(path: Path) -> list[Path]:
    """Return where the logs of a session are, if there are any."""
    return [path.with_suffix(suffix) for suffix in _LOG_SUFFIXES]


def written_s(path: Path) -> float:
    """Return when a session was written last, in seconds of the epoch; 0 for one that is not there."""
    # While it is being written, the newest lies in -wal.
    times = [0.0]
    for candidate in (path, path.with_name(path.name + "-wal")):
        try:
            times.append(candidate.stat().st_mtime)
        except OSError:
            pass
    return max(times)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _names(files: Sequence[Path], limit: int = 10) -> str:
    more = f" and {len(files) - limit} more" if len(files) > limit else ""
    return safe_line(", ".join(path.stem for path in files[:limit])) + more
