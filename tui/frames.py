"""A session's tables for notebooks: as pandas or polars frames, or as plain rows where neither is wanted.

What `import vramp` offers (`public/vramp`). The columns are those of the CSV files, by the same code, with the values
as they are: None, or what the library has for it, where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from tui.core.errors import UsageError
from tui.core.safe_text import safe_text
from tui.session import export_csv, export_requests, shelf
from tui.session.exported import honest_cell
from tui.session.kept_profile import edges_of
from tui.session.reader import SessionReader

if TYPE_CHECKING:
    import pandas
    import polars

FrameT = TypeVar("FrameT")
Rows = list[dict[str, Any]]
Columns = Mapping[str, Sequence[Any]]
_LIBRARIES = ("pandas", "polars")


class Session(Generic[FrameT]):
    """What was measured in one session. Tables are read when they are first asked for, and kept.

    Each raises SessionError where the file is damaged.
    """

    def __init__(self, path: Path, frame: Callable[[Columns], FrameT]) -> None:
        """Open a session file to see what it is. For `read`."""
        self._frame = frame
        self.path = path
        """The session file."""
        with SessionReader(path) as reader:
            meta = reader.meta
            self.state = str(reader.state)
            """running, ended, killed."""
        self.session_id = meta.session_id
        self.profile = meta.profile_name
        self.engine = meta.engine
        """The serving system."""
        self.started_at = meta.started_at
        """ISO 8601, UTC."""
        self.simulated = meta.simulated
        """Whether a model of a server answered: no figure of it is one of a real server."""
        self.time_scale = meta.time_scale
        """How many seconds of the session went to a real one; all times are the session's."""
        self.gpus_in_words = meta.gpu_summary
        self.environment = dict(meta.environment)
        """Machine and versions, by name."""

    def __repr__(self) -> str:
        mark = ", SIMULATED" if self.simulated else ""
        return f"<vramp session {self.session_id} of {self.profile}, {self.state}{mark}>"

    @cached_property
    def cells(self) -> FrameT:
        """One row for each measurement of a cell, oldest first; columns as in cells.csv."""
        return self._table(
            export_csv.CELLS, lambda r: [export_csv.cell_row(r.meta, honest_cell(cell)) for cell in r.cells()]
        )

    @cached_property
    def edges(self) -> FrameT:
        """The most users that were served well at each prompt size; columns as in edges.csv."""
        return self._table(export_csv.EDGES, lambda r: [export_csv.edge_row(r.meta, edge) for edge in edges_of(r)])

    @cached_property
    def series(self) -> FrameT:
        """One row for each second of the run; columns as in series.csv."""
        return self._table(export_csv.SERIES, lambda r: [export_csv.series_row(r.meta, point) for point in r.series()])

    @cached_property
    def gpus(self) -> FrameT:
        """One row for each reading of a GPU; columns as in gpus.csv."""
        return self._table(export_csv.GPUS, lambda r: [export_csv.gpu_row(r.meta, reading) for reading in r.gpus()])

    @cached_property
    def requests(self) -> FrameT:
        """One row for each request; columns as in requests.csv. A million of them take some GB of memory."""
        whole: dict[str, list[Any]] = {name: [] for name in export_requests.COLUMNS}
        with SessionReader(self.path) as reader:
            session = list(export_csv.session_columns(reader.meta).values())
            users_of = {cell.tag: cell.users for cell in reader.cells() if cell.tag}
            for batch in reader.request_columns(export_requests.STAND_INS, export_csv.BATCH_ROWS):
                columns = export_requests.columns_of(batch, reader.meta, session, users_of, safe_text)
                for name, values in whole.items():
                    values.extend(map(_plain, columns[name]) if name == "outcome" else columns[name])
        return self._frame(whole)

    def _table(self, names: Sequence[str], rows_of: Callable[[SessionReader], list[dict[str, object]]]) -> FrameT:
        with SessionReader(self.path) as reader:
            rows = rows_of(reader)
        return self._frame({name: [_plain(row[name]) for row in rows] for name in names})


@overload
def read(session: str | os.PathLike[str], frames: Literal["pandas"]) -> Session[pandas.DataFrame]: ...
@overload
def read(session: str | os.PathLike[str], frames: Literal["polars"]) -> Session[polars.DataFrame]: ...
@overload
def read(session: str | os.PathLike[str], frames: Literal["rows"]) -> Session[Rows]: ...
@overload
def read(session: str | os.PathLike[str], frames: None = None) -> Session[Any]: ...


def read(session: str | os.PathLike[str], frames: str | None = None) -> Session[Any]:
    """Open a session: by its file, its id, the beginning of that, or "latest".

    `frames` says as what its tables are wanted: "pandas", "polars", or "rows" (a list of dicts); by default, pandas
    where it is installed, else polars where that is, else rows.

    Raises SessionError where there is no such session or its file is damaged, UsageError for an unknown kind of frames
    or one whose library is not installed.
    """
    kind = frames or next((name for name in _LIBRARIES if find_spec(name) is not None), "rows")
    return Session(shelf.find(os.fspath(session)), _maker_of(kind))


def _maker_of(kind: str) -> Callable[[Columns], Any]:
    if kind == "rows":
        return _rows
    if kind not in _LIBRARIES:
        raise UsageError(f"frames: found {safe_text(str(kind))!r}, expected one of pandas, polars, rows")
    try:
        library = import_module(kind)
    except ImportError:
        raise UsageError(f"{kind} is not installed; pip install 'vramp[{kind}]' brings it along") from None
    if kind == "polars":
        # All rows are looked at: a column may begin with many that have no value.
        return lambda columns: library.DataFrame(columns, strict=False, infer_schema_length=None)
    return lambda columns: library.DataFrame(columns)


def _rows(columns: Columns) -> Rows:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, StrEnum) else value
