"""What a refresh costs on the wire, counted at the other end of a real pty."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from tests.view.wire_app import MARK, REFRESHES_PER_S

BUDGET_BYTES = 12_000


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_refresh_keeps_within_the_budget(columns: int, rows: int) -> None:
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(Path.cwd())}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tests.view.wire_app"],
        dimensions=(rows, columns),
        env=environment,
        timeout=60,
        maxread=1 << 20,
    )
    try:
        for _ in range(2):  # the first paint of the whole screen is no refresh
            child.expect_exact(MARK)
            child.send("n")
        child.expect_exact(MARK)
        costs: list[int] = []
        for _ in range(10 * REFRESHES_PER_S):
            child.send("n")
            child.expect_exact(MARK)
            costs.append(len(child.before or b""))
        assert min(costs) > 200, f"nothing was drawn: {costs}"
        assert max(costs) <= BUDGET_BYTES, f"bytes per refresh: {costs}"
    finally:
        child.close(force=True)
