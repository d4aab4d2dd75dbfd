from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.session import made
from tui.core.clock import NS_PER_S
from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.metrics.record import gaps_between
from tui.session.kept_profile import cells_of_sweep
from tui.session.reader import SessionReader, SessionState, latest_cells
from tui.session.replay import snapshot
from tui.session.store import SessionWriter
from tui.session.tables import REQUESTS


def _read_all(path: Path) -> None:
    with SessionReader(path) as reader:
        for values in (reader.requests(), reader.series(), reader.gpus(), reader.events()):
            list(values)
        reader.cells()
        assert reader.server is None or reader.server.phase
        snapshot(reader)


def _spoil(path: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    with made.altered(path) as connection:
        for statement in statements:
            connection.execute(statement, parameters)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b""), "expected a session file"),
        (lambda path: path.write_text("my thesis\n" * 1000), "expected a session file"),
        (lambda path: path.mkdir(), "not a file"),
        (os.mkfifo, "not a file"),
        (lambda path: _spoil(path, "CREATE TABLE photos (name)"), "expected a session file"),
    ],
)
def test_what_is_no_session_is_told_in_a_sentence(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    path = tmp_path / "a.vramp"
    make(path)
    with pytest.raises(SessionError, match=told) as failure:
        SessionReader(path)
    assert str(failure.value).startswith(str(path))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("UPDATE cells SET users = 'many'", ()),
        ("UPDATE cells SET users = -1", ()),
        ("UPDATE cells SET users = NULL", ()),
        ("UPDATE cells SET users = 1.5", ()),
        ("UPDATE cells SET outcome = 'splendid'", ()),
        ("UPDATE cells SET steady = 7", ()),
        ("UPDATE cells SET mode = ?", (b"\x00",)),
        ("UPDATE cells SET time_to_resolve_s = 'soon'", ()),
        ("UPDATE requests SET event_gaps_us = ?", (b"no zlib",)),
        ("UPDATE requests SET event_gaps_us = ?", (zlib.compress(b"\x00" * 7),)),
        ("UPDATE requests SET event_gaps_us = ?", (zlib.compress(b"\x00" * 2**27),)),
        ("UPDATE requests SET gaps_histogram = ?", (zlib.compress(b"\x00" * 7),)),
        ("UPDATE requests SET gaps_histogram = ?", (zlib.compress(b"\xff" * 6),)),
        ("UPDATE requests SET http_status = 1e300", ()),
        ("UPDATE meta SET value = '{' WHERE key = 'engine'", ()),
        ("UPDATE meta SET value = '[1]' WHERE key = 'started_at_ns'", ()),
        ("UPDATE meta SET value = ? WHERE key = 'engine'", ("[" * 100_000,)),
        ("UPDATE meta SET value = '1' WHERE key = 'ended'", ()),
        ("UPDATE meta SET value = '0' WHERE key = 'time_scale'", ()),
        ("UPDATE meta SET value = '1e999' WHERE key = 'time_scale'", ()),
        ("DELETE FROM meta WHERE key = 'session_id'", ()),
        ("INSERT INTO server VALUES (1, '{}')", ()),
        ("INSERT INTO server VALUES (1, NULL)", ()),
        ("DROP TABLE cells", ()),
        ("PRAGMA user_version = 99", ()),
        ("PRAGMA application_id = 99", ()),
        ("CREATE VIEW more AS SELECT 1", ()),
        ("CREATE TRIGGER t AFTER INSERT ON cells BEGIN SELECT 1; END", ()),
        ("ALTER TABLE cells DROP COLUMN users", ()),
    ],
)
def test_a_spoilt_session_is_an_error_in_a_sentence(
    tmp_path: Path, statement: str, parameters: tuple[object, ...]
) -> None:
    path = made.session(tmp_path / "a.vramp")
    _read_all(path)
    _spoil(path, statement, parameters=parameters)
    with pytest.raises(SessionError) as failure:
        _read_all(path)
    assert str(failure.value).startswith(f"{path}: ")
    assert len(str(failure.value)) < 600


