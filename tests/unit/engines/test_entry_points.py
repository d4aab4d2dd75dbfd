"""Serving systems of others: found by an entry point, named without being imported, told in words when they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.core.errors import ProfileError, UsageError
from tui.engines.catalogue import engine_for, names
from tui.profile.engine_names import installed_engines
from tui.profile.loader import parse_profile

MODULE = """
from tui.engines.openai import OpenAiEngine

class Mine(OpenAiEngine):
    name = "mine"

ENGINE = Mine()
"""
PROFILE = 'name = "p"\nengine = "mine"\n[attach]\nbase_url = "http://h"\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed package that brings engines."""
    metadata = tmp_path / "others-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[vramp.engines]\nmine = others_mine:ENGINE\nbroken = others_broken:ENGINE\nvllm = others_mine:ENGINE\n"
    )
    (tmp_path / "others_mine.py").write_text(MODULE)
    (tmp_path / "others_broken.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield tmp_path
    _forget()
    for name in ("others_mine", "others_broken"):
        sys.modules.pop(name, None)


def _forget() -> None:
    installed_engines.cache_clear()
    engine_for.cache_clear()


def test_one_is_known_by_name_without_being_imported(package: Path) -> None:
    assert parse_profile(PROFILE, "p.toml").engine == "mine"
    assert "others_mine" not in sys.modules
    assert engine_for("mine").name == "mine"
    assert "mine" in names()


def test_it_takes_no_name_of_ours(package: Path) -> None:
    assert engine_for("vllm").name == "vllm"


def test_one_that_fails_is_told_in_words(package: Path) -> None:
    with pytest.raises(UsageError, match="since others_broken fails: RuntimeError: no luck"):
        engine_for("broken")


def test_one_that_is_not_installed_is_a_mistake_in_the_profile() -> None:
    with pytest.raises(ProfileError, match=r'found "vlmm", expected .* or "vllm"; did you mean "vllm"\?'):
        parse_profile(PROFILE.replace("mine", "vlmm"), "p.toml")
