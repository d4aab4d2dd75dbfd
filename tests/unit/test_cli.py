"""The command line itself: what it makes of its arguments, in this process."""

from __future__ import annotations

import io
import os
import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.session import made
from tui.cli import main
from tui.core.errors import ExitCode
from tui.core.paths import sessions_dir, socket_of
from tui.link.launcher import spec_to_resume
from tui.metrics.snapshot import FailureReport, Phase, ServerStatus
from tui.session.store import SessionWriter


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    for name, folder in (("DATA_HOME", "data"), ("CONFIG_HOME", "config"), ("RUNTIME_DIR", "run")):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / folder))


def vramp(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vramp", *arguments])
    return main()


def test_check_goes_on_after_a_name_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vramp(monkeypatch, "profiles", "check", "nosuch", "demo") == 2
    said = capsys.readouterr().out
    assert 'found no profile "nosuch"' in said and "demo: fine" in said


def test_a_running_session_is_attached_to_and_not_resumed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session_id = made.meta().session_id
    SessionWriter(sessions_dir() / f"{session_id}.vramp", made.meta()).close("finished")
    with socket.socket(socket.AF_UNIX) as bench:
        bench.bind(str(socket_of(session_id)))
        bench.listen()
        assert vramp(monkeypatch, "run", "--resume", session_id) == 2
    assert f"vramp attach {session_id}" in capsys.readouterr().err


def test_a_resumed_session_takes_no_options_of_another_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vramp(monkeypatch, "run", "--resume", "latest", "--users", "4") == 2
    assert "goes on as the session was begun" in capsys.readouterr().err


def test_the_list_of_benches_marks_those_whose_launch_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as held:
        for name in ("failing", "fine"):
            bench = held.enter_context(socket.socket(socket.AF_UNIX))
            bench.bind(str(socket_of(name)))
            bench.listen()
        writer = SessionWriter(sessions_dir() / "failing.vramp", made.meta())
        held.callback(writer.close, "stopped")
        failure = FailureReport(failure="oom-weights", summary="", line="", advice="")
        writer.set_server(ServerStatus(phase=Phase.FAILED, failure=failure))
        writer.flush()
        assert vramp(monkeypatch, "attach") == 2
    assert "say which of: fine, failing  failed: oom-weights" in capsys.readouterr().err


OSC_52 = "\x1b]52;c;cm0gLXJm\x07"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.mark.parametrize(
    "arguments",
    [
        ("profiles", "show", "evil"),
        ("profiles", "check", "evil", f"no{OSC_52}such"),
        ("profiles", "list"),
        ("profiles", "show", f"{OSC_52}x"),
        ("sessions",),
        ("sessions", "show", f"{OSC_52}x"),
        ("sessions", "rm", f"2026{OSC_52}"),
        ("export", f"2026{OSC_52}", "--out", f"{{tmp}}/out{OSC_52}"),
        ("export", f"2026{OSC_52}", "--format", f"{OSC_52}"),
        ("run", "demo", "--users", f"{OSC_52}"),
        ("run", "demo", f"--{OSC_52}"),
        ("attach", f"{OSC_52}"),
        (f"{OSC_52}",),
        ("diagnose", f"{OSC_52}"),
    ],
)
def test_nothing_on_the_command_line_reaches_the_terminal_raw(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "config" / "vramp" / "profiles"
    folder.mkdir(parents=True)
    (folder / "evil.toml").write_text(
        'name = "evil"\nengine = "vllm"\n[server]\nmodel = "m"\n'
        'executable = ["vllm\\u001b]52;c;cm0gLXJm\\u0007", "serve"]\n'
    )
    session = sessions_dir() / f"2026{OSC_52}.vramp"
    made.session(session)
    (tmp_path / f"out{OSC_52}").mkdir()
    monkeypatch.chdir(tmp_path)
    vramp(monkeypatch, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    said = "".join(capsys.readouterr())
    assert said.strip() and not CONTROL.search(said)


def test_a_session_is_listened_to_by_its_files_name_and_not_by_what_it_says_of_itself() -> None:
    path = sessions_dir() / "mine.vramp"
    SessionWriter(path, made.meta(session_id="../../../../tmp/elsewhere")).close("finished")
    spec = spec_to_resume(path)
    assert spec.session_id == "mine"
    assert socket_of(spec.session_id).name == "mine.sock"


def test_a_resumed_session_is_launched_with_the_overrides_of_before() -> None:
    path = sessions_dir() / "cramped.vramp"
    writer = SessionWriter(path, made.meta())
    writer.set_server(ServerStatus(phase=Phase.READY, overrides={"max-model-len": "2048"}))
    writer.close("finished")
    assert spec_to_resume(path).overrides == {"max-model-len": "2048"}


@pytest.mark.parametrize(
    ("arguments", "compared"),
    [
        (["demo", "sim-mistral-7b"], ["demo", "sim-mistral-7b"]),
        (["demo"], []),
        (["demo", "sim-mistral-7b", "--json"], []),
        (["demo", "--like", "georgian"], []),
    ],
)
def test_a_run_of_several_profiles_is_compared_at_its_end(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], compared: list[str]
) -> None:
    files: list[Path] = []
    monkeypatch.setattr("tui.headless.run", lambda specs, output: ExitCode.OK)
    monkeypatch.setattr("tui.comparing.conclude", files.extend)
    assert vramp(monkeypatch, "run", *arguments) == 0
    assert len(files) == len(compared)
    assert all(name in path.name for name, path in zip(compared, files, strict=True))


def test_old_sessions_go_only_when_somebody_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal, whatever stands in it
    old, new = (made.session(sessions_dir() / f"{name}.vramp") for name in ("old", "new"))
    os.utime(old, (0, 0))
    assert vramp(monkeypatch, "sessions", "rm") == 2
    assert vramp(monkeypatch, "sessions", "rm", "old", "--older-than", "1d") == 2
    assert vramp(monkeypatch, "sessions", "rm", "--older-than", "1d") == 2
    assert "1 session would be removed" in capsys.readouterr().err
    assert old.exists()
    assert vramp(monkeypatch, "sessions", "rm", "--older-than", "1d", "--yes") == 0
    assert (old.exists(), new.exists()) == (False, True)


def test_a_session_is_noted_found_reported_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    made.session(sessions_dir() / "mine.vramp")
    assert vramp(monkeypatch, "sessions", "note", "mine", "as", "agreed") == 0
    assert vramp(monkeypatch, "sessions", "rename", "mine", "ours") == 0
    capsys.readouterr()
    assert vramp(monkeypatch, "sessions", "list", "--text", "AGREED", "--since", "2026-01-01", "--json") == 0
    assert '"session_id":"ours"' in capsys.readouterr().out
    assert vramp(monkeypatch, "sessions", "list", "--outcome", "timeout") == 0
    assert "none of the 1 sessions is as asked" in capsys.readouterr().out
    assert vramp(monkeypatch, "report", "ours", "-o", "r.html") == 0
    assert vramp(monkeypatch, "sessions", "pack", "ours") == 0
    assert "Note: as agreed" in Path("r.html").read_text(encoding="utf-8")
    assert Path("ours.zip").is_file()