def test_a_view_in_the_place_of_a_table_is_not_run(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    endless = "WITH RECURSIVE n(at_ns) AS (SELECT 1 UNION ALL SELECT at_ns + 1 FROM n) SELECT at_ns FROM n"
    _spoil(path, "DROP TABLE series", f"CREATE VIEW series AS {endless}")
    with pytest.raises(SessionError, match="views"):
        SessionReader(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    requests = [made.request(n) for n in range(1, 100)]
    return made.session(tmp_path_factory.mktemp("whole") / "a.vramp", requests=requests)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_told_as_that(whole: Path, tmp_path: Path, share: float) -> None:
    content = whole.read_bytes()
    path = tmp_path / "a.vramp"
    path.write_bytes(content[: round(len(content) * share)])
    with pytest.raises(SessionError) as failure:
        _read_all(path)
    assert f"cut off: {path.stat().st_size:,} of its {len(content):,} bytes are left" in str(failure.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_anywhere_is_read_or_told_but_never_crashes(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content)), "at") :]
    else:
        for _ in range(data.draw(st.integers(1, 20), "bytes")):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.vramp"
    path.write_bytes(content)
    try:
        _read_all(path)
    except SessionError as error:
        assert str(path) in str(error)


def test_text_from_a_file_cannot_reach_the_terminal(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    _spoil(path, "UPDATE events SET text = ?", parameters=("\x1b]0;title\x07\x1b[31mred\u202e\x00",))
    _spoil(path, "UPDATE meta SET value = ? WHERE key = 'profile_name'", parameters=('"\\u001b[2Jdemo"',))
    _spoil(path, "UPDATE requests SET error = CAST(x'ff41ff' AS TEXT)")
    with SessionReader(path) as reader:
        assert [event.text for event in reader.events()] == ["red"]
        assert reader.meta.profile_name == "demo"
        assert {record.error for record in reader.requests()} == {"\ufffdA\ufffd"}


def test_infinite_figures_are_missing_figures(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    _spoil(path, "UPDATE cells SET time_to_resolve_s = 9e999, ttft_p50_s = -9e999")
    with SessionReader(path) as reader:
        assert reader.cells()[0].time_to_resolve_s is None
        assert reader.cells()[0].ttft_p50_s is None


def test_older_and_newer_columns_do_no_harm(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    _spoil(
        path,
        "ALTER TABLE requests DROP COLUMN connect_ns",
        "ALTER TABLE requests DROP COLUMN gaps_histogram",
        "ALTER TABLE requests ADD COLUMN mood TEXT DEFAULT 'good'",
        "ALTER TABLE cells DROP COLUMN slo_met",
    )
    with SessionReader(path) as reader:
        assert list(reader.requests()) == [made.request(n, gaps_histogram=b"") for n in range(1, 4)]
        assert reader.cells() == [made.cell()]


def test_a_finished_session_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        _read_all(path)
    finally:
        tmp_path.chmod(0o700)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def test_a_copy_taken_without_what_lies_beside_it_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path / "a.vramp", made.meta())
    writer.add_cell(made.cell())
    writer.flush()
    (tmp_path / "copies").mkdir()
    shutil.copy(tmp_path / "a.vramp", tmp_path / "copies" / "a.vramp")
    shutil.copy(tmp_path / "a.vramp", tmp_path / "copies" / "b.vramp")
    shutil.copy(tmp_path / "a.vramp-wal", tmp_path / "copies" / "b.vramp-wal")
    writer.close("finished")
    with SessionReader(tmp_path / "copies" / "b.vramp") as reader:
        assert reader.state is SessionState.KILLED
        assert reader.cells() == [made.cell()]
    try:
        _read_all(tmp_path / "copies" / "a.vramp")
    except SessionError as error:
        assert "a.vramp" in str(error)


def test_what_is_asked_for_is_what_comes(tmp_path: Path) -> None:
    requests = [made.request(n, tag=n % 2) for n in range(1, 11)]
    requests[3] = made.request(4, outcome=Outcome.TIMEOUT, tag=0)
    requests[4] = made.request(5, outcome=Outcome.CANCELLED, tag=1)
    path = made.session(tmp_path / "a.vramp", requests=requests)
    with SessionReader(path) as reader:

        def ids(**asked: object) -> list[int]:
            return [record.request_id for record in reader.requests(**asked)]  # type: ignore[arg-type]

        at_5_ns = made.START_NS + 6 * NS_PER_S - 1
        assert ids(until_ns=at_5_ns) == [1, 2, 3, 4, 5]
        assert ids(since_ns=at_5_ns) == [6, 7, 8, 9, 10]
        assert ids(until_ns=at_5_ns, last=2) == [4, 5]
        assert ids(failed=True) == [4]
        assert [record.request_id for record in reader.requests_of([0])] == [2, 4, 6, 8, 10]
        assert ids(started_ns=made.START_NS + 2 * NS_PER_S + 2_000) == [1, 2]
        assert reader.request_counts() == (8, 1)
        assert reader.request_counts(at_5_ns) == (3, 1)
        assert reader.had_tokens_before(at_5_ns) and not reader.had_tokens_before(made.START_NS)


def test_the_latest_result_of_each_cell_is_its_result() -> None:
    cells = [made.cell(2), made.cell(1), made.cell(2, time_to_resolve_s=9.0), made.cell(1, mode="steady")]
    assert latest_cells(cells, "burst") == [made.cell(1), made.cell(2, time_to_resolve_s=9.0)]
    assert len(latest_cells(cells, None)) == 3


def test_the_cells_of_the_sweep_are_those_of_the_profiles_mode(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", cells=[made.cell(2), made.cell(1, mode="steady")])
    with SessionReader(path) as reader:
        assert cells_of_sweep(reader) == [made.cell(2)]


def test_a_long_session_is_read_in_one_pass_and_shown_by_its_index(tmp_path: Path) -> None:
    count = 100_000
    gaps = msgspec.structs.asdict(gaps_between([n * 20_000_000 for n in range(100)]))
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for start in range(0, count, 10_000):
        writer.add_requests([made.request(n, **gaps) for n in range(start, start + 10_000)])
        writer.flush()
    writer.close("finished")
    assert writer.lost == 0
    with SessionReader(path) as reader:
        assert sum(1 for _ in reader.requests()) == count
        shown = snapshot(reader, made.START_NS + 50_000 * NS_PER_S)
        assert shown.figures.requests_ok_total == 50_000
        assert shown.requests[0].request_id == 49_999
    # The newest of a moment come from the index, whatever the length of the session.
    connection = sqlite3.connect(path)
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT * FROM {REQUESTS.name} WHERE end_ns > -1 AND end_ns <= 5 "
        "ORDER BY end_ns DESC, rowid DESC LIMIT 3"
    ).fetchall()
    connection.close()
    assert "USING INDEX requests_by_time" in str(plan) and "TEMP B-TREE" not in str(plan)


def test_of_a_measure_that_was_told_again_the_last_telling_counts_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    first, second = made.cell(1, tag=7, caveats=""), made.cell(2, tag=8)
    again, unasked = made.cell(1, tag=9), made.cell(4, tag=0, outcome=Outcome.IMPLIED)
    marked = msgspec.structs.replace(first, caveats="its KV pool differs")
    for moment, cell in enumerate((first, second, unasked, marked, again, unasked), start=1):
        writer.add_cell(cell, at_ns=made.START_NS + moment)
    writer.close("finished")
    with SessionReader(path) as reader:
        assert reader.cells() == [marked, second, unasked, again, unasked]
        assert reader.cells(made.START_NS + 3) == [first, second, unasked]
        assert latest_cells(reader.cells(), None) == [again, second, unasked]
