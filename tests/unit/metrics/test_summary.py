from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.metrics.records import answered, failed, ns
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.record import RequestRecord
from tui.metrics.summary import CellSummary
from tui.profile.schema import CostTable, Mode, SloTable


def burst(records: list[RequestRecord], *, slo: SloTable | None = None, **more: Any) -> CellResult:
    return result_of(CellSummary(Mode.BURST, tag=1, slo=slo), records, **more)


def steady(
    records: list[RequestRecord], start_s: float, end_s: float, *, slo: SloTable | None = None, **more: Any
) -> CellResult:
    summary = CellSummary(Mode.STEADY, tag=1, slo=slo, start_ns=ns(start_s))
    summary.end(ns(end_s))
    return result_of(summary, records, **more)


def result_of(summary: CellSummary, records: list[RequestRecord], **more: Any) -> CellResult:
    for record in records:
        summary.add(record)
    return summary.result(users=2, prompt_tokens=31, output_tokens=3, **more)


# Two at once: TTFT 1 and 2 s, E2E 3 and 5 s, TPOT 1 and 1.5 s, gaps 1, 1, 1 and 2 s.
TWO = [answered(10, [11, 12, 13], user=0), answered(10, [12, 13, 15], user=1)]


def test_a_burst_by_hand() -> None:
    cell = burst(TWO, cost=CostTable(price_per_hour=3.6), slo=SloTable(ttft_s=1.5, tpot_s=1.2))
    assert cell.outcome is Outcome.OK
    assert cell.evidence == ""
    assert cell.mode == "burst"
    assert cell.started_at_ns == ns(10)
    assert cell.duration_s == 5.0
    assert cell.time_to_resolve_s == 4.0
    assert cell.tokens_per_s_total == 6 / 5
    assert cell.tokens_per_s_per_user == pytest.approx((3 / 3 + 3 / 5) / 2)
    assert cell.ttft_p50_s == 1.5
    assert cell.tpot_p50_s == 1.25
    assert cell.e2e_p50_s == 4.0
    assert cell.itl_p50_s == pytest.approx(1.0, rel=0.01)
    assert (cell.ttft_p90_s, cell.ttft_p99_s, cell.itl_p99_s, cell.client_delay_p99_s) == (None, None, None, None)
    assert (cell.requests_ok, cell.requests_failed) == (2, 0)
    assert cell.delivered_concurrency == (3 + 5) / 5
    assert cell.delivered_concurrency_max == 2
    assert cell.steady is None
    assert cell.goodput_requests_per_s == 1 / 5
    assert cell.slo_met is False
    assert cell.cost_per_1k_tokens == pytest.approx(3.6 / 3600 / (68 / 5) * 1000)  # 2 x (31 + 3) tokens in 5 s
    assert cell.cost_per_1m_tokens == pytest.approx(3.6 / 3600 / (68 / 5) * 1e6)
    assert cell.currency == "USD"
    assert cell.prompt_tokens_exact is True
    assert cell.events_packed is False


def test_repeats_add_up_without_the_time_between_them() -> None:
    again = [answered(110, [111, 112, 113], user=0), answered(110, [112, 113, 115], user=1)]
    cell = burst(TWO + again)
    assert cell.duration_s == 10.0
    assert cell.tokens_per_s_total == 12 / 10
    assert cell.delivered_concurrency == (3 + 5) / 5
    assert cell.time_to_resolve_s == 4.0


def test_tails_are_given_when_the_sample_carries_them() -> None:
    cell = burst([answered(0, [at / 100, 9, 10], user=at) for at in range(1, 663)])
    assert cell.ttft_p99_s == pytest.approx(0.01 + 0.99 * 6.61)
    assert cell.ttft_p90_s == pytest.approx(0.01 + 0.9 * 6.61)
    assert cell.client_delay_p99_s == 0.0


def test_client_delay_is_part_of_the_latency() -> None:
    cell = burst([answered(10, [11, 12, 13], delay_s=0.5)])
    assert cell.ttft_p50_s == 1.0
    assert cell.delivered_concurrency == 2.5 / 3


def test_packed_events_bear_the_tokens_that_the_server_counted() -> None:
    cell = burst([answered(0, [1, 2], tokens=10)])
    assert cell.tokens_per_s_total == 5.0
    assert cell.tpot_p50_s == pytest.approx(1 / 9)
    assert cell.events_packed is True


