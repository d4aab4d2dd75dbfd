"""Requests and series as Parquet: the same figures as the CSV files, each of its type."""

from __future__ import annotations

import csv
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.session import made
from tui.core.errors import UsageError
from tui.core.outcome import Outcome
from tui.session.export import export_session


@pytest.fixture
def session(tmp_path: Path) -> Path:
    failed = made.request(4, outcome=Outcome.TIMEOUT, first_token_ns=None, last_token_ns=None, error="=1+1", tag=0)
    return made.session(tmp_path / "x.vramp", requests=[*(made.request(n) for n in range(1, 4)), failed])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spelled(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"'{value}" if name == "error" and value else str(value)


def test_parquet_and_csv_say_the_same(session: Path, tmp_path: Path) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    shares: list[float] = []
    written = export_session(session, tmp_path / "out", formats=("csv", "parquet"), on_progress=shares.append)
    for path in (path for path in written if path.suffix == ".parquet"):
        table = parquet.read_table(path)
        told = [{name: spelled(name, value) for name, value in row.items()} for row in table.to_pylist()]
        assert told == rows(path.with_suffix(".csv"))
    kinds = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "out" / "requests.parquet")}
    assert (kinds["ttft_s"], kinds["users"], kinds["outcome"]) == ("double", "int64", "string")
    assert (kinds["start_at"], kinds["simulated"]) == ("timestamp[ms, tz=UTC]", "bool")
    series = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "out" / "series.parquet")}
    assert (series["users_wanted"], series["tokens_per_s_total"], series["at"]) == (
        "int64",
        "double",
        "timestamp[ms, tz=UTC]",
    )
    assert shares[-1] == 1.0


def test_without_pyarrow_it_is_said_how_to_have_it(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"vramp\[parquet\]"):
        export_session(session, tmp_path / "out", formats=("parquet",))
    assert not list(tmp_path.glob("out/*"))
