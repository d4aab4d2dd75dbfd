"""Writing a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui.core.files import atomic_file
from tui.report.facts import OnStep, facts_of
from tui.report.page import page


def write_report(
    sessions: Sequence[Path], out: Path, on_step: OnStep = lambda said: None, *, damaged: bool = False
) -> Path:
    """Write session files as one page to `out`, whole or not at all, and return it.

    Raises SessionError (a session cannot be read), UsageError (`out` cannot be written).
    """
    facts = [facts_of(path, on_step, damaged=damaged) for path in sessions]
    text = page(facts, on_step)
    with atomic_file(out) as file:
        file.write(text)
    return out
