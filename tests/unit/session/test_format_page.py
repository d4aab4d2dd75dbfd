"""The page that documents the formats names everything that is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tui.session import export_csv
from tui.session.exported import ExportedRun, ExportedServer
from tui.session.meta import SessionMeta
from tui.session.tables import TABLES

_PAGE = (Path(__file__).parents[3] / "docs" / "session-format.md").read_text(encoding="utf-8")


def _names(text: str) -> set[str]:
    return set(re.findall(r"`([^`\s]+)`", text))


@pytest.mark.parametrize(
    ("title", "columns"),
    [
        ("cells.csv", export_csv.CELLS),
        ("requests.csv", export_csv.REQUESTS),
        ("series.csv", export_csv.SERIES),
        ("gpus.csv", export_csv.GPUS),
        ("edges.csv", export_csv.EDGES),
    ],
)
def test_every_column_is_told_and_no_other(title: str, columns: tuple[str, ...]) -> None:
    section = _PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set().union(*(_names(row) for row in rows)) == set(columns)


@pytest.mark.parametrize("struct", [SessionMeta, ExportedRun, ExportedServer])
def test_every_key_is_told(struct: type) -> None:
    assert set(struct.__struct_fields__) - _names(_PAGE) <= {"failure"}  # type: ignore[attr-defined]


def test_every_table_is_told() -> None:
    assert {table.name for table in TABLES} <= _names(_PAGE)
