"""What is said of answers that are not as they were asked for."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.metrics.records import answered
from tui.core.outcome import Outcome
from tui.metrics.answers import Answers, came_in_one_read, caveats_of
from tui.metrics.cell import CellResult
from tui.metrics.record import CountedBy, RequestRecord
from tui.metrics.summary import CellSummary
from tui.profile.schema import Mode

TIMES_S = [0.5, 0.6, 0.7, 0.8]


def cell_of(records: list[RequestRecord], *, forced: bool = False) -> CellResult:
    summary = CellSummary(Mode.BURST, tag=1)
    for record in records:
        summary.add(record)
    result = summary.result(users=1, prompt_tokens=31, output_tokens=4)
    return msgspec.structs.replace(result, output_forced=forced)


def test_answers_that_end_by_themselves_are_told_with_mean_and_spread() -> None:
    cell = cell_of([answered(0, TIMES_S, tokens=length) for length in (2, 4, 3)])
    assert (cell.outcome, cell.output_tokens_mean) == (Outcome.OK, 3)
    assert cell.output_tokens_std == pytest.approx(0.8165, abs=1e-4)
    (said,) = caveats_of(cell)
    assert said == "answers have 3.0 ± 0.8 tokens, 4 were asked for: the server was not made to give so many"


def test_more_tokens_than_asked_are_told() -> None:
    cell = cell_of([answered(0, TIMES_S, tokens=6)], forced=True)
    assert caveats_of(cell) == ["answers have 6 tokens, 4 were asked for"]


def test_answers_as_asked_want_no_word() -> None:
    assert caveats_of(cell_of([answered(0, TIMES_S)])) == []


def test_figures_use_the_real_lengths() -> None:
    cell = cell_of([answered(0, TIMES_S, tokens=2)])
    assert cell.tpot_p50_s == pytest.approx(0.3)
    assert cell.tokens_per_s_total == pytest.approx(2 / 0.8)


def test_who_counted_is_told() -> None:
    by_events = msgspec.structs.replace(answered(0, TIMES_S), counted_by=CountedBy.EVENTS)
    assert cell_of([by_events]).counted_by == "events"
    mixed = cell_of([by_events, answered(0, TIMES_S)])
    assert mixed.counted_by == "events and usage"
    assert caveats_of(mixed) == ["the server told no count: tokens are counted by events, one in each"]
    assert Answers().figures() == {}


@pytest.mark.parametrize(
    ("per_event", "said"),
    [
        (1.0, "one in each, as its tokenizer confirms by one answer"),
        (1.04, "one in each, as its tokenizer confirms by one answer"),
        (
            3.5,
            "but by its tokenizer one holds 3.50: tokens/s are 3.50 times as many, TPOT is 1/3.50",
        ),
    ],
)
def test_what_the_tokenizer_says_of_the_events_is_told(per_event: float, said: str) -> None:
    by_events = msgspec.structs.replace(answered(0, TIMES_S), counted_by=CountedBy.EVENTS)
    cell = msgspec.structs.replace(cell_of([by_events]), tokens_per_event=per_event)
    assert caveats_of(cell) == [f"the server told no count: tokens are counted by events, {said}"]


@pytest.mark.parametrize(("asked", "said"), [(8, None), (12, "answers have about 8.0 ± 0.0 tokens, 12 were asked for")])
def test_a_length_in_events_is_taken_for_what_it_is(asked: int, said: str | None) -> None:
    by_events = msgspec.structs.replace(answered(0, TIMES_S), counted_by=CountedBy.EVENTS)
    cell = msgspec.structs.replace(cell_of([by_events]), tokens_per_event=2.0, output_tokens=asked, output_forced=True)
    assert [line for line in caveats_of(cell) if line.startswith("answers")] == ([said] if said else [])


@pytest.mark.parametrize(
    ("times_s", "in_one_read"),
    [
        ([0.5, 0.5, 0.5, 0.5], True),
        ([0.5, 0.5, 0.5, 0.5009], True),
        ([0.5, 0.5, 0.5, 0.502], False),
        ([0.0001, 0.0002, 0.0003, 0.0004], False),  # no gateway, but a server as quick as that
        ([0.5, 0.5], False),  # a busy server packs two
        ([], False),
    ],
)
def test_what_came_in_one_read(times_s: list[float], in_one_read: bool) -> None:
    assert came_in_one_read(answered(0, times_s)) == in_one_read


def test_a_gateway_that_buffers_is_told_when_it_is_no_chance() -> None:
    whole, streamed = answered(0, [0.5] * 4), answered(0, TIMES_S)
    assert "one read" in caveats_of(cell_of([whole, whole, streamed]))[0]
    assert caveats_of(cell_of([whole, streamed])) == []
    assert cell_of([whole, streamed]).requests_in_one_read == 1
