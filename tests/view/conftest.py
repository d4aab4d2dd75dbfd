from __future__ import annotations

from pathlib import Path

import pytest

import tests.hypothesis_profile  # noqa: F401
from tests.view.shell import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """The app with a fake bench behind it."""
    return Shell(monkeypatch, tmp_path)
