"""How sure the figures of a cell are: warm-up, intervals, and what is said where the time does not allow them."""

from __future__ import annotations

import math
import random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.precision import (
    FEWEST_INDEPENDENT,
    LATENCIES,
    LEAST_VALUES,
    MOST_VALUES,
    Precision,
    RateBins,
    interval_of_mean,
    interval_of_median,
    mser5,
    precision_of,
    repeats_of,
    slices,
    t_95,
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


@pytest.mark.parametrize(
    ("freedom", "t"), [(2, 4.3027), (3, 3.1824), (9, 2.2622), (14, 2.1448), (15, 2.1314), (29, 2.0452), (1000, 1.9623)]
)
def test_students_quantile_is_the_tables(freedom: int, t: float) -> None:
    assert t_95(freedom) == pytest.approx(t, rel=1e-3)


@given(st.floats(2, 200), st.floats(0.01, 20))
def test_students_quantile_falls_with_its_freedom(freedom: float, more: float) -> None:
    assert t_95(freedom) >= t_95(freedom + more) > 1.9599


def test_ten_batches_without_likeness_are_students() -> None:
    # Ten batches of five, whose means go up and down: r = -0.9, so that they are taken for independent.
    series = [float(batch % 2) for batch in range(10) for _ in range(5)]
    # s = sqrt(10 x 0.25 / 9) = 0.52705; 2.262157 x s / sqrt(10) = 0.37703
    found = interval_of_mean(series)
    assert found is not None and found.half_width == pytest.approx(0.37703, rel=1e-3) and found.independent == 10
    assert interval_of_mean(series[1:]) is None


def test_the_interval_of_a_median_is_that_of_logarithms() -> None:
    # Sections of 1 and of e^2 in turn, so that the logarithms are 0 and 2: four times the squares of 0 and 1.
    values = [math.exp(2.0 * (section % 2)) for section in range(10) for _ in range(5)]
    middle = median(values)
    squares = 5 * math.log(middle) ** 2 + 5 * (2 - math.log(middle)) ** 2
    half = 2.262157 * math.sqrt(squares / 90)
    found = interval_of_median(values)
    assert found is not None and found.half_width == pytest.approx(middle * (math.exp(half) - 1), rel=1e-3)
    assert interval_of_median(values[1:]) is None and interval_of_median([0.0] * 50) is None


def test_batches_that_resemble_each_other_are_worth_fewer() -> None:
    # 30 batches of five: 0 0 0 1 1 1 and so on; mean 0.5, squares 7.5, 20 equal neighbours and 9 unequal ones.
    series = [float(batch // 3 % 2) for batch in range(30) for _ in range(5)]
    found = interval_of_mean(series)
    r = (20 - 9) * 0.25 / 7.5
    r += (1 + 3 * r) / 30
    r += 0.5 * ((1 - r * r) / 30) ** 0.5
    worth = 30 * (1 - r) / (1 + r)
    assert found is not None and found.independent == pytest.approx(worth)
    half = t_95(worth - 1) * (7.5 / (30 - 30 / worth) / worth) ** 0.5
    assert found.half_width == pytest.approx(half)


def test_a_trend_is_worth_too_few_to_tell() -> None:
    rising = [float(value) for value in range(600)]
    assert interval_of_mean(rising) is None and interval_of_median(rising) is None


def remembering(count: int, memory: float, seed: int) -> list[float]:
    """AR(1) around 50, spread 10."""
    chance = random.Random(seed)
    deep, values = chance.gauss(0, 1), []
    for _ in range(count):
        deep = memory * deep + (1 - memory * memory) ** 0.5 * chance.gauss(0, 1)
        values.append(50 + 10 * deep)
    return values


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(memory: float) -> None:
    # 0.95 a bin of 0.1 s: the window of 60 s remembers for 2 s, and holds 30 times that.
    held: dict[object, list[bool]] = {interval_of_mean: [], interval_of_median: []}
    for seed in range(150):
        values = remembering(600, memory, seed)
        for interval, middle in ((interval_of_mean, fmean(values)), (interval_of_median, median(values))):
            if (found := interval(values)) is not None:
                held[interval].append(abs(middle - 50) <= found.half_width)
    assert all(len(each) >= 130 and fmean(each) >= 0.92 for each in held.values())


@given(st.lists(st.floats(0, 1e6), min_size=LEAST_VALUES, max_size=400))
def test_an_interval_rests_on_three_independent_batches_at_least(values: list[float]) -> None:
    for found in (interval_of_mean(values), interval_of_median(values)):
        assert found is None or (FEWEST_INDEPENDENT <= found.independent <= 30 and found.half_width >= 0)
    alike = [7.0] * len(values)
    for found in (interval_of_mean(alike), interval_of_median(alike)):
        assert found is not None and found.independent == min(30, len(values) // 5)
        assert found.half_width == pytest.approx(0.0, abs=1e-9)


def test_a_precision_is_reached_when_both_figures_are() -> None:
    rates, latencies = noise(600, spread=2.0), noise(600, seed=2, spread=2.0)
    sure = precision_of(rates, latencies, asked=0.05, steady=True, lasting_s=1200.0)
    assert (sure.state, sure.reached, sure.bins, sure.requests) == ("steady", True, 600, 600)
    assert sure.error is not None and sure.error < 0.05 and unreached(sure) == ""
    assert sure.needed_s is not None and sure.needed_s < 1200.0 and (sure.independent or 0) > 10
    drifting = precision_of(rates, latencies, asked=0.05, steady=False, lasting_s=1200.0)
    assert (drifting.state, drifting.reached) == ("drifting", False)
    assert unreached(drifting) == "within ±5.0% was asked, but there was no steady state in the time given"
    nothing = precision_of(rates, latencies, asked=None, steady=True, lasting_s=1200.0)
    assert nothing.reached is None and nothing.needed_s is None and unreached(nothing) == ""


def test_what_the_time_does_not_allow_is_said() -> None:
    short = precision_of(noise(LEAST_VALUES), noise(7), asked=0.05, steady=None, lasting_s=1000.0)
    assert short.reached is False
    assert unreached(short) == "within ±5.0% was asked, but the time given is too short to tell: 7 requests ended"
    loose = precision_of(noise(600, spread=30), noise(600, spread=1), asked=0.01, steady=True, lasting_s=1200.0)
    assert loose.error is not None and loose.needed_s == pytest.approx(1200.0 * (loose.error / 0.01) ** 2)
    assert "but the time given allows ±" in unreached(loose) and "tokens/s ±" in unreached(loose)
    assert loose.needed_s is not None and unreached(loose).endswith(f"takes about {loose.needed_s / 60:,.0f} min")
    quick = precision_of(noise(600, spread=1), noise(600, spread=1), asked=0.001, steady=True, lasting_s=1000.0)
    wide = Precision(asked=0.05, reached=False, state="steady", tokens_per_s_error=0.2, e2e_p50_error=35.9)
    assert "allows more than ±100% only (tokens/s ±20.0%, median E2E more than ±100%)" in unreached(wide)
    assert unreached(quick).endswith("min") and quick.needed_s is not None
    assert unreached(Precision()) == ""


def test_a_window_of_few_latencies_has_no_interval() -> None:
    rates = noise(600)
    brief = precision_of(rates, rates, asked=0.5, steady=True, lasting_s=LATENCIES * median(rates) - 1)
    assert brief.reached is False and brief.error is None and brief.tokens_per_s_half_width is None
    assert "the time given is too short to tell: 600 requests ended" in unreached(brief)
    assert precision_of(rates, rates, asked=0.5, steady=True, lasting_s=LATENCIES * median(rates)).reached is True


def test_slices_are_ten_equal_parts() -> None:
    assert slices([float(at) for at in range(51)]) == [float(5 * at + 3) for at in range(10)]
    assert slices([1.0] * 49) == []


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
