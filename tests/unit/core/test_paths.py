"""Folders that cannot be had: another one, or one sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.core import paths
from tui.core.errors import VrampError
from tui.core.files import log_file

ID = "2026-11-20-180400-demo-ab12"


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary folder of this test's own. pytest's, which are longer, are made first: not in this one."""
    with tempfile.TemporaryDirectory(prefix="vr") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


def test_the_runtime_folder_is_the_first_choice(temporary_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary_folder))
    assert paths.socket_of(ID) == temporary_folder / "vramp" / f"{ID}.sock"
    assert (temporary_folder / "vramp").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_vramps_own_is_the_only_one(temporary_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary_folder))
    monkeypatch.setenv("VRAMP_RUNTIME_DIR", str(temporary_folder / "alone"))
    assert paths.runtime_dirs() == [temporary_folder / "alone"]
    assert paths.socket_of(ID) == temporary_folder / "alone" / f"{ID}.sock"


@pytest.mark.parametrize("wrong", ["too long", "not there", "/proc"])
def test_a_runtime_folder_that_will_not_do_is_passed_over(
    wrong: str, temporary_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    folder = {"too long": deep, "not there": tmp_path / "nowhere"}.get(wrong, Path(wrong))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    found = paths.socket_of(ID)
    assert found.parent == temporary_folder / f"vramp-{os.getuid()}"
    assert found.parent in paths.runtime_dirs()


def test_a_name_too_long_for_every_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(VrampError, match=r"too long.*set XDG_RUNTIME_DIR"):
        paths.socket_of("x" * 200)


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "a\0b"])
def test_a_socket_never_lies_outside_its_folder(name: str) -> None:
    with pytest.raises(VrampError, match="no name of a session"):
        paths.socket_of(name)


def test_folders_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert paths.sessions_dir() == Path("/dev/null/vramp/sessions")  # to be tried again, and named
    with pytest.raises(VrampError, match="cannot be made"):
        paths.cache_dir()


def test_a_log_that_cannot_lie_on_a_disk_lies_in_memory(tmp_path: Path) -> None:
    assert log_file(tmp_path / "a.log") == tmp_path / "a.log"
    elsewhere = log_file(Path("/dev/null/a.log"))
    with elsewhere.open("ab") as written:
        written.write(b"so it is\n")
    assert elsewhere.read_bytes() == b"so it is\n"


@pytest.mark.parametrize(
    ("home", "path", "told"),
    [
        ("/home/ann", "/home/ann/a/b", "~/a/b"),
        ("/home/ann/", "/home/ann/a", "~/a"),
        ("/home/ann", "/home/anna/a", "/home/anna/a"),
        ("/", "/srv/a", "/srv/a"),
        ("", "/srv/a", "/srv/a"),
    ],
)
def test_a_path_is_told_from_the_home_folder_on(
    home: str, path: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    assert paths.from_home(path) == told
