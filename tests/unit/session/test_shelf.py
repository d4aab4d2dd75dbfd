from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.core.paths import cache_dir, sessions_dir
from tui.session import shelf
from tui.session.session_summary import SessionSummary
from tui.session.store import SessionWriter


@pytest.fixture(autouse=True)
def _own_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def _kept(name: str, age_s: int = 0, **more: object) -> Path:
    path = made.session(sessions_dir() / f"{name}.vramp", **more)  # type: ignore[arg-type]
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))
    return path


def test_an_empty_shelf_says_so() -> None:
    assert "no sessions are kept" in shelf.as_table(shelf.list_sessions())
    assert json.loads(shelf.as_json(shelf.list_sessions())) == []
    with pytest.raises(SessionError, match="no sessions are kept"):
        shelf.find("latest")


def test_a_session_is_told_in_a_line() -> None:
    cells = [
        made.cell(1, tokens_per_s_total=5.0),
        made.cell(1, tokens_per_s_total=10.0),  # the same cell again
        made.cell(8, tokens_per_s_total=80.0, goodput_requests_per_s=0.8, slo_met=True),
        made.cell(16, tokens_per_s_total=99.0, goodput_requests_per_s=0.1, slo_met=False),
        made.cell(32, outcome=Outcome.OOM_KV, tokens_per_s_total=None),
        made.cell(64, outcome=Outcome.IMPLIED),
    ]
    path = _kept("2026-11-20-180400-demo-ab12", cells=cells)
    (one,) = shelf.list_sessions()
    assert one.file == str(path)
    assert (one.profile, one.state, one.ended_how, one.simulated) == ("demo", "ended", "finished", True)
    assert (one.cells_ok, one.cells_measured) == (3, 4)
    assert one.best == "8 users x 31 tok: 80.0 tok/s"
    table = shelf.as_table(shelf.list_sessions())
    for word in ("2026-11-20-180400-demo-ab12", "ended: finished", "3 ok of 4", one.best, "SIMULATED"):
        assert word in table
    assert json.loads(shelf.as_json(shelf.list_sessions()))[0]["best_users"] == 8


def test_running_killed_and_unreadable_ones_are_told_apart() -> None:
    (sessions_dir() / "c-broken.vramp").write_text("\x1b[31mno")
    writer = SessionWriter(sessions_dir() / "a-running.vramp", made.meta())
    try:
        states = {one.session_id: one.state for one in shelf.list_sessions()}
    finally:
        writer.close("finished")
    assert states == {"a-running": "running", "c-broken": "unreadable"}
    table = shelf.as_table(shelf.list_sessions())
    assert "expected a session file" in table
    assert str(sessions_dir()) not in table  # which is the same for all, and wider than all else


def test_a_session_is_found_by_id_by_its_beginning_by_path_and_as_the_latest(tmp_path: Path) -> None:
    old = _kept("2026-01-01-demo", age_s=100)
    new = _kept("2026-02-02-demo")
    elsewhere = made.session(tmp_path / "elsewhere.vramp")
    assert shelf.find("latest") == new
    assert shelf.find("2026-01-01-demo") == old
    assert shelf.find("2026-01") == old
    assert shelf.find(str(elsewhere)) == elsewhere
    assert shelf.find("elsewhere.vramp") == Path("elsewhere.vramp")
    assert [path.name for path in shelf.session_files()] == ["2026-02-02-demo.vramp", "2026-01-01-demo.vramp"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("2026", "several sessions begin with '2026': 2026-02-02-demo, 2026-01-01-demo"),
        ("2026-01-05-demo", "did you mean 2026-01-01-demo"),
        ("", "no session and no file is called ''"),
        ("zzz", "there are 2026-02-02-demo, 2026-01-01-demo"),
        ("\x1b[31m\x00", "no session and no file is called"),
        ("x" * 5000, "no session and no file is called"),
    ],
)
def test_a_miss_names_the_nearest(wanted: str, told: str) -> None:
    _kept("2026-01-01-demo", age_s=100)
    _kept("2026-02-02-demo")
    with pytest.raises(SessionError) as failure:
        shelf.find(wanted)
    assert told in str(failure.value)
    assert "\x1b" not in str(failure.value)