def test_without_a_count_by_the_server_each_event_is_a_token() -> None:
    cell = burst([answered(0, [1, 2], tokens=None, prompt_usage=None)])
    assert cell.tokens_per_s_total == 1.0
    assert cell.tpot_p50_s is None
    assert cell.prompt_tokens_exact is None


def test_a_prompt_of_another_size_is_seen() -> None:
    assert burst([*TWO, answered(10, [11], prompt_usage=32)]).prompt_tokens_exact is False


def test_no_request_is_no_result() -> None:
    cell = burst([])
    assert cell.outcome is Outcome.CANCELLED
    assert cell.evidence == "no request was sent"
    assert (cell.duration_s, cell.tokens_per_s_total, cell.delivered_concurrency) == (None, None, None)


def test_of_a_window_only_what_finished_in_it_has_a_latency() -> None:
    records = [
        answered(0, [1, 2, 9], user=0),  # ended in the warm-up
        answered(8, [9, 11, 12], user=0),  # two tokens within
        answered(12, [13, 14, 15], user=0),  # all within
        answered(15, [16, 19.5, 23], user=0),  # ends after the window: two tokens within
        failed(12.5, 14.5, Outcome.RUNNING),
    ]
    cell = steady(records, 10, 20)
    assert cell.outcome is Outcome.OK
    assert cell.duration_s == 10.0
    assert cell.requests_ok == 2
    assert cell.time_to_resolve_s == (4 + 3) / 2
    assert cell.tokens_per_s_total == (2 + 3 + 2) / 10
    assert cell.delivered_concurrency == (2 + 3 + 5 + 2) / 10
    assert cell.started_at_ns == ns(10)
    assert cell.steady is None


def test_tokens_on_the_windows_edges_count_once() -> None:
    record = answered(0, [1, 2, 3, 4])
    assert steady([record], 1, 4).tokens_per_s_total == 3 / 3
    assert steady([record], 4, 5).tokens_per_s_total == 1.0


def test_requests_of_another_tag_count_for_the_concurrency_alone() -> None:
    cell = steady([answered(10, [11, 20]), answered(10, [11, 20], tag=7)], 10, 20)
    assert cell.requests_ok == 1
    assert cell.tokens_per_s_total == 1 / 10
    assert cell.delivered_concurrency == 2.0


def test_a_window_in_which_nothing_finished_says_so() -> None:
    cell = steady([answered(8, [9, 15, 30])], 10, 20)
    assert cell.outcome is Outcome.TIMEOUT
    assert cell.evidence == "no request finished within the 10.0 s measured, 1 under way"
    assert cell.tokens_per_s_total == 1 / 10


def test_a_request_seen_under_way_that_then_finishes_counts_once() -> None:
    seen = answered(15, [16, 19], end_s=20.1, outcome=Outcome.RUNNING, tokens=None)
    cell = steady([answered(10, [11, 12]), seen, answered(15, [16, 19, 20.2])], 10, 20)
    assert cell.tokens_per_s_total == (2 + 2) / 10
    assert cell.delivered_concurrency == (2 + 5) / 10


def closed_loop(e2e_s: list[float]) -> list[RequestRecord]:
    records, at_s = [], 0.0
    for e2e in e2e_s:
        records.append(answered(at_s, [at_s + e2e * part / 20 for part in range(1, 21)]))
        at_s += e2e
    return records


def test_an_even_load_is_steady_and_a_drifting_one_is_not() -> None:
    assert steady(closed_loop([1.0] * 40), 5, 35).steady is True
    assert steady(closed_loop([0.5 + 0.05 * at for at in range(40)]), 5, 35).steady is False


def test_the_engines_death_is_graver_than_what_is_more_frequent() -> None:
    dead = failed(10, 11, Outcome.ENGINE_DEAD, "EngineCore encountered an issue", status=200)
    cut = [failed(10, 11, Outcome.DISCONNECTED, "connection reset") for _ in range(3)]
    cell = burst([*TWO, *cut, dead])
    assert cell.outcome is Outcome.ENGINE_DEAD
    assert cell.evidence == "1 of 6 requests: HTTP 200, EngineCore encountered an issue"
    assert cell.requests_failed == 4


