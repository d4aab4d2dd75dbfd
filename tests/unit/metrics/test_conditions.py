"""Under what conditions a cell was measured, and what sets it apart from others."""

from __future__ import annotations

import pytest

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.conditions import CardsWatch, Conditions, pool_note
from tui.metrics.control import control_cell, drift
from tui.metrics.reading import GpuReading


@pytest.mark.parametrize(
    ("tokens", "note"),
    [
        (100_900, ""),
        (98_000, "its KV pool differs by -2.0% from that of launch 1"),
        (None, ""),
    ],
)
def test_another_pool_is_told(tokens: int | None, note: str) -> None:
    earlier = [Conditions(launch=1, kv_pool_tokens=100_000), Conditions(launch=2, kv_pool_tokens=1)]
    assert pool_note(Conditions(launch=2, kv_pool_tokens=tokens), earlier) == note


def test_cards_are_told_by_their_extremes() -> None:
    watch = CardsWatch()
    assert watch.added_to(Conditions()) == Conditions()
    for clock, others, why in ((1410, 0, ""), (1200, 3_000_000_000, "power limit"), (1380, 0, "power limit")):
        reading = GpuReading(
            at_ns=1,
            index=0,
            name="A",
            clock_mhz=clock,
            vram_server_bytes=1,
            vram_neighbours_bytes=others,
            throttle=why,
            power_limit_w=300.0,
        )
        # What others hold of a card that is none of the server's is nothing to it.
        idle = GpuReading(at_ns=1, index=1, name="A", vram_server_bytes=0, vram_neighbours_bytes=7_000_000_000)
        watch.take([reading, idle])
    seen = watch.added_to(Conditions(launch=1, version="0.32.0", server_age_s=12.0))
    assert seen.in_words == [
        "launch 1, 12 s after it was ready",
        "version 0.32.0",
        "how many requests it runs at most is not known",
        "clocks 1200 to 1410 MHz",
        "power limit 300 W",
        "held down: power limit",
        "others held 3.0 GB of its cards",
    ]


def cell(
    users: int, resolve_s: float, launch: int = 1, control_of: int = 0, outcome: Outcome = Outcome.OK
) -> CellResult:
    return CellResult(
        users=users,
        prompt_tokens=60,
        output_tokens=4,
        mode="burst",
        outcome=outcome,
        duration_s=resolve_s,
        time_to_resolve_s=resolve_s,
        conditions=Conditions(launch=launch, control_of=control_of),
    )


def test_the_quickest_cell_that_was_ok_is_measured_again_once() -> None:
    cells = [cell(4, 2.0), cell(1, 1.0), cell(2, 0.5, outcome=Outcome.TIMEOUT), cell(8, 0.1, launch=2)]
    assert control_cell(cells, 1) is None
    assert control_cell(cells, 2) == cells[1]
    assert control_cell([*cells, cell(1, 1.0, launch=2, control_of=1)], 2) is None


def test_the_drift_of_a_control_is_told() -> None:
    assert drift(cell(1, 1.0), cell(1, 1.1, launch=2)) == (
        "control: 1 user x 60 tokens took 1.1 s, 1 s on launch 1 (+10.0%): the launches differ"
    )
    assert drift(cell(1, 1.0), cell(1, 1.01, launch=2)).endswith("(+1.0%): the launches agree")
