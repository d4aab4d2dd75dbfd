"""Nothing but text reaches the terminal, whoever wrote it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tui
from tui.core.printing import Span, complain, narrate, tell, tell_painted
from tui.core.safe_text import safe_line, safe_text

HOSTILE = "\x1b]52;c;cm0gLXJm\x07name\x1b[2J\r\x9b31m\u202e\u200b\x00\x7f"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]")


@pytest.mark.parametrize("say", [tell, narrate, complain])
def test_no_control_character_is_printed(say: object, capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)  # type: ignore[operator]
    said = "".join(capsys.readouterr())
    assert "name" in said and not CONTROL.search(said) and "52;c" not in said


@settings(deadline=None)
@given(st.text())
def test_a_line_is_one_line_of_text(text: str) -> None:
    line = safe_line(text)
    assert not CONTROL.search(line) and "\n" not in line
    line.encode("utf-8")


def test_a_flood_of_combining_marks_is_cut_and_writing_is_left_alone() -> None:
    assert len(safe_text("a" + "\u0301" * 10_000 + "b")) == 2 + 4
    assert len(safe_text("a" + "\u0301\u20dd" * 5_000)) == 1 + 4
    for written in ("Việt Nam", "नमस्ते दुनिया", "שָׁלוֹם", "ภาษาไทยที่นี่", "中文字符", "e\u0301\u0327"):
        assert safe_text(written) == written


def test_there_is_one_printer() -> None:
    """No module writes to stdout or stderr by itself, but those that speak to a program, or draw."""
    allowed = {"core/printing.py", "hosts/ray_bridge.py", "load/ceiling.py", "simulator/log.py"}
    allowed |= {"server/serve_program.py"}  # a server's log is what it prints
    root = Path(tui.__file__).parent
    writing = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(
                r"^(print|click\.s?echo|sys\.std(out|err)\.write)$", ast.unparse(node.func)
            ):
                writing.add(str(path.relative_to(root)))
    assert writing <= allowed


def test_painted_lines_have_colours_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line: list[Span] = [("so\x1b[31m ", None), ("good", 0.9), ("bad", -0.1), ("even", 0.0)]
    tell_painted([line])
    assert capsys.readouterr().out == "so goodbadeven\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    tell_painted([line])
    assert capsys.readouterr().out == (
        "so \x1b[48;5;38m\x1b[38;5;255mgood\x1b[0m\x1b[48;5;94m\x1b[38;5;255mbad\x1b[0meven\n"
    )
    monkeypatch.setenv("TERM", "linux")
    tell_painted([line])
    assert capsys.readouterr().out == "so \x1b[34mgood\x1b[39m\x1b[33mbad\x1b[39meven\n"
    monkeypatch.setenv("NO_COLOR", "1")
    tell_painted([line])
    assert "\x1b" not in capsys.readouterr().out
