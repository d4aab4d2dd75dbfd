"""No bit of a closed session changes unseen."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.core.errors import SessionError
from tui.session import checksum
from tui.session.export import export_session
from tui.session.reader import SessionReader
from tui.session.store import SessionWriter


def read_all(path: Path) -> list[object]:
    with SessionReader(path) as reader:
        return [
            *(reader.meta, reader.ended, reader.server, reader.cells()),
            *(list(reader.requests()), list(reader.series()), list(reader.gpus()), list(reader.events())),
        ]


def test_no_flipped_bit_alters_anything_unseen(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", requests=[made.request(n, error="it is so") for n in range(50)])
    whole, content = read_all(path), path.read_bytes()
    random_bits = random.Random(7)
    seen = 0
    for _ in range(150):
        at, bit = random_bits.randrange(len(content)), random_bits.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            assert read_all(path) == whole, f"bit {bit} of byte {at}"
        except SessionError:
            seen += 1
    assert seen >= 140


def test_every_letter_of_a_text_is_guarded(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", requests=[made.request(1, error="so it was said")])
    content = path.read_bytes()
    at = content.index(b"so it was said")
    for place in range(at, at + 14):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(SessionError, match="checksum does not hold"):
            SessionReader(path)


def test_what_can_be_read_of_a_damaged_session_is_exported_on_demand(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", requests=[made.request(1, error="so it was said")])
    path.write_bytes(path.read_bytes().replace(b"so it was said", b"no it was said"))
    with pytest.raises(SessionError, match="--damaged"):
        export_session(path, tmp_path / "out")
    export_session(path, tmp_path / "out", damaged=True)
    assert "no it was said" in (tmp_path / "out" / "requests.csv").read_text()


def test_a_copy_elsewhere_holds_and_a_resumed_session_is_sealed_anew(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    shutil.copy(path, tmp_path / "b.vramp")
    assert read_all(tmp_path / "b.vramp") == read_all(path)
    for _ in range(3):
        writer = SessionWriter(path, made.meta(), resume=True)
        writer.add_event(made.event(5))
        writer.flush()
        read_all(path)
        writer.close("again")
        read_all(path)
    content = path.read_bytes().replace(b"so it is", b"so it Is", 1)
    path.write_bytes(content)
    with pytest.raises(SessionError, match="checksum does not hold"):
        SessionReader(path)


def test_a_mark_is_found_wherever_it_lies_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "_PIECE_BYTES", 100)
    for before in range(95, 205, 7):
        path = tmp_path / f"{before}"
        mark = checksum.new_mark()
        path.write_bytes(b"x" * before + mark.encode() + b"y" * 150)
        checksum.seal(path, mark)
        sealed = path.read_bytes()[before : before + len(mark)].decode()
        assert sealed != mark and checksum.holds(path, sealed)
        path.write_bytes(path.read_bytes()[:-1] + b"z")
        assert not checksum.holds(path, sealed)
