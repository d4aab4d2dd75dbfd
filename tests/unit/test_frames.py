"""`import vramp`: what notebooks read."""

from __future__ import annotations

import csv
import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import vramp

import tui.frames
from tests.unit.session import made
from tui.core.outcome import Outcome
from tui.core.paths import sessions_dir
from tui.session.export import export_session

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
_TABLES = ("cells", "edges", "requests", "series", "gpus")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _kept() -> Path:
    requests = [made.request(1), made.request(2), made.request(3, outcome=Outcome.TIMEOUT, error="=too late")]
    return made.session(sessions_dir() / "2026-11-20-180400-demo-ab12.vramp", requests=requests)


def test_rows_are_those_of_the_csv_files(tmp_path: Path) -> None:
    path = _kept()
    session = vramp.read(path, frames="rows")
    assert (session.profile, session.state, session.simulated) == ("demo", "ended", True)
    assert "SIMULATED" in repr(session)
    export_session(path, tmp_path, formats=("csv",))
    for name in _TABLES:
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            told = list(csv.DictReader(file))
        rows: list[dict[str, Any]] = getattr(session, name)
        assert len(rows) == len(told) > 0
        for row, other in zip(rows, told, strict=True):
            assert list(row) == list(other)
            for column, value in row.items():
                assert _as_told(value) == other[column].removeprefix("'"), (name, column)


def _as_told(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_a_session_is_found_as_by_the_commands() -> None:
    path = _kept()
    for wanted in ("latest", "2026-11-20", str(path), path):
        assert vramp.read(wanted, frames="rows").path == path
    with pytest.raises(vramp.SessionError, match="no session"):
        vramp.read("another")
    with pytest.raises(vramp.UsageError, match="expected one of pandas, polars, rows"):
        vramp.read(path, frames="excel")  # type: ignore[call-overload]


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _kept()
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(vramp.UsageError, match=r"pip install 'vramp\[polars\]'"):
        vramp.read(path, frames="polars")
    monkeypatch.setattr(tui.frames, "find_spec", lambda name: None)
    assert isinstance(vramp.read(path).cells, list)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_hold_the_same_as_rows(library: Any) -> None:
    module = importlib.import_module(library)
    path = _kept()
    session, rows = vramp.read(path, frames=library), vramp.read(path, frames="rows")
    for name in _TABLES:
        frame, plain = getattr(session, name), getattr(rows, name)
        assert isinstance(frame, module.DataFrame)
        assert list(frame.columns) == list(plain[0])
        assert len(frame) == len(plain)
    assert list(session.requests["outcome"]) == ["ok", "ok", "timeout"]
    assert list(session.requests["ttft_s"][:2]) == [row["ttft_s"] for row in rows.requests[:2]]


def test_the_worked_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _kept()
    example = "\n".join(re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL))
    exec(compile(example, "docs/notebooks.md", "exec"), {"__name__": "notebook"})
    said = capsys.readouterr().out
    assert "SIMULATED" in said
    assert "1 users x 31 tokens: 33 tokens/s" in said
    assert "1 requests failed: {'=too late'}" in said


def test_the_page_names_what_a_session_has() -> None:
    session = vramp.read(_kept(), frames="rows")
    public = {name for name in [*vars(session), *vars(type(session))] if not name.startswith("_")}
    assert public <= set(re.findall(r"`(\w+)`", _PAGE))


def test_a_wheel_holds_the_public_package_beside_the_internal_one(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=_ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"vramp/__init__.py", "vramp/py.typed", "tui/py.typed", "tui/report/style.css", "tui/report/page.js"} <= set(
        names
    )
    assert not [name for name in names if name.startswith("tui/public")]
    assert len(names) == len(set(names))


def test_importing_it_brings_no_library_along() -> None:
    told = "import sys, vramp; print([name for name in ('pandas', 'polars', 'textual') if name in sys.modules])"
    path = f"{_ROOT}:{_ROOT / 'tui' / 'public'}"
    done = subprocess.run(
        [sys.executable, "-c", told], env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert importlib.import_module("vramp").__version__
