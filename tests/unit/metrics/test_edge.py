"""The edge in words: what holds, what gives out, and what is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.edge import edges, holds, what_gives_out
from tui.metrics.limits import Limit, Verdict
from tui.metrics.saturation import RateFigures
from tui.profile.schema import LoadTable, Mode, Profile, ServerTable, SloTable


def cell(users: int, outcome: Outcome = Outcome.OK, size: int = 822, **more: Any) -> CellResult:
    given: dict[str, Any] = {
        "users": users,
        "prompt_tokens": size,
        "output_tokens": 100,
        "mode": "burst",
        "tag": 1,
        **more,
    }
    return CellResult(outcome=outcome, **given)


def profile(slo: SloTable | None = None) -> Profile:
    load = LoadTable(users=[1, 2, 4, 8, 16, 32], prompt_tokens=[822])
    return Profile(name="p", engine="vllm", server=ServerTable(model="m"), load=load, slo=slo)


SLO = SloTable(ttft_s=1.0, tpot_s=0.1)
LATE: dict[str, Any] = {"slo_met": False, "ttft_p50_s": 0.9, "ttft_p90_s": 1.4, "tpot_p50_s": 0.02, "tpot_p90_s": 0.03}
FINE: dict[str, Any] = {"slo_met": True, "ttft_p50_s": 0.4}


def test_the_edge_says_how_sure_it_is_and_what_gives_out() -> None:
    told = [
        cell(8, **FINE),
        cell(16, **FINE),
        cell(32, **LATE),
        cell(24, **LATE),
        cell(20, **FINE),
        cell(22, **LATE),
        cell(21, **FINE),
        cell(22, **FINE),
        cell(22, **LATE),
        cell(21, **FINE),
    ]
    (edge,) = edges(told, profile(SLO))
    assert (edge.users, edge.users_least, edge.users_most, edge.known, edge.measures) == (21, 21, 23, True, 10)
    assert edge.sentence == "21 users at 822 tokens (21-23), then TTFT p90 passes 1 s (1.4 s)"


def test_what_no_number_of_users_meets_is_said() -> None:
    (edge,) = edges([cell(8, **LATE), cell(4, **LATE), cell(2, **LATE), cell(1, **LATE), cell(1, **LATE)], profile(SLO))
    assert edge.known and edge.users == 0
    assert edge.sentence == (
        "no number of users meets the SLO at 822 tokens: with a single user TTFT p90 passes 1 s (1.4 s)"
    )


def test_what_the_client_cannot_carry_says_nothing_of_the_server() -> None:
    late = cell(32, Outcome.CLIENT_LIMIT, evidence="its core was full")
    (once,) = edges([cell(8), cell(16), late], profile())
    assert once.sentence == "so far: at least 16 users at 822 tokens: nothing failed up to there"
    (busy,) = edges([late, late, cell(8), cell(16), cell(33)], profile())
    assert "client" not in busy.sentence  # it carried more
    (edge,) = edges([cell(8), cell(16), late, late], profile())
    assert edge.sentence == (
        "so far: at least 16 users at 822 tokens: with 32 users this machine's client is the limit"
    )


def test_an_edge_that_is_not_known_yet_says_so() -> None:
    (edge,) = edges([cell(8), cell(16, Outcome.OVERLOADED, evidence="16 of 16 requests: HTTP 503")], profile())
    assert not edge.known
    assert edge.sentence == ("so far: 8 users at 822 tokens (8-15), then overloaded: 16 of 16 requests: HTTP 503")


@pytest.mark.parametrize(
    ("one", "held"),
    [
        (cell(1), True),
        (cell(1, slo_met=True), True),
        (cell(1, slo_met=False), False),
        (cell(1, Outcome.TIMEOUT), False),
        (cell(1, Outcome.IMPLIED), None),
        (cell(1, Outcome.CLIENT_LIMIT), None),
        (cell(1, Outcome.CANCELLED), None),
        (cell(1, Outcome.OOM_KV, tag=0), None),
        (cell(1, Outcome.OOM_KV), False),
    ],
)
def test_what_holds(one: CellResult, held: bool | None) -> None:
    assert holds(one) is held


def test_the_limit_that_is_missed_by_most_is_named() -> None:
    both = cell(1, slo_met=False, ttft_p50_s=1.2, tpot_p50_s=0.3)
    assert what_gives_out(both, SLO) == "TPOT p50 passes 0.1 s (0.3 s)"
    known = Verdict(limit=Limit.PREFILL, sentence="prompts wait for prompts")
    assert what_gives_out(cell(1, verdict=known, **LATE), SLO) == "TTFT p90 passes 1 s (1.4 s): prefill"
    assert what_gives_out(cell(1, slo_met=False), SLO) == "more than 1 % of the requests miss the SLO"


def test_in_mode_rate_the_edge_is_one_of_requests_per_second() -> None:
    load = LoadTable(users=[1, 2, 4], prompt_tokens=[822], mode=Mode.RATE, rate_per_s=0.5)
    given = Profile(name="p", engine="vllm", server=ServerTable(model="m"), load=load)
    grown = RateFigures(asked_per_s=2.0, answered_per_s=1.4, over_saturated=True, what="over-saturated: so it is")
    told = [
        cell(2, mode="rate"),
        cell(4, mode="rate", rate=grown),
        cell(3, mode="rate"),
        cell(4, mode="rate", rate=grown),
    ]
    (edge,) = edges([*told, cell(3, mode="rate")], given)
    assert edge.known and edge.sentence == "1.5 requests/s at 822 tokens, then over-saturated: so it is"
