"""A session as a cast: what it holds, what a terminal makes of it, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.unit.session import made
from tui.cli import main
from tui.core.clock import NS_PER_S
from tui.core.errors import UsageError, VrampError
from tui.core.outcome import Outcome
from tui.session.store import SessionWriter
from tui.view import recording
from tui.view.recording import Wish, make_gif, record

SMALL = Wish(columns=80, rows=24, speed=1.0, frames_per_s=2.0)
FAKE_AGG = '#!/bin/sh\n[ "$1" = -- ] && cp "$2" "$3" || { printf \'no\\033[31m such thing\\n\' >&2; exit 3; }\n'


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four seconds, in which two cells become known."""
    monkeypatch.setattr(SessionWriter, "_session_ns", lambda _: made.START_NS + 4 * NS_PER_S)
    failed = made.cell(2, 63, outcome=Outcome.OOM_RUNTIME, time_to_resolve_s=None, tag=2, requests_ok=0)
    return made.session(tmp_path / "s.vramp", cells=[made.cell(1, 31), failed])


def recorded(path: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    head, *events = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return head, events


def test_a_cast_is_asciicast_3_with_a_marker_at_each_cell(session: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    record(session, tmp_path / "a.cast", SMALL, shares.append)
    head, events = recorded(tmp_path / "a.cast")
    assert head["version"] == 3 and head["term"] == {"cols": 80, "rows": 24, "type": "xterm-256color"}
    assert head["title"] == "vramp: A demo (SIMULATED)"
    drawn = [event for event in events if event[1] == "o"]
    assert len(drawn) >= 5 and drawn[0][0] == 0
    assert {after for after, _, _ in drawn[1:]} == {0.5}
    assert [data for _, code, data in events if code == "m"] == ["1 x 31: 0.30 s", "2 x 63: oom-runtime"]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_terminal_that_plays_it_shows_the_session(session: Path, tmp_path: Path) -> None:
    record(session, tmp_path / "a.cast", SMALL)
    screen = pyte.Screen(80, 24)
    stream = pyte.Stream(screen)
    seen = []
    for _, code, data in recorded(tmp_path / "a.cast")[1]:
        if code == "o":
            stream.feed(data)
            seen.append("\n".join(screen.display))
    assert all("SIMULATED" in picture and "REPLAY" in picture for picture in seen)
    assert seen[0] != seen[-1] and "users" in seen[-1] and "plays" in seen[-1]


def test_the_presentation_screen_can_be_recorded(session: Path, tmp_path: Path) -> None:
    record(session, tmp_path / "a.cast", Wish(80, 24, speed=4.0, presentation=True))
    screen = pyte.Screen(80, 24)
    for _, code, data in recorded(tmp_path / "a.cast")[1]:
        if code == "o":
            pyte.Stream(screen).feed(data)
    shown = "\n".join(screen.display)
    assert "SIMULATED" in shown and "1 tokens/s" not in shown


def test_one_that_would_be_too_long_says_which_speed_would_do(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_FRAMES", 3)
    with pytest.raises(UsageError, match=r"expected a --speed of \d+\.\d or more"):
        record(session, tmp_path / "a.cast", SMALL)
    assert not (tmp_path / "a.cast").exists()


def test_one_that_would_be_too_large_leaves_nothing(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_BYTES", 5_000)
    with pytest.raises(UsageError, match="larger"):
        record(session, tmp_path / "a.cast", SMALL)
    assert [path.name for path in tmp_path.iterdir() if "cast" in path.name] == []


def test_an_app_that_breaks_is_told_and_leaves_nothing(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("tui.view.screens.replay.ReplayScreen.show_moment", broken)
    monkeypatch.setattr("tui.view.app.ReplayScreen.show", broken)
    with pytest.raises(VrampError, match="cannot be played: internal error: ZeroDivisionError"):
        record(session, tmp_path / "a.cast", SMALL)
    assert not (tmp_path / "a.cast").exists()


def test_a_gif_is_made_by_agg_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = tmp_path / "a.cast"
    cast.write_text(
        '{"version": 3, "term": {"cols": 80, "rows": 24}, "timestamp": 7}\n'
        '[0.0, "o", "a"]\n[0.5, "m", "é"]\n[0.25, "o", "b"]\n'
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="not on PATH"):
        make_gif(cast, tmp_path / "a.gif")
    agg = tmp_path / "agg"
    agg.write_text(FAKE_AGG.replace("cp", "/bin/cp"))
    agg.chmod(0o755)
    make_gif(cast, tmp_path / "a.gif")
    given = [json.loads(line) for line in (tmp_path / "a.gif").read_text().splitlines()]
    assert given[0] == {"version": 2, "width": 80, "height": 24, "timestamp": 7}, "which older ones read, too"
    assert given[1:] == [[0.0, "o", "a"], [0.5, "m", "é"], [0.75, "o", "b"]]
    (tmp_path / "a.gif").unlink()
    agg.write_text(FAKE_AGG.replace("= --", "= never"))
    with pytest.raises(UsageError, match=r"^agg: no such thing$"):
        make_gif(cast, tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()


def test_the_command_line_records(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEXTUAL_COLOR_SYSTEM", "auto")  # which the command sets, and the test gives back
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    cast = tmp_path / "a.cast"
    for size, code in (("80x24", 0), ("80", 2)):
        monkeypatch.setattr(sys, "argv", ["vramp", "record", str(session), "--cast", str(cast), "--size", size])
        assert main() == code
    said = capsys.readouterr()
    assert said.out == f"{cast}\n" and "expected columns and rows as 120x40" in said.err
    assert recorded(cast)[0]["term"]["cols"] == 80
