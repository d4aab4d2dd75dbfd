from __future__ import annotations

from tui.metrics.gpu_trend import ROUNDS, GpuTrends
from tui.metrics.reading import GpuReading


def card(index: int, **figures: float | int | None) -> GpuReading:
    return GpuReading(at_ns=0, index=index, name="A100", **figures)  # type: ignore[arg-type]


def test_the_latest_minute_of_each_card_is_kept_oldest_first() -> None:
    trends = GpuTrends()
    for second in range(ROUNDS + 5):
        trends.take([card(0, active_share=second / 100, power_w=100.4 + second), card(1, power_w=50.0)])
    first, second_card = trends.trends
    assert (len(first.active_share), first.active_share[0], first.active_share[-1]) == (ROUNDS, 0.05, 0.64)
    assert first.power_w[-1] == 164.0
    assert second_card.index == 1 and set(second_card.active_share) == {None}


def test_slices_have_none_nor_have_cards_that_tell_nothing_or_are_gone() -> None:
    trends = GpuTrends()
    assert trends.trends == []
    trends.take([card(0, power_w=90.0), card(1), card(2, power_w=80.0)])
    trends.take([card(0, mig_index=1, power_w=10.0), card(1), card(2, power_w=81.0)])
    assert [(trend.index, trend.power_w) for trend in trends.trends] == [(2, [80.0, 81.0])]


def test_a_card_that_comes_later_has_nothing_before() -> None:
    trends = GpuTrends()
    trends.take([card(0, power_w=90.0)])
    trends.take([card(0, power_w=91.0), card(1, power_w=70.0)])
    assert trends.trends[1].power_w == [None, 70.0]
