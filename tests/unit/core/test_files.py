"""Files are there as a whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.core.files import atomic_file, write_new_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as file:
        file.write("after")
        1 / 0  # noqa: B018
    assert path.read_text() == "before" and names(tmp_path) == ["x"]


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x"
    for text in ("one\r\n", "two\n"):
        with atomic_file(path) as file:
            file.write(text)
    assert path.read_bytes() == b"two\n" and names(path.parent) == ["x"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), atomic_file(tmp_path / "file" / "x"):
        pass
    with pytest.raises(UsageError, match="cannot be written"):
        write_new_file(tmp_path / "file" / "x", b"")


def test_a_new_file_is_written_as_it_is_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_new_file(path, b"\xff\t\r\n")
    assert path.read_bytes() == b"\xff\t\r\n"
    with pytest.raises(FileExistsError):
        write_new_file(path, b"other")
    assert path.read_bytes() == b"\xff\t\r\n" and names(tmp_path) == ["x"]


def test_a_new_file_that_cannot_be_finished_leaves_its_name_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        write_new_file(tmp_path / "x", b"content")
    assert names(tmp_path) == []


_WRITING = """
import sys, time
from pathlib import Path
from tui.core.files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write("half of")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_export_left_goes_at_the_next_one_and_what_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "a[1].csv"
    (tmp_path / ".a[1].csv.keep.part").write_text("not ours")
    started = [subprocess.Popen([sys.executable, "-c", _WRITING, str(path)], stdout=subprocess.PIPE) for _ in "12"]
    killed = started[0]
    try:
        for one in started:
            assert one.stdout is not None and one.stdout.readline() == b"writing\n"
        assert len(list(tmp_path.glob(".a*.part"))) == 3
        killed.kill()
        killed.wait(30)
        with atomic_file(path) as file:
            file.write("whole")
        assert path.read_text() == "whole"
        assert len(list(tmp_path.glob(".a*.part"))) == 2
    finally:
        for one in started:
            one.kill()
            one.communicate()
    with atomic_file(path) as file:
        file.write("again")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".a[1].csv.keep.part", "a[1].csv"]
