"""A session as CSV files for pandas and spreadsheets: cells, edges, requests, series, gpus.

Units are in the names of the columns. `*_at_s` and `at_s` are seconds since the session's start (its own time axis:
with a time scale, modelled seconds), `at` the wall time in UTC. What does not exist is an empty field. Text that a
spreadsheet would take for a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.files import atomic_file
from tui.core.safe_text import safe_text
from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.metrics.reading import GpuReading, SeriesPoint
from tui.session import export_requests
from tui.session.exported import honest_cell
from tui.session.kept_profile import edges_of
from tui.session.meta import SessionMeta, wall_time
from tui.session.reader import SessionReader

BATCH_ROWS = 10_000
OnProgress = Callable[[float], None]
REQUESTS_FILE = "requests.csv"
FILES = ("cells.csv", REQUESTS_FILE, "series.csv", "gpus.csv", "edges.csv")
# Also the full-width forms, which some spreadsheets take for the same.
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")


def write(reader: SessionReader, out_dir: Path, on_progress: OnProgress = lambda share: None) -> list[Path]:
    """Write all files into `out_dir` and return their paths.

    `on_progress` is told the share of the requests that are written. Raises SessionError (the session is damaged) and
    UsageError (the folder cannot be written); each file is then either whole or as it was.
    """
    cells = [honest_cell(cell) for cell in reader.cells()]
    users_of = {cell.tag: cell.users for cell in cells if cell.tag}
    meta = reader.meta
    rows: Sequence[Iterable[Mapping[str, object]]] = (
        (cell_row(meta, cell) for cell in cells),
        (series_row(meta, point) for point in reader.series()),
        (gpu_row(meta, reading) for reading in reader.gpus()),
    )
    paths = [out_dir / name for name in FILES]
    cells_file, requests_file, series_file, gpus_file, edges_file = paths
    write_rows(cells_file, CELLS, rows[0])
    _write_requests(requests_file, reader, users_of, on_progress)
    write_rows(series_file, SERIES, rows[1])
    write_rows(gpus_file, GPUS, rows[2])
    write_rows(edges_file, EDGES, (edge_row(meta, edge) for edge in edges_of(reader)))
    return paths


def _write_requests(path: Path, reader: SessionReader, users_of: Mapping[int, int], on_progress: OnProgress) -> None:
    session = [field(value) for value in session_columns(reader.meta).values()]
    total, done = reader.count_requests(), 0
    with atomic_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(export_requests.COLUMNS)
        for batch in reader.request_columns(export_requests.STAND_INS, BATCH_ROWS):
            writer.writerows(export_requests.rows_of(batch, reader.meta, session, users_of, defused))
            done += len(batch["tag"])
            on_progress(min(1.0, done / max(total, 1)))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write one CSV file. Raises UsageError when it cannot be written."""
    with atomic_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([field(row[name]) for name in columns])


def field(value: object) -> object:
    """Return a value as the csv module is to write it: floats in full, true/false, text without formulas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return defused(value)
    return value


def defused(text: str) -> str:
    """Return text without control characters, and with an apostrophe where a spreadsheet would see a formula."""
    # What begins with a tab or CR would lose it below, so it is looked at first.
    dangerous = text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS)
    text = safe_text(text)
    return f"'{text}" if dangerous or text.lstrip().startswith(_FORMULA_STARTS) else text


def session_columns(meta: SessionMeta) -> dict[str, object]:
    """Return what every row says of its session."""
    return {
        "session": meta.session_id,
        "profile": meta.profile_name,
        "simulated": meta.simulated,
        "time_scale": meta.time_scale,
    }


def since_start_s(meta: SessionMeta, at_ns: int | None) -> float | None:
    """Return a moment of the session's axis in s since its start."""
    return None if at_ns is None else (at_ns - meta.started_at_ns) / NS_PER_S


def cell_row(meta: SessionMeta, cell: CellResult) -> dict[str, object]:
    """Return a cell as a row, its values by the names of the columns."""
    begun = cell.started_at_ns or None
    return {
        **flat(cell),
        **session_columns(meta),
        "measured": cell.measured,
        "started_at_s": since_start_s(meta, begun),
        "started_at": "" if begun is None else wall_time(meta, begun),
    }


def edge_row(meta: SessionMeta, edge: Carried) -> dict[str, object]:
    """Return an edge as a row, its values by the names of the columns."""
    return {**msgspec.structs.asdict(edge), **session_columns(meta)}


def series_row(meta: SessionMeta, point: SeriesPoint) -> dict[str, object]:
    """Return a second of the run as a row, its values by the names of the columns."""
    return {**msgspec.structs.asdict(point), **session_columns(meta), **_at(meta, point.at_ns)}


def gpu_row(meta: SessionMeta, reading: GpuReading) -> dict[str, object]:
    """Return a reading of a GPU as a row, its values by the names of the columns."""
    simulated = {"simulated": meta.simulated or reading.simulated}
    return {**msgspec.structs.asdict(reading), **session_columns(meta), **simulated, **_at(meta, reading.at_ns)}


def _at(meta: SessionMeta, at_ns: int) -> dict[str, object]:
    return {"at_s": since_start_s(meta, at_ns), "at": wall_time(meta, at_ns)}


def _columns(first: Iterator[str] | Sequence[str], struct: type[msgspec.Struct], *left_out: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *_flat_names(struct, *left_out)]))


def _flat_names(struct: type[msgspec.Struct], *left_out: str) -> Iterator[str]:
    """Yield the columns of a struct; a field that is a struct of its own gives a column for each of its fields."""
    for field in msgspec.structs.fields(struct):
        if field.name in left_out:
            continue
        inner = _struct_in(field.type)
        if inner is None:
            yield field.name
        else:
            yield from (f"{field.name}_{name}" for name in _flat_names(inner))


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    for option in get_args(annotation) if isinstance(annotation, UnionType) else (annotation,):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def flat(value: msgspec.Struct) -> dict[str, object]:
    """Return a struct as one row: fields of inner structs under the names of both, lists as one text."""
    row: dict[str, object] = {}
    for field in msgspec.structs.fields(type(value)):
        inner, told = _struct_in(field.type), getattr(value, field.name)
        if inner is None:
            row[field.name] = "; ".join(map(str, told)) if isinstance(told, list) else told
        elif told is None:
            row |= {f"{field.name}_{name}": None for name in _flat_names(inner)}
        else:
            row |= {f"{field.name}_{name}": each for name, each in flat(told).items()}
    return row


_SESSION: tuple[str, ...] = ("session", "profile", "simulated", "time_scale")
CELLS = _columns(
    [*_SESSION, "users", "prompt_tokens", "output_tokens", "mode", "outcome", "measured", "started_at_s", "started_at"],
    CellResult,
    "started_at_ns",
    "distributions",
)
REQUESTS = export_requests.COLUMNS
EDGES = _columns(_SESSION, Carried)
SERIES = _columns([*_SESSION, "at_s", "at"], SeriesPoint, "at_ns")
GPUS = _columns([*_SESSION, "at_s", "at"], GpuReading, "at_ns")
