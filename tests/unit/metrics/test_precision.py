"""How sure the figures of a cell are: warm-up, intervals, and what is said where the time does not allow them."""

from __future__ import annotations

import random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.precision import (
    LEAST_BINS,
    MOST_VALUES,
    Precision,
    RateBins,
    batch_means_half_width,
    median_half_width,
    mser5,
    precision_of,
    repeats_of,
    thinned,
    unreached,
)


def noise(count: int, seed: int = 1, spread: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [50 + chance.gauss(0, spread) for _ in range(count)]


def test_the_warm_up_is_cut_where_it_ends() -> None:
    rising = [float(value) for value in range(0, 50, 1)]
    cut = mser5([*rising, *noise(400)])
    assert cut is not None and 45 <= cut <= 60


def test_what_is_steady_from_the_beginning_loses_little() -> None:
    cuts = [mser5(noise(600, seed)) for seed in range(40)]
    assert sum(cut is not None and cut <= 150 for cut in cuts) >= 32


def test_a_warm_up_whose_end_is_not_in_sight_is_not_cut() -> None:
    assert mser5([float(value) for value in range(200)]) is None
    assert mser5(noise(49)) is None  # too short to tell


def naive_mser5(series: list[float]) -> int | None:
    """As the paper has it, in so many words."""
    batches = [fmean(series[at : at + 5]) for at in range(0, len(series) - 4, 5)]
    errors = {}
    for cut in range(len(batches) - max(1, len(batches) // 4) + 1):
        left = batches[cut:]
        errors[cut] = sum((value - fmean(left)) ** 2 for value in left) / len(left) ** 2
    best = min(errors, key=lambda cut: (errors[cut], cut))
    return None if best > len(batches) // 2 else best * 5


@given(st.lists(st.floats(0, 1000), min_size=50, max_size=120), st.integers(0, 40))
def test_mser5_is_the_papers(series: list[float], quiet: int) -> None:
    series = [0.0] * quiet + series
    found, right = mser5(series), naive_mser5(series)
    if found != right:  # two cuts as good as each other, told apart by rounding alone

        def error(cut: int | None) -> float:
            batches = [fmean(series[at : at + 5]) for at in range(0, len(series) - 4, 5)][(cut or 0) // 5 :]
            return sum((value - fmean(batches)) ** 2 for value in batches) / len(batches) ** 2

        assert found is None or right is None or error(found) == pytest.approx(error(right), rel=1e-6, abs=1e-6)


def test_half_widths_are_students_over_ten_batches() -> None:
    # Ten batches of five: their means are 0 to 9.
    series = [float(batch) for batch in range(10) for _ in range(5)]
    # s = sqrt(82.5 / 9) = 3.0277; 2.262157 * s / sqrt(10) = 2.16587
    assert batch_means_half_width(series) == pytest.approx(2.16587, abs=1e-4)
    assert median_half_width(series) == pytest.approx(2.16587, abs=1e-4)
    assert batch_means_half_width(series[1:]) is None and median_half_width(series[1:]) is None


def test_a_precision_is_reached_when_both_figures_are() -> None:
    rates, latencies = noise(600, spread=2.0), noise(600, seed=2, spread=2.0)
    sure = precision_of(rates, latencies, asked=0.05, steady=True, lasting_s=600.0)
    assert (sure.state, sure.reached, sure.bins, sure.requests) == ("steady", True, 600, 600)
    assert sure.error is not None and sure.error < 0.05 and unreached(sure) == ""
    drifting = precision_of(rates, latencies, asked=0.05, steady=False, lasting_s=600.0)
    assert (drifting.state, drifting.reached) == ("drifting", False)
    assert unreached(drifting) == "within ±5.0% was asked, but there was no steady state in the time given"
    assert precision_of(rates, latencies, asked=None, steady=True, lasting_s=600.0).reached is None


def test_what_the_time_does_not_allow_is_said() -> None:
    short = precision_of(noise(LEAST_BINS), noise(7), asked=0.05, steady=None, lasting_s=5.0)
    assert short.reached is False
    assert unreached(short) == "within ±5.0% was asked, but the time given is too short to tell: 7 requests ended"
    loose = precision_of(noise(60, spread=30), noise(600), asked=0.01, steady=True, lasting_s=600.0)
    assert "but the time given allows ±" in unreached(loose) and "tokens/s ±" in unreached(loose)
    brief = precision_of(rates := noise(600), rates, asked=0.5, steady=True, lasting_s=499.0)
    assert brief.reached is False and brief.error is not None and brief.error < 0.5
    assert "the time given is less than 10 median latencies" in unreached(brief)
    assert unreached(Precision()) == ""


@given(
    tokens=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 9)), max_size=300),
    bin_ns=st.integers(1, 50),
)
def test_bins_keep_every_token_however_many_there_are(tokens: list[tuple[int, int]], bin_ns: int) -> None:
    bins = RateBins(0, bin_ns)
    bins.add(tokens)
    rates = bins.rates(100_000)
    assert len(rates) <= 512
    latest = max((at for at, _ in tokens), default=0)
    width = next(size for power in range(20) if (size := bin_ns * 2**power) * 512 > latest)
    counted = sum(count for at, count in tokens if at < width * len(rates))
    assert sum(rates) * width / 1e9 == pytest.approx(counted)


def test_what_came_before_counts_not_and_bins_that_go_on_are_left_out() -> None:
    bins = RateBins(1_000, 100)
    bins.add([(900, 5), (1_000, 1), (1_150, 2), (1_250, 4)])
    assert bins.rates(1_230) == [1e7, 2e7]


def test_repeats_have_a_median_and_a_spread() -> None:
    three = repeats_of([1.0, 4.0, 2.0], "mean E2E")
    assert three is not None and (three.count, three.median_s, three.least_s, three.most_s) == (3, 2.0, 1.0, 4.0)
    assert three.half_width_s == pytest.approx(4.303 * 1.527525 / 3**0.5, rel=1e-4)
    two = repeats_of([1.0, 2.0], "mean E2E")
    assert two is not None and two.half_width_s is None and repeats_of([], "mean E2E") is None


def test_many_values_are_thinned() -> None:
    values = [float(value) for value in range(3 * MOST_VALUES + 1)]
    few = thinned(values)
    assert len(few) <= MOST_VALUES and median(few) == pytest.approx(median(values), rel=1e-3)
