"""Ratios of cells: what the spread carries, what it does not, and what gates make of it."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.session import made
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.circumstances import Circumstances, Differing, differing, in_phrases, untold
from tui.metrics.comparison import Change, Comparison, change_of, compare, in_words
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.estimate import Estimate, estimate
from tui.metrics.gate import Gate, failures, parse_gate
from tui.metrics.measured import Measured
from tui.metrics.precision import Precision, repeats_of

TOKENS, TTFT, RESOLVE, E2E = (
    next(figure for figure in COMPARED if figure.field == name)
    for name in ("tokens_per_s_total", "ttft_p50_s", "time_to_resolve_s", "e2e_p50_s")
)


def standing(tokens_per_s: float, error: float = 0.02, users: int = 4, prompt: int = 64, **more: Any) -> CellResult:
    precision = Precision(state="steady", tokens_per_s_error=error, e2e_p50_error=error)
    return made.cell(
        users, prompt, **({"mode": "steady", "tokens_per_s_total": tokens_per_s, "precision": precision} | more)
    )


def side(*cells: CellResult, name: str = "a", **more: Any) -> Measured:
    return Measured(name=name, cells=list(cells), **more)


def change(here: CellResult, there: CellResult, figure: CellFigure = TOKENS) -> Change:
    found = change_of([here], [there], figure)
    assert found is not None
    return found.change


def test_what_the_spread_carries_differs_and_what_it_does_not_is_no_difference() -> None:
    base = standing(100.0)
    assert change(base, standing(90.0)) is Change.WORSE
    assert change(base, standing(110.0)) is Change.BETTER
    assert change(base, standing(98.0)) is Change.SAME
    assert change(base, standing(90.0, error=0.2)) is Change.SAME
    slower = made.cell(ttft_p50_s=1.0), made.cell(ttft_p50_s=9.0)
    assert change(*slower, TTFT) is Change.UNSURE, "without a spread nothing is said to differ"


def test_the_interval_of_a_ratio() -> None:
    found = change_of([standing(100.0, error=0.03)], [standing(50.0, error=0.04)], TOKENS)
    assert found is not None and found.low is not None and found.high is not None
    assert found.ratio == 0.5
    # MOVER-R on the logarithm, by hand.
    down = math.sqrt(math.log(1 / 0.96) ** 2 + math.log(1.03) ** 2)
    up = math.sqrt(math.log(1.04) ** 2 + math.log(1 / 0.97) ** 2)
    assert (found.low, found.high) == pytest.approx((0.5 * math.exp(-down), 0.5 * math.exp(up)))
    assert in_words(found) == "0.50 (0.48 to 0.53)"


def test_an_interval_that_reaches_nothing_bounds_nothing() -> None:
    found = change_of([standing(100.0, error=1.5)], [standing(50.0)], TOKENS)
    assert found is not None and found.high is None and found.change is Change.SAME
    assert "no upper bound" in in_words(found)


def test_where_the_interval_comes_from() -> None:
    both = made.cell(precision=Precision(tokens_per_s_error=0.1), repeats=repeats_of([1.0, 1.1, 1.2], "mean E2E"))
    by = [
        estimate([made.cell(tokens_per_s_total=n) for n in (30.0, 31.0, 32.0)], TOKENS),
        estimate([both], TOKENS),
        estimate([msgspec.structs.replace(both, precision=None)], TOKENS),
        estimate(
            [made.cell(distributions=Distributions(e2e=Distribution.of_ordered_s([1 + n / 10 for n in range(9)])))],
            TOKENS,
        ),
        estimate([made.cell()], TOKENS),
    ]
    assert [each and each.by for each in by] == ["measures", "interval", "repeats", "requests", ""]
    assert by[0] is not None and (by[0].value, by[0].low, by[0].high) == pytest.approx((31.0, 28.516, 33.484), abs=0.01)
    assert by[1] is not None and by[1].error == pytest.approx(0.1)
    assert estimate([made.cell(outcome=Outcome.OOM_KV)], TOKENS) is None
    assert estimate([made.cell(tokens_per_s_total=None)], TOKENS) is None


def test_the_median_of_few_requests_has_no_interval_and_of_many_a_narrow_one() -> None:
    def of(count: int) -> Estimate | None:
        values = sorted(random.Random(count).gauss(1.0, 0.1) for _ in range(count))
        known = Distributions(ttft=Distribution.of_ordered_s(values))
        return estimate([made.cell(ttft_p50_s=values[count // 2], distributions=known)], TTFT)

    few, some, many = of(5), of(40), of(4000)
    assert few is not None and few.low is None
    assert some is not None and many is not None and some.error is not None and many.error is not None
    assert many.error < some.error < 0.5


def test_percentiles_of_bursts_are_no_surer_than_the_bursts_agree() -> None:
    values = [1.0 + n / 1000 for n in range(64)]
    known = Distributions(ttft=Distribution.of_ordered_s(values))
    bursts = made.cell(ttft_p50_s=1.03, distributions=known, repeats=repeats_of([1.0, 1.5, 2.0], "mean E2E"))
    found = estimate([bursts], TTFT)
    assert found is not None and found.error is not None and bursts.repeats is not None
    assert found.error >= (bursts.repeats.error or 0.0) > 0.5


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 0.9), st.floats(0, 0.9))
def test_the_other_way_round_the_ratio_and_its_interval_are_inverted(a: float, b: float, ea: float, eb: float) -> None:
    one, two = standing(a, error=ea), standing(b, error=eb)
    there, back = change_of([one], [two], TOKENS), change_of([two], [one], TOKENS)
    assert there is not None and back is not None
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert None not in (there.low, there.high, back.low, back.high)
    assert (there.low or 0) * (back.high or 0) == pytest.approx(1.0)
    assert (there.low or 0) <= there.ratio <= (there.high or 0)
    opposite = {Change.BETTER: Change.WORSE, Change.WORSE: Change.BETTER}
    assert back.change is opposite.get(there.change, there.change)


def test_cells_that_end_otherwise_are_told_and_have_no_ratio() -> None:
    dead = made.cell(4, 64, outcome=Outcome.OOM_KV, tokens_per_s_total=None)
    silent = made.cell(8, 64, outcome=Outcome.CLIENT_LIMIT)
    (pair,) = compare([side(standing(1.0), standing(2.0, users=8)), side(dead, silent)]).pairs
    (cell,) = pair.cells
    assert cell.fails_now and not cell.answered_now and cell.figures == []
    assert (pair.only_base, pair.only_other) == (1, 0), "a client at its limit says nothing of the server"
    (back,) = compare([side(dead), side(standing(1.0))]).pairs
    assert back.cells[0].answered_now


def test_cells_are_matched_by_size_and_only_means_of_sizes_nearly() -> None:
    here = side(standing(100.0, prompt=64), standing(90.0, prompt=1024))
    near = [standing(100.0, prompt=1021), standing(100.0, prompt=1030), standing(100.0, prompt=70)]
    (exact,) = compare([here, side(*near)]).pairs
    assert exact.cells == [] and exact.only_other == 3
    (means,) = compare([here, side(*near, sizes_are_means=True)]).pairs
    assert [(cell.users, cell.prompt_tokens) for cell in means.cells] == [(4, 1024)]
    assert (means.cells[0].of("tokens_per_s_total") or pytest.fail()).other.value == 100.0


def test_output_sizes_are_a_condition_unless_a_side_has_several() -> None:
    here = side(standing(100.0))
    (one,) = compare([here, side(standing(50.0, output_tokens=200))]).pairs
    assert len(one.cells) == 1
    several = side(standing(50.0, output_tokens=200), standing(70.0, output_tokens=100))
    (two,) = compare([here, several]).pairs
    assert [(cell.of("tokens_per_s_total") or pytest.fail()).ratio for cell in two.cells] == [0.7]


def test_conditions_that_differ_and_those_that_are_not_told() -> None:
    one = Circumstances(told={"GPUs": "L4", "mode": "burst"}, arguments={"max-num-seqs": "8"})
    two = Circumstances(told={"GPUs": "H100", "mode": "burst", "driver": "550"}, arguments={})
    three = Circumstances(told={"mode": "burst"})
    assert differing([one, two, three]) == [
        Differing(name="GPUs", values=["L4", "H100", None]),
        Differing(name="max-num-seqs", values=["8", "not set", None]),
    ]
    assert [untold([one, two, three], place) for place in range(3)] == [["driver"], [], ["GPUs", "driver", "arguments"]]
    assert in_phrases(one, two) == ["GPUs L4 there, H100 here", "max-num-seqs 8 there, not set here"]
    with pytest.raises(ValueError, match="at least two"):
        compare([side(standing(1.0))])


def compared(*ratios: float, error: float = 0.01) -> Comparison:
    places = range(1, len(ratios) + 1)
    here = side(*(standing(100.0, error, users) for users in places))
    there = side(*(standing(100.0 * each, error, users) for users, each in zip(places, ratios, strict=True)), name="b")
    return compare([here, there])


def test_a_gate_fails_by_what_the_spread_carries() -> None:
    gate = parse_gate(" tokens_per_s_total<0.95 ")
    assert gate == Gate("tokens_per_s_total", "<", 0.95) and str(gate) == "tokens_per_s_total < 0.95"
    assert failures(gate, compared(1.0, 0.97)) == []
    assert failures(gate, compared(0.9, 1.0, error=0.2)) == [], "within the spread"
    assert failures(gate, compared(1.0, 0.9)) == [
        "tokens_per_s_total < 0.95 fails for b: holds in 1 of 2 cells: 2 × 64 0.90 (0.89 to 0.91)"
    ]


def test_a_gate_fails_where_cells_fail_and_where_it_guards_nothing() -> None:
    dead = side(made.cell(1, 64, outcome=Outcome.OOM_KV), name="b")
    (said,) = failures(parse_gate("ttft_p90_s > 1.1"), compare([side(standing(1.0, users=1)), dead]))
    assert said == "ttft_p90_s > 1.1 fails for b: a cell that the base answered fails now: 1 × 64 ended as oom-kv"
    (said,) = failures(parse_gate("ttft_p90_s > 1.1"), compared(1.0))
    assert "cannot be judged" in said
    unsure = compare([side(made.cell()), side(made.cell(tokens_per_s_total=1.0), name="b")])
    (said,) = failures(parse_gate("tokens_per_s_total <= 0.5"), unsure)
    assert "spread not known" in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tokens_per_s_total", "expected a figure"),
        ("tokens_per_s_total = 1", "expected a figure"),
        ("tokens_per_s_totl < 1", "tokens_per_s_total"),
        ("ttft_p90_s > 0", "above 0"),
        ("ttft_p90_s > 1e3", "expected a figure"),
        ("ttft_p90_s > 1 or True", "expected a figure"),
        ("x" * 100_000, "expected a figure"),
    ],
)
def test_what_is_no_gate(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_gate(text)
