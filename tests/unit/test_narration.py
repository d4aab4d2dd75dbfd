"""What a run without the app says of its progress."""

from __future__ import annotations

import msgspec

from tests.fakes import snapshots
from tui.headless import _progress
from tui.metrics.window import TOKENS_WINDOW_S


def test_throughput_says_over_what_time_it_is() -> None:
    # It stands beside the cell under way, and on a fast server most of it is of the cells before.
    snapshot = snapshots.mid_ramp()
    figures = msgspec.structs.replace(snapshot.figures, tokens_per_s_total=7694.2)
    assert (
        _progress(msgspec.structs.replace(snapshot, figures=figures))[-1] == f"7694 tokens/s over {TOKENS_WINDOW_S} s"
    )
