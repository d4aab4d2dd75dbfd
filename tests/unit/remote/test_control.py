"""`vramp ctl` over a real socket: what goes up, what is printed, which code comes back."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.fakes.snapshots import full_grid, mid_ramp, sweeping
from tui.cli import main
from tui.core.paths import socket_of
from tui.link.protocol import (
    FAREWELL,
    AskByHand,
    ChangeUsers,
    Command,
    EndByHand,
    Export,
    FindEdge,
    MeasureAgain,
    Relaunch,
    Reply,
    RestoreUsers,
    SetPromptTokens,
    SetUsers,
    StartRamp,
    StartSweep,
    StepPromptTokens,
    StopBench,
    StopRamp,
    StopSweep,
)
from tui.link.server import LinkServer
from tui.metrics.snapshot import Snapshot


class Sessions:
    """Benches in a thread of their own, which keep what they are told."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.left: list[bool] = []
        self.answer = Reply(0, True)
        self.snapshot: Callable[[], Snapshot] = mid_ramp
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._servers: list[LinkServer] = []

    async def _execute(self, command: Command) -> Reply:
        self.commands.append(command)
        return self.answer

    def open(self, session_id: str) -> None:
        """Have a session of this name run."""
        server = LinkServer(
            socket_of(session_id), snapshot=lambda: self.snapshot(), execute=self._execute, on_empty=self.left.append
        )
        asyncio.run_coroutine_threadsafe(server.open(), self._loop).result(10)
        self._servers.append(server)

    def close(self, farewell: Reply = Reply(FAREWELL, True)) -> None:  # noqa: B008 - frozen
        """End all of them."""
        for server in self._servers:
            asyncio.run_coroutine_threadsafe(server.close(farewell), self._loop).result(10)
        self._servers.clear()

    def end(self) -> None:
        """End the thread as well."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("VRAMP_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = Sessions()
    yield made
    made.end()


@pytest.fixture
def ctl(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vramp", "ctl", *arguments])
        return main()

    return call


Ctl = Callable[..., int]


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("users 64", SetUsers(64)),
        ("users +8", ChangeUsers(8)),
        ("users -8 --cut", ChangeUsers(-8, cut=True)),
        ("users back", RestoreUsers()),
        ("prompt 822", SetPromptTokens(822)),
        ("prompt next", StepPromptTokens(1)),
        ("prompt previous", StepPromptTokens(-1)),
        ("sweep start", StartSweep()),
        ("sweep start --again", StartSweep(again=True)),
        ("sweep stop", StopSweep()),
        ("edge start", FindEdge()),
        ("ramp start", StartRamp()),
        ("ramp stop", StopRamp()),
        ("measure", MeasureAgain()),
        ("measure 64x822 1x31", MeasureAgain([(64, 822), (1, 31)])),
        ("ask What is VRAM?", AskByHand("What is VRAM?")),
        ("ask --end", EndByHand()),
        ("relaunch", Relaunch()),
        ("export", Export()),
        ("export /tmp/out", Export("/tmp/out")),
        ("stop", StopBench()),
    ],
)
def test_each_command_is_what_its_key_sends(words: str, command: Command, sessions: Sessions, ctl: Ctl) -> None:
    sessions.open("2026-a")
    assert ctl(*words.split()) == 0
    assert ctl("2026", *words.split()) == 0  # named by its beginning
    assert sessions.commands == [command, command]


@pytest.mark.parametrize(
    "words",
    ["users many", "users 1e9", "users +", "prompt long", "measure 64", "measure 64xx", "ask", "ask what --end"],
)
def test_what_is_no_number_is_a_mistake_of_usage(words: str, sessions: Sessions, ctl: Ctl) -> None:
    sessions.open("2026-a")
    assert ctl(*words.split()) == 2
    assert sessions.commands == []


def test_a_refusal_is_told_and_is_an_error(sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    sessions.open("2026-a")
    sessions.answer = Reply(0, False, "the server is not ready")
    assert ctl("sweep", "start", "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"session": "2026-a", "ok": False, "message": "the server is not ready"}
    assert said.err == "vramp: the server is not ready\n"


def test_the_folder_of_an_export_is_data(sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    sessions.open("2026-a")
    sessions.answer = Reply(0, True, "/srv/out")
    assert ctl("export", "/srv/out") == 0
    assert capsys.readouterr().out == "/srv/out\n"


def test_of_several_sessions_one_must_be_named(
    sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.open("2026-a")
    sessions.open("2026-b")
    assert ctl("users", "4") == 2
    assert "say which of: 2026-b, 2026-a" in capsys.readouterr().err
    assert ctl("2026-b", "users", "4") == 0
    assert sessions.commands == [SetUsers(4)]


def test_without_a_session_there_is_nothing_to_steer(
    sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("status") == 2
    assert "no bench runs" in capsys.readouterr().err


def test_no_session_ends_because_a_command_has_left(sessions: Sessions, ctl: Ctl) -> None:
    sessions.open("2026-a")
    ctl("users", "4")
    ctl("status")
    sessions.close()
    assert sessions.left == []


def test_the_status_says_simulated_in_both_forms(
    sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions.open("2026-a")
    assert ctl("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["simulated"] is True and told["phase"] == "ready" and told["load"]["users_wanted"] == 32
    assert told["outcomes"] == {"ok": 31} and told["figures"]["tokens_per_s_total"] == 512.0
    assert ctl("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "SIMULATED" in lines[0] and lines[1] == "server: ready"
    assert lines[2] == "load: 32 users (24 of them ask), 296 prompt tokens, 100 output tokens; users ask"
    assert lines[3].startswith("now: 512 tokens/s, 21.3 tokens/s per user") and lines[3].endswith("SIMULATED")


def test_a_wait_sees_what_comes_about(sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    sessions.open("2026-a")
    looks = iter([sweeping(), sweeping()])
    sessions.snapshot = lambda: next(looks, full_grid())
    assert ctl("wait", "done", "--timeout", "20") == 0
    assert capsys.readouterr().out == "all cells of the sweep have an outcome\n"


def test_a_wait_for_a_pause_waits_until_it_lasts(
    sessions: Sessions, ctl: Ctl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tui.remote.control.LASTS_S", 0.3)
    sessions.open("2026-a")
    load = msgspec.structs.replace(mid_ramp().load, activity="idle")
    pause = msgspec.structs.replace(mid_ramp(), load=load)
    looks = iter([pause, sweeping(), pause])
    sessions.snapshot = lambda: next(looks, pause)
    assert ctl("wait", "done", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"session": "2026-a", "ok": True, "waited_for": "done", "message": "nothing is being measured"}
    assert next(looks, None) is None  # the first pause was none


def test_a_wait_ends_with_its_timeout(sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    sessions.open("2026-a")
    sessions.snapshot = sweeping
    assert ctl("wait", "done", "--timeout", "0.3") == 4
    assert capsys.readouterr().err == "vramp: not done within 0.3 s\n"


def test_a_wait_ends_with_its_session(sessions: Sessions, ctl: Ctl, capsys: pytest.CaptureFixture[str]) -> None:
    sessions.open("2026-a")
    sessions.snapshot = sweeping
    ending = threading.Timer(0.5, sessions.close, [Reply(FAREWELL, True, "somebody stopped the session")])
    ending.start()
    assert ctl("wait", "done", "--timeout", "20") == 1
    ending.join()
    assert "somebody stopped the session" in capsys.readouterr().err
