"""What kinds of terminals there are: their characters and their colours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tui.view
from tui.view.terminal import speaks_utf8
from tui.view.themes import fitting_theme
from tui.view.widgets.ascii import to_ascii


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.utf8"}, True),
        ({"LC_ALL": "C"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ({"LANG": "en_US.ISO-8859-1"}, False),
        ({"LANG": "ja_JP.eucJP"}, False),
    ],
)
def test_the_locale_says_whether_characters_are_utf8(environ: dict[str, str], utf8: bool) -> None:
    assert speaks_utf8(environ) is utf8


@pytest.mark.parametrize(
    ("theme", "colours", "fitting"),
    [
        ("vramp-dark", "truecolor", "vramp-dark"),
        ("vramp-dark", "256", "vramp-dark"),
        ("vramp-dark", "standard", "ansi-dark"),
        ("vramp-light", "standard", "ansi-light"),
        ("ansi-light", "standard", "ansi-light"),
        ("vramp-dark", None, "vramp-dark"),
    ],
)
def test_sixteen_colours_are_the_terminals_own(theme: str, colours: str | None, fitting: str) -> None:
    assert fitting_theme(theme, colours) == fitting


def test_without_colours_the_terminal_keeps_its_own() -> None:
    assert fitting_theme("vramp-contrast", "truecolor", no_colour=True) == "ansi-dark"


def test_every_character_that_the_view_draws_has_a_likeness_in_ascii() -> None:
    folder = Path(tui.view.__file__).parent
    drawn: dict[str, str] = {}
    for path in folder.rglob("*.py"):
        if path.name == "ascii.py":
            continue
        tree = ast.parse(path.read_text())
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                drawn |= {char: path.name for char in node.value if not char.isascii()}
    assert {char: where for char, where in drawn.items() if "?" in to_ascii(char)} == {}