def test_removing_takes_all_that_lies_beside_but_exports() -> None:
    path = _kept("a")
    for suffix in (".vramp-wal", ".vramp-shm", ".server.log", ".bench.log"):
        (sessions_dir() / f"a{suffix}").write_text("")
    (sessions_dir() / "a").mkdir()
    keep = _kept("ab")
    assert shelf.remove(path) == path
    assert sorted(entry.name for entry in sessions_dir().iterdir()) == ["a", keep.name]


def test_a_session_that_is_being_written_is_not_removed() -> None:
    path = sessions_dir() / "a.vramp"
    writer = SessionWriter(path, made.meta())
    try:
        with pytest.raises(SessionError, match="another bench is writing"):
            shelf.remove(path)
        assert path.exists()
    finally:
        writer.close("finished")
    shelf.remove(path)
    assert list(sessions_dir().iterdir()) == []


def test_only_session_files_are_removed(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("")
    with pytest.raises(SessionError, match="expected a session file"):
        shelf.remove(thesis)
    assert thesis.exists()
    with pytest.raises(SessionError, match="cannot be removed"):
        shelf.remove(tmp_path / "absent.vramp")


def test_a_shelf_that_others_could_read_is_made_private() -> None:
    sessions_dir().chmod(0o755)
    assert sessions_dir().stat().st_mode & 0o777 == 0o700


def test_sessions_are_listed_by_when_they_began_whatever_was_written_since() -> None:
    days = {"b-first": 1, "c-second": 2, "a-third": 3}
    for name, day in days.items():
        begun = made.meta(session_id=name, started_at=f"2026-11-0{day}T09:00:00+00:00")
        SessionWriter(sessions_dir() / f"{name}.vramp", begun).close("finished")
    os.utime(sessions_dir() / "b-first.vramp")
    assert [one.session_id for one in shelf.list_sessions()] == ["a-third", "c-second", "b-first"]


def _index() -> Path:
    (file,) = cache_dir().glob("sessions-*.json")
    return file


def test_what_was_read_once_is_not_read_again_unless_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [_kept(f"s{n}") for n in range(4)]
    before = shelf.list_sessions()
    read: list[Path] = []
    really = shelf.summary

    def summary(path: Path) -> SessionSummary:
        read.append(path)
        return really(path)

    monkeypatch.setattr(shelf, "summary", summary)
    assert shelf.list_sessions() == before and not read
    writer = SessionWriter(paths[1], made.meta(), resume=True)
    try:
        assert {one.session_id: one.state for one in shelf.list_sessions()}["s1"] == "running"
    finally:
        writer.close("went on")
    shelf.remove(paths[2])
    read.clear()
    after = {one.session_id: one.ended_how for one in shelf.list_sessions()}
    assert after == {"s0": "finished", "s1": "went on", "s3": "finished"} and read == [paths[1]]
    assert b"s2" not in _index().read_bytes()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version":"0","entries":{}}', b"\xff" * 100, b'{"version":1}'])
def test_an_index_that_is_damaged_or_gone_is_made_anew(damage: bytes) -> None:
    _kept("s0")
    before = shelf.list_sessions()
    _index().write_bytes(damage)
    assert shelf.list_sessions() == before
    _index().unlink()
    assert shelf.list_sessions() == before
    assert _index().exists()


def test_without_a_cache_folder_sessions_are_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    _kept("s0")
    assert [one.session_id for one in shelf.list_sessions()] == ["s0"]


def test_the_picker_reads_the_newest_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        _kept(f"s{n}", age_s=n * 10)
    assert [one.session_id for one in shelf.summaries(2)] == ["s0", "s1"]
    assert b"s3" not in _index().read_bytes()
    shelf.summaries()
    shelf.summaries(2)
    assert b"s3" in _index().read_bytes()  # what is not asked for now stays known


def test_two_thousand_sessions_are_listed_in_a_moment() -> None:
    first = _kept("s0", cells=[made.cell(users) for users in range(1, 25)])
    for n in range(1, 2000):
        shutil.copy2(first, first.with_name(f"s{n}.vramp"))
    began = time.process_time()
    shelf.list_sessions()
    indexed = time.process_time()
    assert shelf.as_table(shelf.list_sessions()).count("demo") == 2000
    assert time.process_time() - indexed < (indexed - began) / 4  # no session is read again
