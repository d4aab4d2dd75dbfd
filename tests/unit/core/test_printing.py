"""Nothing but text reaches the terminal, whoever wrote it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tui
from tui.core.printing import complain, narrate, tell
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
    allowed = {"core/printing.py", "load/ceiling.py", "simulator/log.py"}
    root = Path(tui.__file__).parent
    writing = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(
                r"^(print|click\.s?echo|sys\.std(out|err)\.write)$", ast.unparse(node.func)
            ):
                writing.add(str(path.relative_to(root)))
    assert writing <= allowed
