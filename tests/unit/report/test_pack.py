"""One archive to send: whole, bounded, without secrets."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.core.errors import UsageError
from tui.core.known_secrets import learn, learn_environment
from tui.report import pack as packing
from tui.report.pack import pack
from tui.session import history

_SECRET = "hf_ABCDEFghij1234567890"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _texts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_an_archive_holds_export_report_and_logs(tmp_path: Path) -> None:
    session = made.session(tmp_path / "mine.vramp")
    session.with_suffix(".server.log").write_text("ready\n")
    packed = pack(session, tmp_path / "out" / "mine.zip")
    texts = _texts(packed.path)
    assert set(texts) == {
        f"mine/{name}"
        for name in (
            *("session.toml", "cells.csv", "requests.csv", "series.csv", "gpus.csv", "edges.csv"),
            *("report.html", "mine.server.log"),
        )
    }
    assert texts["mine/mine.server.log"] == "ready\n"
    assert len(texts["mine/requests.csv"].splitlines()) == 4
    assert texts["mine/report.html"].startswith("<!DOCTYPE html>")
    assert packed.files == len(texts)
    assert packed.hidden == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.zip"]
    without = _texts(pack(session, tmp_path / "b.zip", requests=False).path)
    assert set(texts) - set(without) == {"mine/requests.csv"}


def test_no_secret_is_in_an_archive(tmp_path: Path) -> None:
    session = made.session(
        tmp_path / "s.vramp", requests=[made.request(1), made.request(2, error=f"denied: Bearer {_SECRET}")]
    )
    session.with_suffix(".server.log").write_text(
        f"start\nHF_TOKEN is {_SECRET}\nGET https://me:{_SECRET}@host/\nknown hunter2hunter2\n"
    )
    learn("hunter2hunter2")
    try:
        packed = pack(session, tmp_path / "s.zip")
    finally:
        learn_environment({})
    whole = "".join(_texts(packed.path).values())
    assert _SECRET not in whole
    assert "hunter2" not in whole
    assert "(not kept)" in whole
    assert packed.hidden >= 4


def test_a_key_of_many_lines_is_hidden_wherever_it_stands(tmp_path: Path) -> None:
    session = made.session(tmp_path / "s.vramp")
    body = "".join(f"MIIEvQIBADANBgkq{number:04d}\n" for number in range(40))
    key = f"-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n"
    # So that the end of a block would fall into it.
    session.with_suffix(".server.log").write_text("x" * (64 * 1024 - 300) + "\n" + key + "y" * 70_000 + "\nlast\n")
    packed = pack(session, tmp_path / "s.zip")
    told = _texts(packed.path)["s/s.server.log"]
    assert "MIIE" not in told
    assert told.endswith("\nlast\n")
    assert packed.hidden == 1


def test_a_long_log_is_sent_with_its_beginning_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LOG_HEAD_BYTES", 100)
    monkeypatch.setattr(packing, "LOG_TAIL_BYTES", 200)
    session = made.session(tmp_path / "s.vramp")
    lines = [f"line {number:04d}\n" for number in range(1000)]
    session.with_suffix(".bench.log").write_text("".join(lines))
    told = _texts(pack(session, tmp_path / "s.zip").path)["s/s.bench.log"].splitlines(keepends=True)
    assert told[0] == lines[0]
    assert told[-1] == lines[-1]
    assert len("".join(told)) < 400
    (gap,) = (line for line in told if line not in lines)
    assert "9,700 bytes left out" in gap


def test_an_archive_that_would_be_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MOST_BYTES", 10)
    session = made.session(tmp_path / "s.vramp")
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="--without-requests"):
        pack(session, out / "s.zip")
    assert list(out.iterdir()) == []


def test_a_report_tells_the_note(tmp_path: Path) -> None:
    session = made.session(tmp_path / "s.vramp")
    history.note(session, "after the <upgrade>")
    text = _texts(pack(session, tmp_path / "s.zip").path)["s/report.html"]
    assert "Note: after the &lt;upgrade&gt;" in text
