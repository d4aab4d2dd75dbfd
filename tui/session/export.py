"""Everything that a session can be exported as, into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui.core.errors import UsageError
from tui.core.files import atomic_file
from tui.metrics.cell import CellResult
from tui.session import export_csv, export_formats, export_parquet, export_toml, imported
from tui.session.exported import TOML_FILE, ExportedSession, meta_of
from tui.session.grid_table import grid_html, grid_markdown
from tui.session.judged import session_beside
from tui.session.meta import SessionMeta
from tui.session.reader import SessionReader

FORMATS = ("toml", "csv", "md", "html", "parquet", *export_formats.FORMATS)
"""What a session can be exported as."""
MD_FILE, HTML_FILE = "grid.md", "grid.html"


def export_folder(session_file: Path) -> str:
    """Return the name of the folder for a session's export where none was given: never "..", nor a hidden one."""
    return session_file.stem.lstrip(".") or "session"


def export_session(
    path: Path,
    folder: Path,
    *,
    formats: Sequence[str] = ("toml", "csv"),
    damaged: bool = False,
    on_progress: export_csv.OnProgress = lambda share: None,
) -> list[Path]:
    """Write a session file, or an exported session.toml (md and html only), into `folder`; return what was written.

    A session whose checksum does not hold is only exported where `damaged` ones are wanted.

    Raises SessionError (the session cannot be read), UsageError (an unknown format, a folder that cannot be written).
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"format: found {unknown[0]}, expected one of {', '.join(FORMATS)}")
    if path.suffix == ".toml":
        return _from_toml(imported.read(path), path, folder, formats)
    with SessionReader(path, damaged=damaged) as reader:
        return export_open_session(reader, folder, formats=formats, on_progress=on_progress)


def export_open_session(
    reader: SessionReader,
    folder: Path,
    *,
    formats: Sequence[str] = ("toml", "csv"),
    on_progress: export_csv.OnProgress = lambda share: None,
) -> list[Path]:
    """Write a session that is open for reading into `folder`; return what was written. Raises as `export_session`."""
    written: list[Path] = []
    if "toml" in formats:
        export_toml.write(reader, folder / TOML_FILE)
        written.append(folder / TOML_FILE)
    if "csv" in formats:
        written += export_csv.write(reader, folder, on_progress)
    if "parquet" in formats:
        written += export_parquet.write(reader, folder, on_progress)
    for form in export_formats.FORMATS:
        if form in formats:
            written += export_formats.write(reader, folder, form, on_progress)
    return written + _write_grids(reader.meta, reader.cells(), folder, formats)


def _from_toml(session: ExportedSession, path: Path, folder: Path, formats: Sequence[str]) -> list[Path]:
    lacking = [name for name in formats if name not in ("md", "html")]
    if lacking:
        raise UsageError(f"{path}: an exported session holds its cells only; expected --format md or html")
    return _write_grids(meta_of(session), session.cells, folder, formats)


def _write_grids(meta: SessionMeta, cells: list[CellResult], folder: Path, formats: Sequence[str]) -> list[Path]:
    written: list[Path] = []
    beside = session_beside(meta)
    for form, name, render in (("md", MD_FILE, grid_markdown), ("html", HTML_FILE, grid_html)):
        if form in formats:
            with atomic_file(folder / name) as file:
                file.write(render(meta, cells, beside))
            written.append(folder / name)
    return written
