"""The tables of a session file, derived from the values they keep. Pure.

One column per field, named as the field, so that a session file can be read by any SQLite tool without vramp; what is a
struct of its own is JSON in its column. A field that an older file lacks takes its default; a column that this vramp
does not know is passed over. What comes from a file is untrusted: types are checked, text loses its control characters,
infinities become None.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from tui.core.errors import SessionError
from tui.core.safe_text import safe_text
from tui.metrics.cell import CellResult
from tui.metrics.histogram import check_packed
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import ServerStatus

T = TypeVar("T", bound=msgspec.Struct)

TEXT_LIMIT = 4000
MAX_GAPS_BYTES = 4 * 1024 * 1024
STRUCT_LIMIT = 64 * 1024
"""Bytes of JSON that a struct in a column may have."""
_NO_BYTES = zlib.compress(b"", 1)
_SQL_TYPES = {
    "int": "INTEGER",
    "bool": "INTEGER",
    "float": "REAL",
    "str": "TEXT",
    "enum": "TEXT",
    "bytes": "BLOB",
    "struct": "TEXT",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a value as a column."""

    name: str
    kind: str
    """int, bool, float, str, enum, bytes, struct."""
    optional: bool
    default: object
    """Of a field that an older file lacks."""
    values: frozenset[object] = frozenset()
    """Of an enum: all there are."""

    @property
    def sql(self) -> str:
        """Return the column's declaration."""
        return f'"{self.name}" {_SQL_TYPES[self.kind]}'


