from __future__ import annotations

import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tui
from tui.core.toml_text import MAX_KEY_PARTS, TomlError, parse_toml

_BOUNDED = """
import resource, sys
from pathlib import Path
from tui.profile.catalogue import entry_of
from tui.profile.settings import load_settings
from tui.core.errors import VrampError
from tui.session import imported
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
(problem,) = entry_of(path).problems
print(problem)
for read in (load_settings, imported.read):
    try:
        read(path)
    except VrampError as error:
        print(error)
"""
LONG = {
    "bare": ".".join("a" * 20_000) + " = 1",
    "quoted": ".".join(['"a"'] * 9_000) + " = 1",
    "mixed, with spaces": " . ".join(["a", "'b'", '"c"'] * 3_000) + " = 1",
    "a table": "[" + ".".join("a" * 20_000) + "]",
    "tables": "[[" + ".".join("a" * 20_000) + "]]",
    "inline": "x = {" + ".".join("a" * 20_000) + " = 1}",
    "an array": "x = " + "[" * 20_000,
    "inline tables": "x = " + "{a = " * 20_000,
}


@pytest.mark.parametrize("kind", LONG)
def test_what_is_nested_without_end_costs_little(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(f'name = "deep"\n{LONG[kind]}\n')
    done = subprocess.run([sys.executable, "-c", _BOUNDED, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3 and all("deep.toml" in line for line in said)
    assert ("more than 24 parts" in said[0] and "line 2" in said[0]) or "nested too deep" in said[0]


def test_what_people_write_is_read_as_before() -> None:
    text = "\n".join(
        (
            ".".join("abcdefghijklmnopqrstuvwx") + " = 1",
            'notes = """' + "a. b. " * 8 + '"""',
            'versions = ["1.2.3.4.5.6", "10.0.0.1"]',
            "pi = 3.14",
            "[a1.b2.'c d']",
        )
    )
    assert MAX_KEY_PARTS == 24
    assert parse_toml(text) == tomllib.loads(text)
    with pytest.raises(TomlError, match="line 2"):
        parse_toml("\na = = 1")


def test_long_texts_without_dots_are_looked_through_once() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for character in ("a", '"', "'", "a.", "a .", '"".'):
        with pytest.raises(TomlError):
            parse_toml(character * (256 * 1024 // len(character)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 5


def test_all_toml_is_read_within_these_bounds() -> None:
    root = Path(tui.__file__).parent
    users = [str(path.relative_to(root)) for path in root.rglob("*.py") if "import tomllib" in path.read_text()]
    assert users == ["core/toml_text.py"]
