"""The command line itself: what it makes of its arguments, in this process."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.cli import main
from tui.core.paths import sessions_dir, socket_of
from tui.session.store import SessionWriter


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    for name, folder in (("DATA_HOME", "data"), ("CONFIG_HOME", "config"), ("RUNTIME_DIR", "run")):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / folder))


def vramp(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vramp", *arguments])
    return main()


def test_check_goes_on_after_a_name_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vramp(monkeypatch, "profiles", "check", "nosuch", "demo") == 2
    said = capsys.readouterr().out
    assert 'found no profile "nosuch"' in said and "demo: fine" in said


def test_a_running_session_is_attached_to_and_not_resumed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session_id = made.meta().session_id
    SessionWriter(sessions_dir() / f"{session_id}.vramp", made.meta()).close("finished")
    with socket.socket(socket.AF_UNIX) as bench:
        bench.bind(str(socket_of(session_id)))
        bench.listen()
        assert vramp(monkeypatch, "run", "--resume", session_id) == 2
    assert f"vramp attach {session_id}" in capsys.readouterr().err
