from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.session import made
from tui.profile.schema import LoadTable, Mode
from tui.session.room import bytes_needed, free_bytes, in_words


@pytest.mark.parametrize("mode", list(Mode))
def test_what_is_needed_grows_with_what_is_measured(mode: Mode) -> None:
    load = LoadTable(mode=mode, rate_per_s=1.0 if mode is Mode.RATE else None, output_tokens=100)
    one, many, more = (bytes_needed(load, cells) for cells in ([(1, 31)], [(100, 31)], [(100, 31), (100, 63)]))
    assert 0 < one < many < more


def test_the_estimate_is_of_the_size_of_a_real_session(tmp_path: Path) -> None:
    load = LoadTable(mode=Mode.BURST, output_tokens=4, users=[500], prompt_tokens=[31])
    needed = bytes_needed(load, [(500, 31)])
    path = made.session(tmp_path / "a.vramp", requests=[made.request(n) for n in range(500)])
    assert path.stat().st_size <= needed <= 10 * path.stat().st_size


def test_a_folder_that_is_not_there_yet_has_the_room_of_its_disk(tmp_path: Path) -> None:
    found, expected = free_bytes(tmp_path / "not" / "yet"), free_bytes(tmp_path)
    assert found is not None and expected is not None and abs(found - expected) < 10**9


def test_sizes_in_words() -> None:
    assert [in_words(n) for n in (7, 300_000, 1_500_000, 12_000_000_000)] == ["7 B", "300 kB", "1.5 MB", "12 GB"]
