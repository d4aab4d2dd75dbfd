from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.session import made
from tui.core.clock import NS_PER_S, now_ns
from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_text
from tui.metrics.snapshot import Phase, ServerStatus
from tui.session import store
from tui.session.kept_profile import profile_of
from tui.session.meta import axis_shift_ns
from tui.session.reader import SessionReader, SessionState
from tui.session.session_file import MemorySession
from tui.session.store import SessionWriter


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_requests([made.request(1), made.request(2)])
    writer.add_cell(made.cell())
    writer.add_series(made.point(1))
    writer.add_gpus([made.gpu(1), made.gpu(1, 1)])
    writer.add_event(made.event(1))
    status = ServerStatus(phase=Phase.READY, model="m", kv_cache_tokens=1000, launches=1)
    writer.set_server(status)
    writer.close("finished")
    with SessionReader(path) as reader:
        assert list(reader.requests()) == [made.request(1), made.request(2)]
        assert reader.cells() == [made.cell()]
        assert list(reader.series()) == [made.point(1)]
        assert list(reader.gpus()) == [made.gpu(1), made.gpu(1, 1)]
        assert list(reader.events()) == [made.event(1)]
        assert reader.server == status
        assert reader.meta.environment == {"python": "3.11"}
        assert profile_of(reader.meta) == made.PROFILE
        assert reader.ended is not None and reader.ended.how == "finished"
        assert reader.state is SessionState.ENDED
        assert (reader.last_tag(), reader.last_request_id()) == (1, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(made.any_request(), max_size=5), made.any_cells(max_size=3))
def test_any_values_come_back(tmp_path_factory: pytest.TempPathFactory, requests: list, cells: list) -> None:  # type: ignore[type-arg]
    path = made.session(tmp_path_factory.mktemp("s") / "a.vramp", requests=requests, cells=cells)
    with SessionReader(path) as reader:
        kept = sorted(reader.requests(), key=repr)
        expected = [msgspec.structs.replace(r, error=safe_text(r.error)) for r in requests]
        assert kept == sorted(expected, key=repr)
        assert reader.cells() == made.text_cleaned(cells)


