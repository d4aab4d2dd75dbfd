"""Sessions looked for, noted upon, renamed, found to be old."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.core.errors import SessionError, UsageError
from tui.core.outcome import Outcome
from tui.core.paths import sessions_dir
from tui.session import history, shelf
from tui.session.history import Wanted
from tui.session.reader import SessionReader
from tui.session.store import SessionWriter

_NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _kept(name: str = "one", **more: object) -> Path:
    return made.session(sessions_dir() / f"{name}.vramp", **more)  # type: ignore[arg-type]


def _names(wanted: Wanted) -> set[str]:
    return {one.session_id for one in history.matching(shelf.list_sessions(), wanted)}


def test_conditions_find_sessions_and_all_must_hold() -> None:
    _kept("well")
    _kept("full", cells=[made.cell(1), made.cell(8, outcome=Outcome.OOM_KV)])
    history.note(sessions_dir() / "full.vramp", "With the NEW driver")
    begun = datetime.fromisoformat(made.meta().started_at)
    assert _names(Wanted()) == {"well", "full"}
    assert _names(Wanted(outcome="oom-kv")) == {"full"}
    assert _names(Wanted(outcome="ended")) == {"well", "full"}
    assert _names(Wanted(outcome="killed")) == set()
    assert _names(Wanted(text="new driver")) == {"full"}
    assert _names(Wanted(text="WELL")) == {"well"}
    assert _names(Wanted(profile="demo")) == {"well", "full"}
    assert _names(Wanted(profile="other")) == set()
    assert _names(Wanted(since=begun)) == {"well", "full"}
    assert _names(Wanted(since=begun + timedelta(seconds=1))) == set()
    assert _names(Wanted(outcome="oom-kv", text="well")) == set()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("12h", _NOW - timedelta(hours=12)),
        ("2w", _NOW - timedelta(weeks=2)),
        ("90min", _NOW - timedelta(minutes=90)),
    ],
)
def test_moments_are_dates_or_ages(text: str, moment: datetime) -> None:
    assert history.moment_of(text, _NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "5", "-5d", "5 years", "999999w", "2026-13-01"])
def test_other_moments_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a date"):
        history.moment_of(text, _NOW)


def test_a_note_is_kept_in_the_file_whose_seal_holds() -> None:
    path = _kept()
    assert history.note(path, "  as\nagreed \x1b[31m hf_ABCDEF123456 ") == "as agreed  (not kept)"
    with SessionReader(path) as reader:  # which refuses a file whose checksum does not hold
        assert reader.meta.note == "as agreed  (not kept)"
        assert reader.state == "ended"
        assert reader.count_requests() == 3
    content = path.read_bytes()
    path.write_bytes(content.replace(b"as agreed", b"as AGREED"))
    with pytest.raises(SessionError, match="altered or damaged"):
        history.note(path, "again")
    path.write_bytes(content)
    history.note(path, "")
    assert shelf.list_sessions()[0].note == ""


def test_a_note_outlives_that_the_session_goes_on() -> None:
    path = _kept()
    history.note(path, "mine")
    writer = SessionWriter(path, made.meta(), resume=True)
    with pytest.raises(SessionError, match="another bench is writing"):
        history.note(path, "not now")
    writer.close("finished")
    assert shelf.summary(path).note == "mine"


def test_a_note_makes_no_old_session_the_latest_one() -> None:
    old, new = _kept("old"), _kept("new")
    then = (_NOW - timedelta(days=31)).timestamp()
    os.utime(old, (then, then))
    assert [one.note for one in shelf.list_sessions()] == ["", ""]  # remembered from here on
    history.note(old, "seen")
    assert shelf.find("latest") == new
    assert history.older_than(timedelta(days=30), _NOW) == [old]
    assert {one.session_id: one.note for one in shelf.list_sessions()} == {"old": "seen", "new": ""}


def test_a_renamed_session_is_found_by_its_new_name_with_its_logs() -> None:
    path = _kept("old")
    path.with_suffix(".server.log").write_text("ready")
    new = history.rename(path, "before-the-upgrade")
    assert new == shelf.find("before-the-upgrade")
    assert new.with_suffix(".server.log").read_text() == "ready"
    with SessionReader(new) as reader:
        assert reader.meta.session_id == "before-the-upgrade"
        assert reader.count_requests() == 3
    assert {file.name for file in sessions_dir().iterdir()} == {new.name, "before-the-upgrade.server.log"}


def test_a_killed_session_keeps_all_that_lay_in_its_journal(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path / "live.vramp", made.meta())
    writer.add_requests([made.request(number) for number in range(1, 51)])
    writer.flush()
    killed = sessions_dir() / "killed.vramp"
    for suffix in ("", "-wal"):  # as a bench leaves them that is killed now
        shutil.copy(tmp_path / f"live.vramp{suffix}", killed.with_name(killed.name + suffix))
    writer.close("finished")
    new = history.rename(killed, "kept")
    history.note(new, "it died")
    assert [file.name for file in sessions_dir().iterdir()] == [new.name]
    with SessionReader(new) as reader:
        assert (reader.state, reader.count_requests(), reader.meta.note) == ("killed", 50, "it died")


@pytest.mark.parametrize("name", ["", "latest", "../out", "a/b", ".hidden", "a b", "x" * 200, "a.vramp", "é"])
def test_names_that_no_session_can_have_are_refused(name: str) -> None:
    path = _kept()
    with pytest.raises(UsageError, match="expected letters"):
        history.rename(path, name)
    assert path.exists()


def test_nothing_is_renamed_over_another_one_or_while_it_is_written() -> None:
    one, two = _kept("one"), _kept("two")
    before = two.read_bytes()
    with pytest.raises(SessionError, match="already"):
        history.rename(one, "two")
    assert two.read_bytes() == before
    writer = SessionWriter(sessions_dir() / "three.vramp", made.meta())
    try:
        with pytest.raises(SessionError, match="another bench is writing"):
            history.rename(sessions_dir() / "three.vramp", "four")
    finally:
        writer.close("finished")
    assert one.exists()


def test_old_sessions_are_those_written_long_ago_but_none_that_is_being_written() -> None:
    old, new = _kept("old"), _kept("new")
    then = (_NOW - timedelta(days=31)).timestamp()
    os.utime(old, (then, then))
    os.utime(new, (then + 2 * 86400,) * 2)
    assert history.older_than(timedelta(days=30), _NOW) == [old]
    assert history.older_than(timedelta(days=40), _NOW) == []
    assert history.older_than(history.age_of("999999w"), _NOW) == []
    writer = SessionWriter(old, made.meta(), resume=True)
    try:
        writer.flush()
        os.utime(old, (then, then))
        assert old not in history.older_than(timedelta(days=30), _NOW)
    finally:
        writer.close("finished")