def columns_of(struct: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Return the columns of a struct, in the order of its fields; these must be scalars, or structs of their own."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    return tuple(Column(field.name, *_kind(field.type), field.default, _values_of(field.type)) for field in info.fields)


def _kind(info: msgspec.inspect.Type) -> tuple[str, bool]:
    match info:
        case msgspec.inspect.UnionType(types=types):
            return next(_kind(inner)[0] for inner in types if not isinstance(inner, msgspec.inspect.NoneType)), True
        case _:
            return type(info).__name__.removesuffix("Type").lower(), False


class Table(Generic[T]):
    """How values of one struct lie in one table. `time_column` orders them on the session's time axis."""

    def __init__(self, name: str, struct: type[T], time_column: str, *, own_time: bool = False) -> None:
        """Derive the columns; with `own_time`, the time column is not of the struct but told at writing."""
        self.name = name
        self.struct = struct
        self.time_column = time_column
        self.own_time = own_time
        self.columns = columns_of(struct)
        self.by_name = {column.name: column for column in self.columns}
        names = ", ".join(f'"{column}"' for column in self.declarations())
        self.target = f"{name} ({names})"
        """Where rows go, for INSERT: the table and its columns."""

    def declarations(self) -> dict[str, str]:
        """Return the declaration of every column, by name."""
        declared = {self.time_column: f'"{self.time_column}" INTEGER'} if self.own_time else {}
        return declared | {column.name: column.sql for column in self.columns}

    def row(self, value: T, at_ns: int, shift_ns: int = 0) -> tuple[object, ...]:
        """Return `value` as a row for `declarations()`, its moments moved by `shift_ns`."""
        cells: list[object] = [at_ns + shift_ns] if self.own_time else []
        for column in self.columns:
            cell = getattr(value, column.name)
            if column.kind == "bytes":
                cell = zlib.compress(cell, 1) if cell else _NO_BYTES
            elif column.kind == "struct":
                cell = _json_of(cell)
            elif column.kind == "enum":
                cell = str(cell)
            elif column.kind == "str" and cell is not None:
                cell = safe_text(cell, limit=TEXT_LIMIT)
            elif shift_ns and cell and column.name.endswith("_ns") and column.name != "connect_ns":
                cell += shift_ns
            cells.append(cell)
        return tuple(cells)

    def columns_of(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, Sequence[Any]]:
        """Return rows (at least one) as columns by name, checked as `value` does, but all cells of one at a time."""
        given = dict(zip(names, zip(*rows, strict=True), strict=True))
        columns: dict[str, Sequence[Any]] = {}
        for column in self.columns:
            if column.name in given:
                columns[column.name] = _checked_column(column, given[column.name])
            elif column.default is msgspec.NODEFAULT:
                raise SessionError(f"table {self.name}: no column {column.name}")
            else:
                columns[column.name] = [column.default] * len(rows)
        return columns

    def value(self, names: Sequence[str], row: Sequence[object]) -> T:
        """Return the value of a row that has the columns `names`; raises SessionError for what cannot be one."""
        fields: dict[str, object] = {}
        for name, cell in zip(names, row, strict=True):
            fields[name] = _checked(self.by_name[name], cell)
        try:
            if self.struct.__struct_config__.array_like:
                whole = [fields.get(column.name, column.default) for column in self.columns]
                return msgspec.convert(whole, self.struct)
            return msgspec.convert(fields, self.struct)
        except (msgspec.ValidationError, TypeError) as error:
            raise SessionError(f"table {self.name}: {error}") from None


def _values_of(info: msgspec.inspect.Type) -> frozenset[object]:
    return frozenset(str(value) for value in info.cls) if isinstance(info, msgspec.inspect.EnumType) else frozenset()


def _checked_column(column: Column, cells: Sequence[Any]) -> Sequence[Any]:
    """Check all cells of a column at once, where its kind allows it."""
    types = set(map(type, cells))
    if type(None) in types and not (column.optional or column.kind == "bytes"):
        raise SessionError(f"column {column.name}: expected {column.kind}, found none")
    if column.kind == "enum" and not column.values.issuperset(cells):
        raise SessionError(
            f"column {column.name}: found a value that is none of {', '.join(sorted(map(str, column.values)))}"
        )
    if column.kind == "enum" or (column.kind == "str" and types == {str} and not any(cells)):
        return cells
    if column.kind == "int" and types <= {int, type(None)} and min((c for c in cells if c is not None), default=0) >= 0:
        return cells
    return [b"" if cell is None and column.kind == "bytes" else _checked(column, cell) for cell in cells]


def _checked(column: Column, cell: object) -> object:
    if cell is None or column.kind == "enum":
        return cell
    if column.kind == "str" and isinstance(cell, str):
        return safe_text(cell, limit=TEXT_LIMIT) if cell else cell
    if column.kind == "float" and isinstance(cell, float):
        return cell if math.isfinite(cell) or not column.optional else None
    if column.kind == "int" and isinstance(cell, int) and cell >= 0:
        return cell
    if column.kind == "bool" and cell in (0, 1):
        return bool(cell)
    if column.kind == "bytes" and isinstance(cell, bytes):
        return _unpacked(column.name, cell)
    if column.kind == "struct" and isinstance(cell, str):
        return _read_json(column.name, cell)
    raise SessionError(f"column {column.name}: expected {column.kind}, found {safe_text(repr(cell), limit=60)}")


def _json_of(value: object) -> str | None:
    if value is None:
        return None
    return msgspec.json.encode(sanitised(msgspec.to_builtins(value))).decode()


def _read_json(name: str, text: str) -> Any:
    """Return what JSON of a file holds, cleaned; whether it is what its field needs is for `value` to check."""
    if len(text) > STRUCT_LIMIT:
        raise SessionError(f"column {name}: expected at most {STRUCT_LIMIT} characters")
    try:
        return sanitised(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError) as error:
        raise SessionError(f"column {name}: {safe_text(str(error), limit=200)}") from None


def _unpacked(name: str, packed: bytes) -> bytes:
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(packed, MAX_GAPS_BYTES)
    except zlib.error as error:
        raise SessionError(f"column {name}: {error}") from None
    if not inflate.eof:
        raise SessionError(f"column {name}: expected at most {MAX_GAPS_BYTES} bytes")
    if name == "gaps_histogram":
        try:
            check_packed(raw)
        except ValueError as error:
            raise SessionError(f"column {name}: {error}") from None
    elif len(raw) % 4:
        raise SessionError(f"column {name}: expected 32-bit gaps")
    return raw


REQUESTS = Table("requests", RequestRecord, "end_ns")
SERIES = Table("series", SeriesPoint, "at_ns")
GPUS = Table("gpus", GpuReading, "at_ns")
CELLS = Table("cells", CellResult, "recorded_at_ns", own_time=True)
EVENTS = Table("events", Event, "at_ns")
TABLES: tuple[Table[Any], ...] = (REQUESTS, SERIES, GPUS, CELLS, EVENTS)
TABLE_OF: dict[type, Table[Any]] = {table.struct: table for table in TABLES}


def rows_by_target(batch: Sequence[tuple[int, msgspec.Struct]], shift_ns: int) -> dict[str, list[tuple[object, ...]]]:
    """Return values, each with the moment it was given (ns), as rows to insert: "table (columns)" to its rows."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for at_ns, value in batch:
        if isinstance(value, ServerStatus):
            status = msgspec.json.encode(value).decode()
            rows.setdefault("server (at_ns, status)", []).append((at_ns + shift_ns, status))
        else:
            table = TABLE_OF[type(value)]
            rows.setdefault(table.target, []).append(table.row(value, at_ns, shift_ns))
    return rows


def typed_json(text: object, expected: type[T]) -> T:
    """Return JSON text from a file as `expected`, its strings without control characters; raises SessionError."""
    if not isinstance(text, str):
        raise SessionError(f"expected JSON for {expected.__name__}, found {type(text).__name__}")
    try:
        return msgspec.convert(sanitised(msgspec.json.decode(text)), expected)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SessionError(f"{expected.__name__}: {safe_text(str(error), limit=200)}") from None


def sanitised(value: Any) -> Any:
    """Return a decoded document with control characters taken out of all its strings, keys included."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {safe_text(str(key)): sanitised(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [sanitised(inner) for inner in value]
    return value


def finite(value: float) -> bool:
    """Say whether a number is one that SQLite and a float can hold: finite, and whole numbers within 63 bits."""
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
