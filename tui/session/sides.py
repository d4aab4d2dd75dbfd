"""Finds and reads what is compared: sessions, their exports, published tables and results of other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tui.core.errors import SessionError, UsageError
from tui.core.nearest import did_you_mean
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.circumstances import Circumstances
from tui.metrics.measured import Measured
from tui.metrics.snapshot import ServerSettings
from tui.metrics.trend import curve
from tui.profile.catalogue import PublishedTable, published_table, reference_names
from tui.profile.schema import Mode, Profile
from tui.session import imported, shelf
from tui.session.circumstances import of_session, of_table
from tui.session.exported import TOML_FILE, ExportedSession, meta_of
from tui.session.formats.recognised import SUFFIXES, read_results
from tui.session.kept_profile import profile_of
from tui.session.meta import SessionMeta
from tui.session.reader import SessionReader

_CARDS_LOOKED_AT = 1024
_NAME_LIMIT = 80
MOST_SIDES = 26


def read_side(wanted: str) -> Measured:
    """Return what is called `wanted`: a published table, a session (id, "latest", file), an export, a tool's results.

    An export is its session.toml or its folder; results are a file of them, or a folder of such files.

    Raises SessionError for what is none of them, with the nearest names, or cannot be read.
    """
    if wanted in reference_names():
        return _of_table(wanted, published_table(wanted))
    if wanted and is_folder(Path(wanted)):
        exported = Path(wanted) / TOML_FILE
        return read_file(exported) if exported.is_file() else read_results(Path(wanted))
    try:
        path = shelf.find(wanted)
    except SessionError as error:
        tables = reference_names()
        hint = did_you_mean(wanted, tables, otherwise=f"; the published tables are {', '.join(tables)}")
        raise SessionError(f"{error}{hint}") from None
    return read_file(path)


def is_folder(path: Path) -> bool:
    """Say whether there is a folder of that name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_file(path: Path) -> Measured:
    """Return what a file says that was measured. Raises SessionError."""
    if path.suffix == ".toml":
        return of_export(imported.read(path))
    if path.suffix in SUFFIXES:
        return read_results(path)
    with SessionReader(path) as reader:
        return of_reader(reader)


def of_reader(reader: SessionReader) -> Measured:
    """Return what an open session measured, in its profile's mode. Raises SessionError for a damaged file."""
    meta, profile = reader.meta, profile_of(reader.meta)
    server = reader.server
    return _side(
        meta,
        profile,
        "session",
        reader.cells(),
        of_session(
            meta,
            profile,
            None if server is None else server.settings,
            reader.cells(),
            () if meta.simulated and meta.gpu_summary else reader.gpus(last=_CARDS_LOOKED_AT),
            model="" if server is None else server.model,
        ),
        curve(reader.trend, "tokens_per_s_total", meta.started_at_ns),
    )


def of_export(session: ExportedSession) -> Measured:
    """Return what an exported session measured, in its profile's mode."""
    meta = meta_of(session)
    profile = profile_of(meta)
    settings, model = (
        (ServerSettings(), "") if session.server is None else (session.server.settings, session.server.model)
    )
    told = of_session(meta, profile, settings, session.cells, model=model)
    return _side(meta, profile, "export", session.cells, told)


def _side(
    meta: SessionMeta,
    profile: Profile | None,
    source: str,
    cells: Sequence[CellResult],
    circumstances: Circumstances,
    tokens_per_s: list[tuple[float, float] | None] | None = None,
) -> Measured:
    mode = profile.load.mode if profile is not None else cells[-1].mode if cells else ""
    return Measured(
        name=safe_line(meta.session_id, limit=_NAME_LIMIT),
        source=source,
        simulated=meta.simulated,
        circumstances=circumstances,
        cells=[cell for cell in cells if cell.mode == mode],
        tokens_per_s=tokens_per_s or [],
    )


def _of_table(name: str, table: PublishedTable) -> Measured:
    told = {"measured by": "a published study", "figures": "measured"}
    told |= {"model": table.model} if table.model else {}
    told |= {"GPUs": table.gpus} if table.gpus else {}
    return Measured(
        name=safe_line(name, limit=_NAME_LIMIT),
        source="published table",
        circumstances=Circumstances(told=told | of_table(table).told),
        cells=[
            CellResult(
                users=users,
                prompt_tokens=prompt_tokens,
                output_tokens=table.output_tokens or 0,
                mode=Mode.BURST,
                # A study says that it failed, not how.
                outcome=Outcome.OK if cell.outcome == "ok" else Outcome.OOM_RUNTIME,
                time_to_resolve_s=cell.seconds,
                requests_ok=users if cell.outcome == "ok" else 0,
            )
            for (users, prompt_tokens), cell in table.cells.items()
        ],
    )


def read_sides(wanted: Sequence[str], on_step: Callable[[str], None] = lambda name: None) -> list[Measured]:
    """Return all that is named, in that order; `on_step` is told of each before it is read.

    Raises UsageError for fewer than two; SessionError as `read_side`.
    """
    if len(wanted) < 2:
        raise UsageError("name at least two things to compare: the first is the base of the others")
    if len(wanted) > MOST_SIDES:
        raise UsageError(f"found {len(wanted)} names, expected at most {MOST_SIDES}")
    sides = []
    for each in wanted:
        on_step(each)
        sides.append(read_side(each))
    return sides