def test_memory_that_gave_out_is_what_the_engine_died_of() -> None:
    dead = [failed(10, 11, Outcome.ENGINE_DEAD, "EngineCore encountered an issue", status=200) for _ in range(3)]
    cell = burst([*TWO, *dead, failed(10, 11, Outcome.OOM_RUNTIME, "CUDA out of memory", status=500)])
    assert cell.outcome is Outcome.OOM_RUNTIME
    assert cell.evidence == "1 of 6 requests: HTTP 500, CUDA out of memory"


def test_else_the_most_frequent_failure_names_the_cell() -> None:
    busy = [failed(10, 11, Outcome.OVERLOADED, "busy", status=503) for _ in range(2)]
    cell = burst([*TWO, failed(10, 12, Outcome.TIMEOUT, "300 s are over"), *busy])
    assert cell.outcome is Outcome.OVERLOADED
    assert cell.evidence == "2 of 5 requests: HTTP 503, busy"


def test_what_was_cancelled_did_not_fail() -> None:
    cancelled = [failed(10, 11, Outcome.CANCELLED) for _ in range(3)]
    cell = burst([*TWO, *cancelled])
    assert cell.outcome is Outcome.CANCELLED
    assert cell.requests_failed == 0
    assert burst([*TWO, *cancelled, failed(10, 11, Outcome.TIMEOUT)]).outcome is Outcome.TIMEOUT


def test_evidence_is_one_clean_line() -> None:
    cell = burst([failed(0, 1, Outcome.HTTP_ERROR, "\x1b[31mline\nline" * 500, status=500)])
    assert "\n" not in cell.evidence
    assert "\x1b" not in cell.evidence
    assert len(cell.evidence) <= 500


outcomes = st.sampled_from(
    [Outcome.TIMEOUT, Outcome.OVERLOADED, Outcome.ENGINE_DEAD, Outcome.HTTP_ERROR, Outcome.DISCONNECTED]
)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 30), outcomes, st.integers(0, 50)), min_size=1, max_size=8))
def test_failures_never_flatter(failures: list[tuple[float, float, Outcome, int]]) -> None:
    records = closed_loop([1.0] * 10)
    worse = list(records)
    for start_s, lasting_s, outcome, events in failures:
        times = [start_s + lasting_s * (at + 1) / (events + 1) for at in range(events)]
        worse.append(answered(start_s, times, end_s=start_s + lasting_s, outcome=outcome, tokens=None))
    for measure in (burst, lambda r: steady(r, 2, 8)):
        clean, bad = measure(records), measure(worse)
        assert clean.tokens_per_s_total is not None
        assert bad.tokens_per_s_total is not None
        assert bad.tokens_per_s_total <= clean.tokens_per_s_total
        assert bad.time_to_resolve_s == clean.time_to_resolve_s
        assert bad.ttft_p50_s == clean.ttft_p50_s
        assert bad.itl_p50_s == clean.itl_p50_s
        assert bad.requests_ok == clean.requests_ok


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.001, 5), st.integers(1, 9)), min_size=1, max_size=10))
def test_windows_side_by_side_share_all_tokens(answers: list[tuple[float, float, int]]) -> None:
    records = [
        answered(start_s, [start_s + lasting_s * (at + 1) / events for at in range(events)], tokens=events * 3)
        for start_s, lasting_s, events in answers
    ]
    # A gap is kept in whole µs, so that the last event may be placed some µs early: no edge, no loss.
    total = sum((steady(records, at, at + 7).tokens_per_s_total or 0.0) * 7 for at in (0, 7, 14, 21))
    assert total == pytest.approx(sum(record.output_tokens or 0 for record in records))


def test_a_result_survives_the_wire() -> None:
    cell = burst(TWO)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(cell), type=CellResult) == cell


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (404, "HTTP 404: Not Found", "HTTP 404: Not Found"),
        (200, "the engine is dead", "HTTP 200, the engine is dead"),
        (None, "connection refused", "connection refused"),
        (None, "", "http-error"),
        (500, "", "HTTP 500"),
    ],
)
def test_the_evidence_says_the_status_once(status: int | None, error: str, said: str) -> None:
    cell = burst([failed(0, 1, Outcome.HTTP_ERROR, error, status)])
    assert cell.evidence == f"1 of 1 requests: {said}"