def test_a_closed_session_is_one_private_file(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = made.session(tmp_path / "a.vramp")
    finally:
        os.umask(old)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_while_it_is_written_it_can_be_read_and_its_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_cell(made.cell())
    writer.flush()
    try:
        assert {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()} == {0o600}
        with SessionReader(path) as reader:
            assert reader.state is SessionState.RUNNING
            assert reader.cells() == [made.cell()]
    finally:
        writer.close("finished")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def test_two_benches_never_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    try:
        with pytest.raises(SessionError, match="another bench"):
            SessionWriter(path, made.meta(), resume=True)
    finally:
        writer.close("finished")
    SessionWriter(path, made.meta(), resume=True).close("resumed")


def test_an_existing_session_is_not_overwritten(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    with pytest.raises(SessionError, match="exists already"):
        SessionWriter(path, made.meta())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def test_what_is_no_session_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    path.write_text("my thesis")
    with pytest.raises(SessionError, match="expected a session file"):
        SessionWriter(path, made.meta(), resume=True)
    assert path.read_text() == "my thesis"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def test_a_resumed_session_keeps_its_start_and_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    start_ns = now_ns()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    first = SessionWriter(path, made.meta(started_at=started_at, started_at_ns=start_ns))
    first.add_cell(made.cell(1))
    first.close("stopped")
    again = SessionWriter(path, made.meta(session_id="other", started_at_ns=now_ns()), resume=True)
    again.add_cell(made.cell(2))
    again.flush()
    with SessionReader(path) as reader:
        assert reader.state is SessionState.RUNNING
    again.close("finished")
    with SessionReader(path) as reader:
        assert reader.meta.session_id == made.meta().session_id
        assert reader.meta.started_at_ns == start_ns
        assert [cell.users for cell in reader.cells()] == [1, 2]
        assert reader.ended is not None and reader.ended.how == "finished"


def test_an_older_file_gains_the_columns_it_lacks(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    with made.altered(path) as connection:
        connection.execute("ALTER TABLE cells DROP COLUMN goodput_requests_per_s")
    writer = SessionWriter(path, made.meta(), resume=True)
    writer.add_cell(made.cell(2, goodput_requests_per_s=1.5))
    writer.close("finished")
    with SessionReader(path) as reader:
        assert [cell.goodput_requests_per_s for cell in reader.cells()] == [None, 1.5]


def test_the_time_axis_goes_on_after_a_restart_of_the_machine() -> None:
    meta = made.meta()
    started = datetime.fromisoformat(meta.started_at)
    last_ns = made.START_NS + 60 * NS_PER_S
    same_boot = made.START_NS + 100 * NS_PER_S
    assert axis_shift_ns(meta, last_ns, same_boot, started + timedelta(seconds=101)) == 0
    rebooted = 5 * NS_PER_S
    assert axis_shift_ns(meta, last_ns, rebooted, started + timedelta(seconds=300)) + rebooted == (
        made.START_NS + 300 * NS_PER_S
    )
    # A clock that was set back must not let the axis run backwards.
    assert axis_shift_ns(meta, last_ns, rebooted, started) + rebooted == last_ns


def test_a_time_scale_holds_for_the_times_the_writer_gives(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    start_ns = now_ns() - 10 * NS_PER_S
    writer = SessionWriter(path, made.meta(started_at_ns=start_ns, time_scale=100.0))
    writer.close("finished")
    with SessionReader(path) as reader:
        assert reader.ended is not None
        assert reader.ended.at_ns - start_ns >= 1_000 * NS_PER_S


def test_an_open_cell_is_no_result(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", cells=[made.cell(outcome=Outcome.RUNNING)])
    with SessionReader(path) as reader:
        assert reader.cells() == []


def test_the_same_server_status_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for running in range(10):
        writer.set_server(ServerStatus(phase=Phase.READY, running=float(running)))
    writer.close("finished")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM server").fetchone() == (1,)
    connection.close()


def test_what_comes_after_the_end_is_counted_and_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.close("finished")
    writer.close("again")
    writer.add_event(made.event(1))
    writer.flush()
    assert writer.lost == 1


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.vramp"
    writer = SessionWriter(path, made.meta())
    assert "not being kept" in writer.failure and str(path) in writer.failure
    writer.add_requests([made.request()])
    writer.flush()
    writer.close("finished")
    assert "not being kept" in writer.failure
    assert writer.lost == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_stops_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        writer = SessionWriter(tmp_path / "a.vramp", made.meta())
        assert "not being kept" in writer.failure
        writer.close("finished")
    finally:
        tmp_path.chmod(0o700)


def test_nothing_is_written_through_a_link_that_lies_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.vramp").symlink_to(tmp_path / "elsewhere")
    writer = SessionWriter(tmp_path / "a.vramp", made.meta())
    assert "not being kept" in writer.failure
    writer.close("finished")
    assert not (tmp_path / "elsewhere").exists()


def test_a_session_that_is_removed_under_its_bench_is_told_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.vramp"
    given_back: list[MemorySession] = []
    monkeypatch.setattr(MemorySession, "close", lambda self: given_back.append(self))
    told: list[tuple[str, str]] = []
    writer = SessionWriter(path, made.meta(), on_event=lambda text, level: told.append((text, level)))
    writer.add_event(made.event(1))
    writer.flush()
    path.unlink()
    writer.add_event(made.event(2))
    writer.flush()
    assert [level for _, level in told] == ["warning"] and "was taken away" in told[0][0]
    (copy,) = given_back  # it may be large
    copy.connection.close()
    writer.add_event(made.event(3))
    writer.close("finished")
    assert writer.failure == ""
    with SessionReader(path) as reader:
        assert list(reader.events()) == [made.event(1), made.event(2), made.event(3)]
        assert reader.state is SessionState.ENDED
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def test_what_a_removed_file_held_outlives_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    writer = SessionWriter(folder / "a.vramp", made.meta())
    writer.add_event(made.event(1))
    writer.flush()
    shutil.rmtree(folder)
    folder.write_text("")  # nothing can be made in there any more
    writer.add_event(made.event(2))
    writer.flush()
    assert "not being kept" in writer.failure
    with SessionReader(writer.path, writer.in_memory()) as reader:
        assert list(reader.events()) == [made.event(1), made.event(2)]
    folder.unlink()
    writer.close("finished")
    with SessionReader(writer.path) as reader:
        assert list(reader.events()) == [made.event(1), made.event(2)]


def test_a_thread_that_fails_leaves_one_plain_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_event(made.event(1))
    writer.flush()

    def broken(*_: object) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr(SessionWriter, "_write", broken)
    writer.add_event(made.event(2))
    writer.flush()
    assert "it broke" in writer.failure
    writer.close("failed")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]
    with SessionReader(path) as reader:
        assert list(reader.events()) == [made.event(1)]
        assert reader.state is SessionState.KILLED


def test_a_file_that_could_not_be_made_at_the_start_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    writer = SessionWriter(
        tmp_path / "file" / "a.vramp", made.meta(), on_event=lambda text, level: told.append(f"{level}: {text}")
    )
    writer.add_event(made.event(1))
    writer.flush()
    assert len(told) == 1 and told[0].startswith("error: the session is not being kept")
    with SessionReader(writer.path, writer.in_memory()) as reader:
        assert list(reader.events()) == [made.event(1)]
        assert reader.state is SessionState.RUNNING and reader.meta.session_id == made.meta().session_id
    (tmp_path / "file").unlink()
    writer.add_event(made.event(2))
    writer.flush()
    assert told[1].startswith("info: the session is being kept again") and writer.failure == ""
    writer.close("finished")
    with SessionReader(writer.path) as reader:
        assert list(reader.events()) == [made.event(1), made.event(2)]


def test_a_value_that_cannot_be_kept_does_not_stop_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_requests([made.request(1, end_ns=2**70)])
    writer.flush()
    assert writer.lost == 1
    writer.add_requests([made.request(2)])
    writer.close("finished")
    assert "1 values could not be kept" in writer.failure
    with SessionReader(path) as reader:
        assert [record.request_id for record in reader.requests()] == [2]


_DISK_FULL = """
import resource, sys
from pathlib import Path
from tests.unit.session import made
from tui.session import store
store.MAX_PENDING = 3000
path = Path(sys.argv[1])
writer = store.SessionWriter(path, made.meta())
writer.add_requests([made.request(n, error="x" * 300) for n in range(100)])
writer.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for start in range(100, 5100, 500):
    writer.add_requests([made.request(n, error="x" * 300) for n in range(start, start + 500)])
    writer.flush()
assert "not being kept" in writer.failure, writer.failure
assert writer.lost, "beyond the limit values are counted"
writer.add_cell(made.cell())
if sys.argv[2] == "freed":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.flush()
    assert f"{writer.lost} values could not be kept" in writer.failure, writer.failure
if sys.argv[2] == "nearly full":
    size = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60_000, resource.RLIM_INFINITY))
writer.close("finished")
print(writer.lost)
"""


@pytest.mark.parametrize("disk", ["full", "nearly full", "freed"])
def test_a_full_disk_stops_nothing_and_is_used_again_when_freed(tmp_path: Path, disk: str) -> None:
    path = tmp_path / "a.vramp"
    child = subprocess.run(
        [sys.executable, "-c", _DISK_FULL, str(path), disk], capture_output=True, text=True, timeout=100
    )
    assert child.returncode == 0, child.stderr
    with SessionReader(path) as reader:
        kept = sum(1 for _ in reader.requests())
        if disk != "freed":
            assert kept == 100
            assert int(child.stdout) == 5000 + (disk == "full")
            assert reader.cells() == ([made.cell()] if disk == "nearly full" else [])
            assert reader.state == ("ended" if disk == "nearly full" else "killed")
        else:
            assert kept == 5100 - int(child.stdout) > 3000
            assert reader.cells() == [made.cell()]
            assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


_ENDLESS = """
import sys, time
from pathlib import Path
from tests.unit.session import made
from tui.core.clock import now_ns
from tui.metrics.reading import Event
from tui.session.store import SessionWriter
writer = SessionWriter(Path(sys.argv[1]), made.meta(started_at_ns=now_ns()))
number = 0
while True:
    writer.add_event(Event(at_ns=now_ns(), source="bench", text=str(number)))
    number += 1
    time.sleep(0.005)
"""


def test_a_killed_bench_loses_the_last_second_at_most(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    child = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(path)])
    try:
        _wait_for_events(path, child, 300)
    finally:
        child.send_signal(signal.SIGKILL)
        killed_ns = now_ns()
        child.wait(60)
    with SessionReader(path) as reader:
        assert reader.state is SessionState.KILLED
        assert reader.ended is None
        events = list(reader.events())
        assert [int(event.text) for event in events] == list(range(len(events)))
        assert len(events) >= 300
        # Commits are every 0.5 s; a machine that is busy with other tests gets some more.
        assert killed_ns - events[-1].at_ns < 10 * NS_PER_S
    assert store.COMMIT_EVERY_S <= 0.5
    # And the session can be gone on with.
    SessionWriter(path, made.meta(), resume=True).close("finished")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.vramp"]


def _wait_for_events(path: Path, child: subprocess.Popen[bytes], count: int) -> None:
    deadline_ns = now_ns() + 90 * NS_PER_S
    while now_ns() < deadline_ns:
        assert child.poll() is None
        try:
            with SessionReader(path) as reader:
                assert reader.state is SessionState.RUNNING
                if sum(1 for _ in reader.events()) >= count:
                    return
        except SessionError:
            pass  # not there yet
        time.sleep(0.05)
    pytest.fail("the writer wrote nothing")
