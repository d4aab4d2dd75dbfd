"""A log on a disk that fills, on a real file system of some MB."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.small_disks import small_disk
from tui.server.log_room import ROOM_BYTES, LogRoom

LINE = b"INFO 11-20 18:00:00 [core.py:1] what a server says all day\n" * 100


def fill(path: Path) -> None:
    """Write until no byte more fits."""
    with path.open("ab", buffering=0) as file:
        block = b"x" * 65536
        while block:
            try:
                if file.write(block) < len(block):
                    block = block[: len(block) // 2]
            except OSError:
                block = block[: len(block) // 2]


def say(log: Path, most: int) -> int:
    """Write lines as a server does, until so many bytes are written or the disk is full; return how many were."""
    written = 0
    with log.open("ab", buffering=0) as file:
        while written < most:
            try:
                written += file.write(LINE)
            except OSError:
                break
    return written


def test_a_server_goes_on_writing_to_its_log_after_the_disk_has_filled(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    with small_disk(tmp_path / "disk", 4096) as folder:
        log = folder / "server.log"
        log.touch()
        room = LogRoom(log, lambda text, level: told.append((level, text)))
        assert log.stat().st_size == 0
        fill(folder / "other")
        room.look()
        assert told == []
        assert say(log, ROOM_BYTES * 3 // 4) >= ROOM_BYTES * 3 // 4
        room.look()
        room.look()
        assert [level for level, _ in told] == ["warning"] and "kB are set aside" in told[0][1]
        written = log.stat().st_size + say(log, ROOM_BYTES)
        assert ROOM_BYTES - len(LINE) <= written <= ROOM_BYTES + 4096
        assert LINE[-40:-1] in log.read_bytes()[-2 * len(LINE) :]
        fill(log)
        room.look()
        assert [level for level, _ in told] == ["warning", "error"] and "is lost" in told[1][1]
        (folder / "other").unlink()
        room.look()
        assert told[2:] == [("info", "the server's log has room again")]
        before, size = os.statvfs(folder).f_bfree, log.stat().st_size
        room.close()
        assert os.statvfs(folder).f_bfree > before and log.stat().st_size == size


def test_a_file_system_that_sets_nothing_aside_is_left_alone(tmp_path: Path) -> None:
    room = LogRoom(Path("/dev/null"), lambda text, level: (_ for _ in ()).throw(AssertionError(text)))
    room.look()
    room.close()
