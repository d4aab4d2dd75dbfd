"""What a refresh costs on the wire, counted at the other end of a real pty: for each size, and each kind of colours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from tests.view.wire_app import MARK, REFRESHES_PER_S
from tui.view.themes import CONTRAST, DARK, LIGHT

BUDGET_BYTES = 12_000
"""Of one refresh at 120x40, whatever moves."""
_CELLS = 120 * 40
_SECONDS = 6


def costs(columns: int, rows: int, theme: str, colours: str, age_s: int) -> list[int]:
    """Return the bytes of each refresh of a run that has gone for `age_s` seconds."""
    told = {"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": colours, "PYTHONPATH": str(Path.cwd())}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tests.view.wire_app", theme, str(age_s)],
        dimensions=(rows, columns),
        env={**os.environ, **told},
        timeout=60,
        maxread=1 << 20,
    )
    try:
        for _ in range(2):  # the first paint of the whole screen is no refresh
            child.expect_exact(MARK)
            child.send("n")
        child.expect_exact(MARK)
        found: list[int] = []
        for _ in range(_SECONDS * REFRESHES_PER_S):
            child.send("n")
            child.expect_exact(MARK)
            found.append(len(child.before or b""))
        return found
    finally:
        child.close(force=True)


@pytest.mark.parametrize(
    ("size", "theme", "colours", "age_s"),
    [
        ((60, 16), DARK.name, "truecolor", 200),
        ((80, 24), DARK.name, "truecolor", 200),
        ((100, 30), DARK.name, "truecolor", 200),
        ((120, 40), DARK.name, "truecolor", 20),
        ((120, 40), DARK.name, "truecolor", 200),
        ((120, 40), LIGHT.name, "truecolor", 110),
        ((120, 40), CONTRAST.name, "truecolor", 110),
        ((120, 40), DARK.name, "256", 110),
        ((120, 40), "ansi-dark", "standard", 110),
        ((200, 50), DARK.name, "truecolor", 200),
        ((300, 80), DARK.name, "truecolor", 200),
    ],
    ids=lambda value: f"{value[0]}x{value[1]}" if isinstance(value, tuple) else str(value),
)
def test_refresh_keeps_within_the_budget(size: tuple[int, int], theme: str, colours: str, age_s: int) -> None:
    found = costs(*size, theme, colours, age_s)
    assert min(found) > 200, f"nothing was drawn: {found}"
    # A larger screen may cost as much more as it has more cells.
    assert max(found) <= BUDGET_BYTES * max(1.0, size[0] * size[1] / _CELLS), f"bytes per refresh: {found}"
