"""What a run without the app says of its progress."""

from __future__ import annotations

import time

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


def test_a_bench_that_hangs_is_told_of_each_half_minute_even_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    narration = _Narration(quiet=True)
    narration.show(snapshots.sweeping())
    began_s = time.monotonic()
    for after_s in range(70):
        narration.wait_for_word(began_s + after_s)
    assert capsys.readouterr().err.splitlines() == [f"no word from the bench for {n} s" for n in (30, 60)]
    narration.show(snapshots.sweeping())
    narration.wait_for_word(time.monotonic() + 29)
    assert capsys.readouterr().err == ""
