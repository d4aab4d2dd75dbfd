"""The live screen fed with a run in which everything moves: one refresh for each `n`, then a mark in the output.

python -m tests.view.wire_app [THEME [AGE_S]]
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import latency_points, log, requests, series, wave
from tests.view.live_app import LiveApp
from tui.core.clock import NS_PER_S
from tui.metrics.gpu_trend import ROUNDS, GpuTrend
from tui.metrics.snapshot import SERIES_POINTS, Snapshot, SweepStatus
from tui.metrics.trend import Trend
from tui.view.themes import DARK

REFRESHES_PER_S = 2
MARK = "\x1b]2;drawn\x07"
_END_NS = snapshots.mid_ramp(400).at_ns
_SERIES = series(500, users=128, now_ns=_END_NS)
_POINTS = latency_points(3000, now_ns=_END_NS, span_s=480)


def moving(step: int, age_s: int | None = None) -> Snapshot:
    """Return the run after `step` half seconds, `age_s` seconds old at first.

    New requests and log lines come, all figures change, charts scroll.
    """
    base = snapshots.mid_ramp(step + 100)
    now_ns = base.at_ns
    done = 7 * step
    rows = [
        msgspec.structs.replace(row, request_id=row.request_id + done, e2e_s=(row.e2e_s or 0) + 0.01 * step)
        for row in requests(60, now_ns=now_ns)
    ]
    events = log(now_ns=now_ns)
    began_ns = 0 if age_s is None else snapshots.mid_ramp(100).at_ns - age_s * NS_PER_S
    so_far = [point for point in _SERIES if began_ns < point.at_ns <= now_ns]
    busy: list[float | None] = [round(0.9 + 0.1 * wave(step // 2 + second, 13), 2) for second in range(ROUNDS)]
    power: list[float | None] = [200 + 100 * wave(step // 2 + second, 13) for second in range(ROUNDS)]
    trends = [GpuTrend(index, busy, power) for index in range(2)]
    return msgspec.structs.replace(
        base,
        series=so_far[-SERIES_POINTS:],
        trend=Trend().extend(so_far).points,
        points=[point for point in _POINTS if point.at_ns <= now_ns][-600:],
        gpu_trends=trends,
        requests=rows,
        log=[*events, *(msgspec.structs.replace(events[-1], text=f"event {step - 3 + place}") for place in range(3))],
        sweep=SweepStatus(running=True, cells_done=31, cells_total=56, cell_progress=step % 50 / 50, remaining_s=400.0),
    )


class WireApp(LiveApp):
    """`n` shows the next snapshot."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("n", "next", priority=True)]

    def __init__(self, theme: str = DARK.name, age_s: int | None = None) -> None:
        super().__init__(moving(0, age_s), theme=theme, colours=os.environ.get("TEXTUAL_COLOR_SYSTEM"))
        self.step = 0
        self.age_s = age_s

    def on_mount(self) -> None:
        """Put the screen up, then say that it stands."""
        super().on_mount()
        self._mark_when_drawn(turns=30)

    def action_next(self) -> None:
        """Show the next snapshot, then say that it is drawn."""
        self.step += 1
        self.live.show(moving(self.step, self.age_s))
        self._mark_when_drawn()

    def _mark_when_drawn(self, turns: int = 6) -> None:
        """Write the mark after some turns of the loop that each end with all that was due being painted."""
        if turns:
            self.live.call_after_refresh(self._mark_when_drawn, turns - 1)
        elif self._driver is not None:
            self._driver.write(MARK)
            self._driver.flush()


if __name__ == "__main__":
    assert snapshots.mid_ramp(1).at_ns - snapshots.mid_ramp(0).at_ns == NS_PER_S // REFRESHES_PER_S
    _, *given = sys.argv
    WireApp(given[0] if given else DARK.name, int(given[1]) if len(given) > 1 else None).run()
