"""A session as one TOML file: profile, environment, server, all cells with all statistics."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from tui.core.files import atomic_file
from tui.session.exported import ExportedRun, ExportedSession, exported_server, honest_cell
from tui.session.kept_profile import edges_of
from tui.session.reader import SessionReader
from tui.session.tables import sanitised

MAX_DEPTH = 32
HEADER = "# Exported by vramp {version}. Times in seconds, sizes in bytes; a figure that does not exist is left out.\n"


def exported(reader: SessionReader) -> ExportedSession:
    """Return a session as it is exported. Raises SessionError when the file is damaged."""
    meta, ended = reader.meta, reader.ended
    return ExportedSession(
        simulated=meta.simulated,
        session=ExportedRun(
            id=meta.session_id,
            started_at=meta.started_at,
            started_at_ns=meta.started_at_ns,
            state=reader.state,
            ended_at=ended.at if ended else None,
            ended_how=ended.how if ended else None,
            vramp_version=meta.vramp_version,
            profile_name=meta.profile_name,
            profile_title=meta.profile_title,
            engine=meta.engine,
            time_scale=meta.time_scale,
            command_line=meta.command_line,
            gpu_summary=meta.gpu_summary,
            gpu_note=meta.gpu_note,
            stamps=meta.stamps,
            note=meta.note,
        ),
        environment=meta.environment,
        profile=profile_table(meta.profile_json),
        server=exported_server(reader.server),
        edges=edges_of(reader),
        cells=[honest_cell(cell) for cell in reader.cells()],
    )


def profile_table(profile_json: str) -> dict[str, Any]:
    """Return the profile with all overrides as a table; empty when the file holds none."""
    try:
        document = msgspec.json.decode(profile_json)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(document, dict) or _is_deeper(document, MAX_DEPTH):
        return {}  # no profile of ours: it came with a file from outside
    table: dict[str, Any] = sanitised(document)
    return table


def _is_deeper(document: object, depth: int) -> bool:
    level = [document]
    for _ in range(depth):
        level = [inner for value in level for inner in _inner(value)]
    return bool(level)


def _inner(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def dumps(session: ExportedSession) -> str:
    """Return a session as TOML text."""
    document = without_missing(msgspec.to_builtins(session))
    for table, cell in zip(document.get("cells", []), session.cells, strict=True):
        table["measured"] = cell.measured
    header = HEADER.format(version=session.session.vramp_version.replace("\n", " "))
    mark = "# SIMULATED: the figures come from a model of a server, not from a server.\n" if session.simulated else ""
    return header + mark + "\n" + tomli_w.dumps(document)


def profile_toml(profile: dict[str, Any]) -> str:
    """Return a profile as a file of its own has it, from its table (`profile_table`)."""
    return tomli_w.dumps(without_missing(profile))


def write(reader: SessionReader, path: Path) -> None:
    """Write a session as TOML. Raises SessionError (a damaged file), UsageError (`path` cannot be written)."""
    text = dumps(exported(reader))
    with atomic_file(path) as file:
        file.write(text)


def without_missing(value: Any) -> Any:
    """TOML has no null, and vramp no figure that is not finite: such keys are left out."""
    if isinstance(value, dict):
        return {key: without_missing(inner) for key, inner in value.items() if not _is_missing(inner)}
    if isinstance(value, list):
        return [without_missing(inner) for inner in value if not _is_missing(inner)]
    return value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
