"""Requests and series of a session as Parquet, with the columns of the CSV files, each of its own type.

pyarrow is an optional extra (`vramp[parquet]`), imported when it is wanted. What does not exist is null. A million
requests are written a batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from tui.core.errors import UsageError
from tui.core.files import atomic_file
from tui.core.safe_text import safe_text
from tui.metrics.reading import SeriesPoint
from tui.session import export_csv, export_requests
from tui.session.meta import SessionMeta, wall_times
from tui.session.reader import SessionReader

BATCH_ROWS = 50_000
FILES = ("requests.parquet", "series.parquet")
OnProgress = Callable[[float], None]
_SESSION: dict[str, object] = {"session": "", "profile": "", "simulated": False, "time_scale": 0.0}
_TEXTS = frozenset({"session", "profile", "outcome", "error", "counted_by"})
_WALL = frozenset({"start_at", "at"})
_SERIES_TYPES = {field.name: field.type for field in msgspec.structs.fields(SeriesPoint)}


def write(reader: SessionReader, folder: Path, on_progress: OnProgress = lambda share: None) -> list[Path]:
    """Write both files into `folder` and return their paths; `on_progress` is told the share of the requests.

    Raises SessionError (a damaged session) and UsageError (no pyarrow, a folder that cannot be written); each file is
    then either whole or as it was.
    """
    pyarrow = _pyarrow()
    requests, series = (folder / name for name in FILES)
    meta = reader.meta
    session = (meta.session_id, meta.profile_name, meta.simulated, meta.time_scale)
    users_of = {cell.tag: cell.users for cell in reader.cells() if cell.tag}
    total, done = reader.count_requests(), 0
    with _table(pyarrow, requests, export_requests.COLUMNS) as add:
        for batch in reader.request_columns(export_requests.STAND_INS, BATCH_ROWS):
            add(export_requests.columns_of(batch, meta, session, users_of, safe_text))
            done += len(batch["tag"])
            on_progress(min(1.0, done / max(total, 1)))
    with _table(pyarrow, series, export_csv.SERIES) as add:
        points = reader.series()
        while batch_of := list(islice(points, BATCH_ROWS)):
            add(_series_columns(meta, session, batch_of))
    return [requests, series]


def _series_columns(
    meta: SessionMeta, session: Sequence[object], points: Sequence[SeriesPoint]
) -> dict[str, Sequence[Any]]:
    moments = [point.at_ns for point in points]
    return {
        **{name: [value] * len(points) for name, value in zip(_SESSION, session, strict=True)},
        **{name: [getattr(point, name) for point in points] for name in _SERIES_TYPES},
        "at_s": [export_csv.since_start_s(meta, at_ns) for at_ns in moments],
        "at": wall_times(meta, moments),
    }


def _type_of(pyarrow: Any, name: str) -> Any:
    """Return the type of a column, by its name: as the CSV files have it."""
    if name in _WALL:
        return pyarrow.timestamp("ms", tz="UTC")
    if name in _TEXTS:
        return pyarrow.string()
    if name == "simulated":
        return pyarrow.bool_()
    told = str(_SERIES_TYPES.get(name, ""))
    if "int" in told or (not told and not name.endswith("_s") and name not in _SESSION):
        return pyarrow.int64()
    return pyarrow.float64()


@contextmanager
def _table(pyarrow: Any, path: Path, names: Sequence[str]) -> Iterator[Callable[[Mapping[str, Sequence[Any]]], None]]:
    """Open a Parquet file that is there as a whole or not at all; what is yielded takes columns."""
    schema = pyarrow.schema([(name, _type_of(pyarrow, name)) for name in names])
    with atomic_file(path) as file, _writer(file.buffer, schema) as writer:

        def add(columns: Mapping[str, Sequence[Any]]) -> None:
            arrays = [_array(pyarrow, name, columns[name]) for name in names]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))

        yield add


def _writer(file: Any, schema: Any) -> Any:
    return import_module("pyarrow.parquet").ParquetWriter(file, schema, compression="zstd")


def _array(pyarrow: Any, name: str, values: Sequence[Any]) -> Any:
    if name in _WALL:
        return pyarrow.array([value or None for value in values], pyarrow.string()).cast(_type_of(pyarrow, name))
    if name in _TEXTS:
        values = [None if value is None else str(value) for value in values]
    return pyarrow.array(values, _type_of(pyarrow, name))


def _pyarrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise UsageError(
            '--format parquet: expected pyarrow, which is not installed: pip install "vramp[parquet]"'
        ) from None
