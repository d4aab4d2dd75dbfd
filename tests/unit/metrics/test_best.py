"""The best cell, and the front of those that no other beats in both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.outcome import Outcome
from tui.metrics.best import best_cell, best_in_words, pareto_front
from tui.metrics.cell import CellResult
from tui.metrics.terms import Terms

SLO = Terms(has_slo=True, slo_ttft_s=1.0, slo_tpot_s=0.1)


def cell(users: int, **changes: Any) -> CellResult:
    figures: dict[str, Any] = {
        "users": users,
        "prompt_tokens": 31,
        "output_tokens": 100,
        "mode": "burst",
        "outcome": Outcome.OK,
        "tag": 1,
        "requests_ok": 100,
        "tokens_per_s_total": 10.0 * users,
    }
    return CellResult(**(figures | changes))


def test_without_an_slo_it_is_the_most_tokens() -> None:
    cells = [cell(1), cell(4), cell(8, outcome=Outcome.TIMEOUT, requests_ok=90, requests_failed=10)]
    assert best_cell(cells) is cells[1]
    assert best_in_words(cells, Terms()) == (
        "best cell: 4 users × 31 prompt tokens, 40 tokens/s, the most (no SLO is asked for)"
    )


def test_with_an_slo_it_is_the_most_goodput_and_99_percent_answered() -> None:
    cells = [
        cell(1, goodput_requests_per_s=1.0, slo_met=True),
        cell(4, goodput_requests_per_s=3.0, slo_met=True, requests_failed=1, outcome=Outcome.TIMEOUT),
        cell(8, goodput_requests_per_s=9.0, slo_met=True, requests_failed=2, outcome=Outcome.TIMEOUT),
        cell(16, goodput_requests_per_s=2.0, slo_met=True),
    ]
    assert best_cell(cells) is cells[1]
    assert "4 users × 31 prompt tokens, 3 requests/s within the SLO (TTFT ≤ 1 s, TPOT ≤ 0.1 s)" in best_in_words(
        cells, SLO
    )


@pytest.mark.parametrize("outcome", [Outcome.CLIENT_LIMIT, Outcome.ENGINE_DEAD, Outcome.OOM_RUNTIME, Outcome.IMPLIED])
def test_what_ended_so_is_never_the_best(outcome: Outcome) -> None:
    assert best_cell([cell(8, outcome=outcome)]) is None


def test_requests_that_never_started_count() -> None:
    assert best_cell([cell(8, requests_dropped=2)]) is None


def test_an_slo_that_no_cell_meets_is_said() -> None:
    cells = [cell(1, goodput_requests_per_s=0.0, slo_met=False)]
    assert best_cell(cells) is None
    assert best_in_words(cells, SLO) == (
        "no best cell: no request of any cell meets the SLO (TTFT ≤ 1 s, TPOT ≤ 0.1 s)"
    )
    assert best_in_words([], SLO) == ""
    few = [cell(1, goodput_requests_per_s=0.5, slo_met=False)]
    assert best_in_words(few, SLO).endswith("but fewer than 99 % of its requests meet it")


def test_the_front_by_hand() -> None:
    rates = [(100.0, 100.0), (90.0, 300.0), (80.0, 250.0), (50.0, 800.0), (20.0, 800.0)]
    cells = [
        cell(place, tokens_per_s_per_user=per_user, tokens_per_s_total=total)
        for place, (per_user, total) in enumerate(rates, start=1)
    ]
    assert pareto_front(cells) == [cells[0], cells[1], cells[3]]


@given(st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), max_size=30))
def test_no_cell_beats_one_of_the_front_and_every_other_is_beaten(rates: list[tuple[float, float]]) -> None:
    cells = [
        cell(place, tokens_per_s_per_user=per_user, tokens_per_s_total=total)
        for place, (per_user, total) in enumerate(rates, start=1)
    ]
    front = pareto_front(cells)

    def beats(one: CellResult, other: CellResult) -> bool:
        mine = (one.tokens_per_s_per_user or 0.0, one.tokens_per_s_total or 0.0)
        yours = (other.tokens_per_s_per_user or 0.0, other.tokens_per_s_total or 0.0)
        return mine != yours and mine[0] >= yours[0] and mine[1] >= yours[1]

    assert bool(front) == bool(cells)
    for one in cells:
        if one in front:
            assert not any(beats(other, one) for other in cells)
        else:
            assert any(
                beats(other, one)
                or (other.tokens_per_s_per_user, other.tokens_per_s_total)
                == (one.tokens_per_s_per_user, one.tokens_per_s_total)
                for other in front
            )
