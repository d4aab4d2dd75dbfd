"""Sessions that are put away, brought back, and after a while gone for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.core.errors import SessionError
from tui.session import shelf, trash
from tui.session.lock import SessionLock


def shelved(tmp_path: Path) -> Path:
    path = tmp_path / "one.vramp"
    made.session(path)
    path.with_suffix(".server.log").write_text("log")
    return path


def test_what_is_put_away_is_on_no_list_and_comes_back_as_it_was(tmp_path: Path) -> None:
    path = shelved(tmp_path)
    before = path.read_bytes()
    away = trash.put_away(path)
    assert not path.exists() and not path.with_suffix(".server.log").exists()
    assert not list(tmp_path.glob("*.vramp"))
    assert trash.put_back(away) == path
    assert path.read_bytes() == before and path.with_suffix(".server.log").read_text() == "log"
    assert not away.parent.exists()
    assert shelf.summary(path).problem == ""


def test_two_of_one_name_lie_apart_and_neither_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    first = trash.put_away(shelved(tmp_path))
    second = trash.put_away(shelved(tmp_path))
    assert first != second
    assert trash.put_back(second).exists()
    with pytest.raises(SessionError, match="there is a file of that name again"):
        trash.put_back(first)
    assert first.exists()


def test_a_session_that_is_written_and_what_is_none_are_left_alone(tmp_path: Path) -> None:
    path = shelved(tmp_path)
    lock = SessionLock(path)
    try:
        with pytest.raises(SessionError):
            trash.put_away(path)
    finally:
        lock.release()
    assert path.exists()
    other = tmp_path / "notes.txt"
    other.write_text("x")
    with pytest.raises(SessionError, match="expected a session file"):
        trash.put_away(other)


def test_only_what_was_put_away_long_ago_is_removed(tmp_path: Path) -> None:
    away = trash.put_away(shelved(tmp_path))
    assert trash.empty(tmp_path) == 0 and away.exists()
    os.utime(away.parent, (0, 0))
    assert trash.empty(tmp_path) == 1 and not away.exists()
    assert trash.empty(tmp_path / "nowhere") == 0


def test_what_was_put_away_last_is_the_one_to_bring_back(tmp_path: Path) -> None:
    assert trash.latest(tmp_path) is None
    for at, number in ((2, 1), (1, 2)):
        os.utime(trash.put_away(shelved(tmp_path)).parent, (at, at))
        assert number == len(list((tmp_path / ".deleted").iterdir()))
    last = trash.latest(tmp_path)
    assert last is not None and last.parent.lstat().st_mtime == 2
    trash.put_back(last)
    (tmp_path / ".deleted" / "odd").mkdir()
    assert trash.latest(tmp_path) not in (None, last), "a folder without a session is passed over"
