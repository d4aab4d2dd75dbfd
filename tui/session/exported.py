"""What a session.toml says, as values: the same for writing and for reading it back. Pure.

The keys of a cell are the fields of `CellResult`, plus `measured`: false for a cell that was not measured since a
smaller one failed for a cause that grows with load; it has no figures.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.metrics.snapshot import FailureReport, ServerSettings, ServerStatus
from tui.session.meta import SessionMeta

EXPORT_VERSION = 1
TOML_FILE = "session.toml"


class ExportedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as exported."""

    format_version: int = EXPORT_VERSION
    simulated: bool
    """First of all: whether the figures come from a model of a server."""
    session: ExportedRun
    environment: dict[str, str] = {}
    profile: dict[str, Any] = {}
    server: ExportedServer | None = None
    edges: list[Carried] = []
    """The most users that were served well, by prompt size, by all of `cells` of the profile's mode."""
    cells: list[CellResult] = []


class ExportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which session it was."""

    id: str
    started_at: str
    """ISO 8601, UTC."""
    started_at_ns: int = 0
    """The same moment on the axis of the cells' `started_at_ns`, ns."""
    state: str
    """running (exported while it went on), ended, killed."""
    ended_at: str | None = None
    ended_how: str | None = None
    vramp_version: str
    profile_name: str
    profile_title: str = ""
    engine: str
    time_scale: float = 1.0
    command_line: str = ""
    gpu_summary: str = ""
    gpu_note: str = ""
    stamps: str = ""
    note: str = ""
    """What its owner wrote about it."""


class ExportedServer(msgspec.Struct, frozen=True, kw_only=True):
    """The server under test as it was last seen."""

    version: str = ""
    model: str = ""
    attached: bool = False
    launches: int = 0
    max_model_len: int | None = None
    kv_cache_tokens: int | None = None
    max_concurrency: float | None = None
    missing: list[str] = []
    notes: list[str] = []
    settings: ServerSettings = ServerSettings()
    failure: FailureReport | None = None
    overrides: dict[str, str] = {}
    """Arguments with which it was launched in place of the profile's, by their flags without dashes before them."""


def exported_server(status: ServerStatus | None) -> ExportedServer | None:
    """Return what of the server's status is kept in an export."""
    if status is None:
        return None
    return ExportedServer(**{name: getattr(status, name) for name in ExportedServer.__struct_fields__})


def honest_cell(cell: CellResult) -> CellResult:
    """Return `cell` as it may be exported: one that was not measured has no figures, whatever it came with."""
    if cell.outcome is not Outcome.IMPLIED:
        return cell
    return msgspec.structs.replace(without_figures(cell, cell.outcome), evidence=cell.evidence)


def without_figures(cell: CellResult, outcome: Outcome) -> CellResult:
    """Return which cell it is, and by whom measured, with another outcome and nothing that was found."""
    return CellResult(
        users=cell.users,
        prompt_tokens=cell.prompt_tokens,
        output_tokens=cell.output_tokens,
        mode=cell.mode,
        measured_by=cell.measured_by,
        outcome=outcome,
        simulated=cell.simulated,
    )


def meta_of(session: ExportedSession) -> SessionMeta:
    """Return what of the session's head its export says."""
    run = session.session
    return SessionMeta(
        session_id=run.id,
        started_at=run.started_at,
        started_at_ns=run.started_at_ns,
        vramp_version=run.vramp_version,
        profile_name=run.profile_name,
        profile_title=run.profile_title,
        profile_json=msgspec.json.encode(session.profile).decode(),
        engine=run.engine,
        simulated=session.simulated,
        time_scale=run.time_scale,
        gpu_summary=run.gpu_summary,
        environment=session.environment,
    )
