"""An exported session.toml read back, strictly: the same numbers, or one clear error. What it holds is untrusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tui.core.errors import SessionError
from tui.core.nearest import did_you_mean
from tui.core.safe_text import safe_line
from tui.core.toml_text import parse_toml
from tui.metrics.cell import CellResult, was_measured
from tui.metrics.conditions import Conditions
from tui.metrics.limits import Verdict
from tui.metrics.occupancy import Occupancy
from tui.metrics.snapshot import FailureReport, ServerSettings
from tui.session.exported import EXPORT_VERSION, ExportedRun, ExportedServer, ExportedSession
from tui.session.tables import finite, sanitised

MAX_BYTES = 64 * 1024 * 1024


def read(path: Path) -> ExportedSession:
    """Return what an exported session.toml says. Raises SessionError for everything that is none."""
    try:
        if not path.is_file():
            raise SessionError(f"{path}: expected an exported session, found no file")
        if path.stat().st_size > MAX_BYTES:
            raise SessionError(f"{path}: expected an exported session, found more than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SessionError(f"{path}: expected UTF-8 text") from None
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from None
    return loads(text, str(path))


def loads(text: str, source: str) -> ExportedSession:
    """Return what the text of an exported session says; `source` is named in errors."""
    try:
        document = sanitised(parse_toml(text))
        _check_version(document)
        _check_keys(document)
        return msgspec.convert(_cells_checked(document), ExportedSession)
    except (msgspec.ValidationError, ValueError, RecursionError, SessionError) as error:
        raise SessionError(f"{source}: {safe_line(str(error), limit=400)}") from None


def _check_version(document: dict[str, Any]) -> None:
    version = document.get("format_version")
    if type(version) is not int:
        raise SessionError("format_version: expected an exported session, found none")
    if version != EXPORT_VERSION:
        raise SessionError(f"format_version: found {version}, expected {EXPORT_VERSION}")


def _check_keys(document: dict[str, Any]) -> None:
    _check_table("", document, ExportedSession)
    _check_table("session.", document.get("session"), ExportedRun)
    _check_table("server.", document.get("server"), ExportedServer)
    if isinstance(server := document.get("server"), dict):
        _check_table("server.failure.", server.get("failure"), FailureReport)
        _check_table("server.settings.", server.get("settings"), ServerSettings)
    cells = document.get("cells", [])
    for number, cell in enumerate(cells if isinstance(cells, list) else []):
        _check_table(f"cells[{number}].", cell, CellResult, extra=("measured",))
        if isinstance(cell, dict):
            for name, struct in (("verdict", Verdict), ("occupancy", Occupancy), ("conditions", Conditions)):
                _check_table(f"cells[{number}].{name}.", cell.get(name), struct)


def _check_table(place: str, table: object, expected: type[msgspec.Struct], extra: tuple[str, ...] = ()) -> None:
    if not isinstance(table, dict):
        return
    known = [*expected.__struct_fields__, *extra]
    for key in table:
        if key not in known:
            raise SessionError(f"{place}{safe_line(key, limit=60)}: found an unknown key{did_you_mean(key, known)}")


def _cells_checked(document: dict[str, Any]) -> dict[str, Any]:
    cells = document.get("cells", [])
    if not isinstance(cells, list):
        raise SessionError("cells: expected a list of tables")
    checked = []
    for number, table in enumerate(cells):
        if not isinstance(table, dict):
            raise SessionError(f"cells[{number}]: expected a table")
        figures = {key: value for key, value in table.items() if key != "measured"}
        measured = table.get("measured", True)
        if measured is not was_measured(str(figures.get("outcome")), int(figures.get("tag", 0) or 0)):
            raise SessionError(f"cells[{number}].measured: found {measured}, which its outcome denies")
        _check_numbers(f"cells[{number}]", figures)
        checked.append(figures)
    return {**document, "cells": checked}


def _check_numbers(place: str, value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(f"{place}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(place, inner)
    elif isinstance(value, int | float) and not (finite(value) and (isinstance(value, float) or value >= 0)):
        raise SessionError(f"{place}: found {value}, expected a number of the field")
