"""That a summary made while requests end says what one made of all their records would, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.metrics.naive_summary import naive_figures
from tests.unit.metrics.records import answered, failed, ns
from tui.core.outcome import Outcome
from tui.metrics import ordered
from tui.metrics.cell import CellResult
from tui.metrics.ended import MOST_WORDS, EndedRequests
from tui.metrics.record import RequestRecord
from tui.metrics.saturation import RateFigures
from tui.metrics.summary import CellSummary
from tui.profile.schema import Mode, SloTable

TAG = 1
SLO = SloTable(ttft_s=3.0, e2e_s=9.0)
START_S, END_S, PEEKED_S = 10.0, 20.0, 20.005
FIGURES_REL = 1e-9


@dataclass(frozen=True)
class Asked:
    """A request, its times in µs."""

    start: int
    gaps: list[int]
    delay: int
    tail: int
    outcome: Outcome
    tag: int
    tokens: int | None
    prompt_usage: int | None
    forever: bool
    """Whether it has not ended when the cell is summed up, if it is under way at the end."""


asked = st.builds(
    Asked,
    start=st.integers(4_000_000, 22_000_000),
    gaps=st.lists(st.integers(0, 2_000_000), max_size=5),
    delay=st.integers(0, 400_000),
    tail=st.integers(0, 2_000_000),
    outcome=st.sampled_from([Outcome.OK] * 6 + [Outcome.CANCELLED, Outcome.TIMEOUT, Outcome.ENGINE_DEAD]),
    tag=st.sampled_from([TAG, TAG, TAG, 7]),
    tokens=st.sampled_from([-1, -1, 20, None]),
    prompt_usage=st.sampled_from([31, 31, None, 32]),
    forever=st.booleans(),
)


# All of them one after the other, so that every user has several answers in each half of the window.
MANY = [
    Asked(
        start=at * 150_000,
        gaps=[300_000 + 7_000 * (at % 11), 450_001, 20_000 * (at % 5)],
        delay=1_000 * (at % 7),
        tail=10_000,
        outcome=Outcome.TIMEOUT if at % 9 == 4 else Outcome.OK,
        tag=7 if at % 8 == 5 else TAG,
        tokens=20 if at % 6 == 1 else -1,
        prompt_usage=31,
        forever=at % 2 == 0,
    )
    for at in range(145)
]


def records_of(user: int, ask: Asked) -> list[RequestRecord]:
    """Return the records of a request: one, or two if it was seen under way and ended afterwards."""
    start_s = ask.start / 1e6
    times_s = [(ask.start + ask.delay + sum(ask.gaps[: at + 1])) / 1e6 for at in range(len(ask.gaps))]
    end_s = (ask.start + ask.delay + sum(ask.gaps) + ask.tail) / 1e6
    ended = answered(
        start_s,
        times_s,
        user=user,
        tag=ask.tag,
        delay_s=ask.delay / 1e6,
        end_s=end_s,
        tokens=ask.tokens,
        outcome=ask.outcome,
        prompt_usage=ask.prompt_usage,
        error=f"error {ask.start % 3}" if ask.outcome is not Outcome.OK else "",
    )
    if end_s <= PEEKED_S or start_s + ask.delay / 1e6 > PEEKED_S:
        return [ended]
    so_far_s = [at_s for at_s in times_s if at_s <= PEEKED_S]
    seen = answered(
        start_s,
        so_far_s,
        user=user,
        tag=ask.tag,
        delay_s=ask.delay / 1e6,
        end_s=PEEKED_S,
        tokens=None,
        outcome=Outcome.RUNNING,
    )
    return [seen] if ask.forever else [seen, ended]


def summed_up(records: list[RequestRecord], *, end_known_late: bool) -> CellResult:
    summary = CellSummary(Mode.STEADY, tag=TAG, slo=SLO, start_ns=ns(START_S))
    if end_known_late:
        before = [r for r in records if r.outcome is not Outcome.RUNNING and r.end_ns <= ns(END_S)]
        for record in before:
            summary.add(record)
        records = [record for record in records if record not in before]
    summary.end(ns(END_S))
    for record in records:
        summary.add(record)
    return summary.result(users=3, prompt_tokens=31, output_tokens=8)


@given(st.lists(asked, max_size=40, unique_by=lambda ask: ask.start + ask.delay), st.randoms(), st.booleans())
@example(asks=MANY, chance=random.Random(1), end_known_late=False)
@example(asks=MANY, chance=random.Random(2), end_known_late=True)
def test_in_any_order_it_gives_the_figures_of_all_records(
    asks: list[Asked], chance: random.Random, end_known_late: bool
) -> None:
    records = [record for at, ask in enumerate(asks) for record in records_of(at % 3, ask)]
    wanted = naive_figures(records, TAG, (ns(START_S), ns(END_S)), SLO)
    in_order = summed_up(records, end_known_late=False)
    chance.shuffle(records)
    cell = summed_up(records, end_known_late=end_known_late)
    outcomes = wanted.pop("outcomes")
    for name, figure in wanted.items():
        found = getattr(cell, name)
        assert found == (pytest.approx(figure, rel=FIGURES_REL) if isinstance(figure, float) else figure), name
    assert (cell.outcome, cell.evidence) == (in_order.outcome, in_order.evidence)
    if set(outcomes) - {Outcome.OK}:
        assert cell.evidence.startswith(f"{outcomes[cell.outcome]} of {outcomes.total()} requests")
    elif outcomes:
        assert cell.outcome is Outcome.OK


@pytest.mark.parametrize("mode", Mode)
def test_its_steps_change_no_figure(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [r for at, ask in enumerate(MANY * 5) for r in records_of(at, ask) if r.outcome is not Outcome.RUNNING]

    def summed() -> tuple[int, CellResult, RateFigures | None]:
        summary = CellSummary(mode, tag=TAG, slo=SLO, start_ns=0 if mode is Mode.BURST else ns(START_S))
        if mode is not Mode.BURST:
            summary.end(ns(END_S))
        for record in records:
            summary.add(record)
        steps = sum(1 for _ in summary.settle())
        cell = summary.result(users=3, prompt_tokens=31, output_tokens=8)
        return steps, cell, summary.rate_figures(3.0) if mode is Mode.RATE else None

    few, *at_once = summed()
    monkeypatch.setattr(ordered, "VALUES_PER_STEP", 10)
    monkeypatch.setattr("tui.metrics.summary.RECORDS_PER_STEP", 3)
    many, *in_steps = summed()
    assert in_steps == at_once
    assert few < 20 < 200 < many


def test_a_finished_request_leaves_little_behind() -> None:
    requests, users = 50_000, 100
    first = answered(0.001, [0.004, 0.009, 0.014, 0.019])
    summary = CellSummary(Mode.STEADY, tag=TAG, slo=SLO)
    tracemalloc.start()
    try:
        for at in range(requests):
            on_ns = at * 600_000
            moved = msgspec.structs.replace(
                first,
                request_id=at,
                user=at % users,
                intended_start_ns=first.intended_start_ns + on_ns,
                start_ns=first.start_ns + on_ns,
                first_token_ns=(first.first_token_ns or 0) + on_ns,
                last_token_ns=(first.last_token_ns or 0) + on_ns,
                end_ns=first.end_ns + on_ns,
            )
            summary.add(moved)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    summary.end(ns(31))
    assert summary.result(users=users, prompt_tokens=31, output_tokens=4).requests_ok == requests
    assert held_bytes < 120 * requests


def test_of_a_warm_up_only_its_outcomes_are_remembered() -> None:
    summary = CellSummary(Mode.STEADY, tag=TAG)
    summary.add(failed(0, 9, Outcome.ENGINE_DEAD))
    assert summary.has_answers
    summary.begin(ns(START_S))
    assert not summary.has_answers
    summary.add(answered(1, [2, 9.9]))  # told late
    summary.add(answered(1, [2, 11], tag=7))
    assert not summary.has_answers
    summary.add(answered(1, [2, 10]))
    assert summary.has_answers
    assert summary.outcomes_seen == {Outcome.ENGINE_DEAD, Outcome.OK}
    summary.end(ns(END_S))
    cell = summary.result(users=1, prompt_tokens=31, output_tokens=2)
    assert (cell.outcome, cell.requests_ok, cell.tokens_per_s_total) == (Outcome.OK, 1, 0.1)


def test_an_end_that_is_moved_takes_in_what_ended_until_then() -> None:
    summary = CellSummary(Mode.STEADY, tag=TAG, start_ns=ns(START_S))
    summary.end(ns(END_S))
    summary.add(answered(15, [16, 19], end_s=20.1, outcome=Outcome.RUNNING, tokens=None))
    summary.add(failed(15, 24, Outcome.DISCONNECTED, "connection reset"))
    summary.add(answered(22, [23, 24, 26]))
    summary.end(ns(25))
    cell = summary.result(users=2, prompt_tokens=31, output_tokens=2)
    assert (cell.outcome, cell.requests_failed, cell.requests_ok) == (Outcome.DISCONNECTED, 1, 0)
    assert cell.duration_s == 15.0
    assert cell.tokens_per_s_total == 2 / 15
    assert cell.delivered_concurrency == (9 + 3) / 15


def test_of_an_unfinished_answer_what_came_just_after_the_end_counts_not() -> None:
    summary = CellSummary(Mode.STEADY, tag=TAG, start_ns=ns(START_S))
    summary.end(ns(20.0005))
    summary.add(answered(15, [16, 20.0004, 20.0006, 23]))
    assert summary.result(users=1, prompt_tokens=31, output_tokens=4).tokens_per_s_total == 2 / 10.0005


def test_only_so_many_ways_of_failing_are_told_apart() -> None:
    ended = EndedRequests(None)
    for at in range(MOST_WORDS * 2):
        ended.add(failed(at, at + 1, Outcome.HTTP_ERROR, f"request {at} failed"))
    ended.add(failed(1, 2, Outcome.HTTP_ERROR, "request 5 failed"))
    ended.add(failed(1, 2, Outcome.DISCONNECTED, "connection reset"))
    assert len(ended.words[Outcome.HTTP_ERROR]) == MOST_WORDS
    assert ended.words[Outcome.HTTP_ERROR]["request 5 failed"] == 2
    assert ended.words[Outcome.DISCONNECTED] == {"connection reset": 1}
    assert ended.failures == {Outcome.HTTP_ERROR: MOST_WORDS * 2 + 1, Outcome.DISCONNECTED: 1}
