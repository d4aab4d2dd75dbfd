from __future__ import annotations

import pytest

from tui.bench.energy import EnergyMeter
from tui.core.clock import NS_PER_S
from tui.metrics.reading import GpuReading

START_S = 100.0


def cards(at_s: float, *energy_j: float | None) -> list[GpuReading]:
    return [
        GpuReading(at_ns=round((START_S + at_s) * NS_PER_S), index=index, name="card", energy_j=each)
        for index, each in enumerate(energy_j)
    ]


def meter(*rounds: list[GpuReading]) -> EnergyMeter:
    made = EnergyMeter(round(START_S * NS_PER_S))
    for readings in rounds:
        made.take(readings)
    return made


def test_all_cards_count_for_the_whole_cell() -> None:
    taken = meter(
        cards(0.3, 1000.0, 50.0), cards(1.3, 1200.0, 60.0), cards(2.3, 1500.0, 70.0), cards(2.3, 1500.0, 70.0)
    )
    # 520 J in the 2 s between the readings, of a cell of 3 s.
    assert taken.joules(3.0) == pytest.approx(780.0)


def test_what_was_read_before_the_cell_is_not_of_it() -> None:
    assert meter(cards(-0.1, 0.0), cards(0.9, 500.0), cards(1.9, 600.0)).joules(2.0) == pytest.approx(200.0)


def test_a_slice_has_no_counter_and_needs_none() -> None:
    cut = GpuReading(at_ns=round((START_S + 1) * NS_PER_S), index=0, mig_index=1, name="slice")
    assert meter([*cards(1, 10.0), cut], [*cards(2, 30.0), cut]).joules(1.0) == pytest.approx(20.0)


@pytest.mark.parametrize(
    "rounds",
    [
        [],
        [[]],
        [cards(1, 10.0)],
        [cards(1, 10.0), cards(1, 10.0)],
        [cards(1, 10.0, 10.0), cards(2, 20.0, None)],
        [cards(1, None), cards(2, 20.0)],
        [cards(1, 10.0), cards(2, 3.0)],
    ],
    ids=["no round", "no card", "one round", "same round", "card lost", "one known", "counter began again"],
)
def test_what_cannot_be_told_is_none(rounds: list[list[GpuReading]]) -> None:
    assert meter(*rounds).joules(5.0) is None


def test_a_cell_without_a_duration_has_none() -> None:
    assert meter(cards(1, 1.0), cards(2, 2.0)).joules(None) is None
