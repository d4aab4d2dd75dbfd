"""What a run without the app says of its progress."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes import snapshots
from tui.headless import _Narration, _now
from tui.metrics.reading import Event
from tui.metrics.window import TOKENS_WINDOW_S


def test_throughput_says_over_what_time_it_is() -> None:
    # It stands beside the cell under way, and on a fast server most of it is of the cells before.
    snapshot = snapshots.mid_ramp()
    figures = msgspec.structs.replace(snapshot.figures, tokens_per_s_total=7694.2)
    assert _now(msgspec.structs.replace(snapshot, figures=figures))[-1] == f"7694 tokens/s over {TOKENS_WINDOW_S} s"


def test_without_a_bar_each_cell_is_told_as_what_it_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    event = Event(at_ns=1, source="cell", text="4 users x 64 tokens: 2.16 s", level="info")
    snapshot = msgspec.structs.replace(snapshots.sweeping(), log=[event])
    narration = _Narration(quiet=False)
    narration.show(snapshot)
    told = capsys.readouterr().err.splitlines()
    assert "4 users x 64 tokens: 2.16 s" in told
    assert not [line for line in told if "tokens/s" in line]  # of the moment when the next has hardly begun
