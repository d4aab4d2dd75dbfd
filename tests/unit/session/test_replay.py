from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.session import made
from tui.core.clock import NS_PER_MS, NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.gpu_trend import ROUNDS
from tui.metrics.record import RequestRecord, gaps_between
from tui.metrics.snapshot import LOG_LINES, REQUEST_ROWS, FailureReport, Phase, ServerStatus, Snapshot
from tui.metrics.window import LiveWindow
from tui.session.deaths import deaths_of
from tui.session.reader import SessionReader
from tui.session.replay import snapshot
from tui.session.store import SessionWriter


def _at(second: float) -> int:
    return made.START_NS + round(second * NS_PER_S)


def _shown(path: Path, second: float | None = None) -> Snapshot:
    with SessionReader(path) as reader:
        return snapshot(reader, None if second is None else _at(second))


def _streams(seconds: int) -> list[tuple[RequestRecord, list[int]]]:
    """Requests of some users over time, of 20 tokens in 15 events, with the moments of the events."""
    streams = []
    for number in range(seconds * 4):
        start_ns = _at(number / 4)
        stamps_ns = [start_ns + 200 * NS_PER_MS + step * (17 + number % 5) * NS_PER_MS for step in range(15)]
        record = made.request(
            number,
            intended_start_ns=start_ns,
            start_ns=start_ns,
            first_token_ns=stamps_ns[0],
            last_token_ns=stamps_ns[-1],
            end_ns=stamps_ns[-1] + 1_000,
            output_tokens=15,
            events=15,
            **msgspec.structs.asdict(gaps_between(stamps_ns)),
            outcome=Outcome.TIMEOUT if number % 10 == 9 else Outcome.OK,
        )
        streams.append((record, stamps_ns))
    return streams


def _state(second: float, phase: Phase, failure: str = "") -> tuple[int, ServerStatus]:
    report = FailureReport(failure=failure, summary="it died", line="CUDA out of memory", advice="", exit_code=1)
    return _at(second), ServerStatus(phase=phase, failure=report if failure else None)


def test_deaths_and_returns_are_told_as_far_as_they_had_come(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for at_ns, status in (
        _state(1, Phase.READY),
        _state(10, Phase.FAILED, "oom-runtime"),
        _state(11, Phase.FAILED, "oom-runtime"),
        _state(20, Phase.READY),
        _state(30, Phase.FAILED, "crash"),
        _state(40, Phase.ENDED),
    ):
        writer.set_server(status, at_ns)
    writer.close("done")
    assert _shown(path, 5).deaths == []
    (first,) = _shown(path, 15).deaths
    assert (first.at_ns, first.back_ns, first.outcome) == (_at(10), None, Outcome.OOM_RUNTIME)
    assert first.cause == "CUDA out of memory (exit code 1)"
    first, second = _shown(path).deaths
    assert (first.at_ns, first.back_ns) == (_at(10), _at(20))
    assert (second.at_ns, second.back_ns, second.outcome) == (_at(30), None, Outcome.ENGINE_DEAD)


def test_a_launch_that_failed_and_a_stop_are_no_deaths() -> None:
    assert deaths_of([_state(1, Phase.FAILED, "oom-kv"), _state(2, Phase.READY), _state(3, Phase.ENDED)]) == []
    assert deaths_of([_state(2, Phase.READY), _state(3, Phase.ENDED), _state(4, Phase.FAILED, "crash")]) == []


@pytest.mark.parametrize("second", [3.4, 17.05, 29.9])
def test_the_figures_of_a_moment_are_those_that_were_live_then(tmp_path: Path, second: float) -> None:
    streams = _streams(40)
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_requests([record for record, _ in streams])
    live = LiveWindow()
    for whole in range(int(second) + 1):
        live.add_tokens([(at, 1) for _, stamps in streams for at in stamps if _at(whole - 1) < at <= _at(whole)])
        live.add_records(record for record, _ in streams if _at(whole - 1) < record.end_ns <= _at(whole))
        point = live.series_point(_at(whole), users_wanted=2, users_active=2, in_flight=2, prompt_tokens=31)
        writer.add_series(point)
    since_ns, at_ns = _at(int(second)), _at(second)
    live.add_tokens([(at, 1) for _, stamps in streams for at in stamps if since_ns < at <= at_ns])
    live.add_records(record for record, _ in streams if since_ns < record.end_ns <= at_ns)
    writer.close("finished")
    expected = live.figures(at_ns)
    assert expected.requests_ok and expected.requests_failed and expected.tokens_per_s_total
    replayed = _shown(path, second).figures
    assert msgspec.structs.replace(replayed, tokens_per_s_per_user=None) == msgspec.structs.replace(
        expected, tokens_per_s_per_user=None
    )
    # A mean of floats, summed in another order.
    assert replayed.tokens_per_s_per_user == pytest.approx(expected.tokens_per_s_per_user)


def test_without_its_gaps_a_request_shows_the_same_latencies_and_even_tokens(tmp_path: Path) -> None:
    figures = []
    for name, left_out in (("both", {}), ("old", {"gaps_histogram": b""}), ("new", {"event_gaps_us": b""})):
        writer = SessionWriter(tmp_path / name, made.meta())
        writer.add_requests([msgspec.structs.replace(record, **left_out) for record, _ in _streams(20)])
        writer.close("finished")
        figures.append(_shown(tmp_path / name, 15).figures)
    with_gaps, of_old, without = figures
    assert of_old == with_gaps
    assert with_gaps.itl_p50_s is not None and with_gaps.tokens_per_s_total is not None
    assert without.tokens_per_s_total == pytest.approx(with_gaps.tokens_per_s_total, rel=0.02)
    assert msgspec.structs.replace(without, tokens_per_s_total=None) == msgspec.structs.replace(
        with_gaps, tokens_per_s_total=None
    )


def test_tokens_of_packed_events_are_all_counted(tmp_path: Path) -> None:
    record = made.request(1, output_tokens=11)  # in 4 events
    path = made.session(tmp_path / "a.vramp", requests=[record])
    figures = _shown(path, 3.5).figures
    assert figures.tokens_per_s_total == pytest.approx(11 / (3.2 - 1.1))  # until three tenths before the moment shown


def test_a_moment_shows_what_was_known_then_and_nothing_later(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_requests([made.request(n, outcome=Outcome.OK if n % 2 else Outcome.TIMEOUT) for n in range(1, 9)])
    for second in range(10):
        writer.add_series(made.point(second, users_wanted=second, server_running=float(second), kv_cache_usage=0.5))
        writer.add_gpus([made.gpu(second, 0), made.gpu(second, 1)])
        writer.add_event(made.event(second, f"line {second}"))
    writer.set_server(ServerStatus(phase=Phase.LAUNCHING), _at(1))
    writer.set_server(ServerStatus(phase=Phase.READY, model="m", pid=77), _at(4))
    writer.close("finished")
    shown = _shown(path, 5)
    assert shown.at_ns == _at(5) and shown.started_at_ns == made.START_NS
    assert [row.request_id for row in shown.requests] == [4, 3, 2, 1]
    assert [row.request_id for row in shown.requests_failed] == [4, 2]
    assert [row.users for row in shown.requests] == [4, 3, 2, 1]
    assert len(shown.points) == 4
    assert shown.series[-1].at_ns == _at(5)
    assert [(gpu.index, gpu.vram_used_bytes) for gpu in shown.gpus] == [(0, 5), (1, 5)]
    assert shown.log[-1].text == "line 5"
    assert shown.server == ServerStatus(phase=Phase.ENDED, model="m", running=5.0, kv_cache_usage=0.5)
    assert (shown.load.users_wanted, shown.load.prompt_tokens, shown.load.output_tokens) == (5, 31, 100)
    assert (shown.figures.requests_ok_total, shown.figures.requests_failed_total) == (2, 2)
    assert shown.simulated and shown.profile_title == "A demo"
    before = _shown(path, 3)
    assert before.server.model == ""
    nothing = _shown(path, -1)
    assert not (nothing.requests or nothing.series or nothing.gpus or nothing.log)


def test_the_minute_before_a_moment_is_shown_of_each_card_without_its_slices(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for second in range(100):
        card = msgspec.structs.replace(made.gpu(second), power_w=100.0 + second, active_share=0.5)
        other = msgspec.structs.replace(made.gpu(second, 1), power_w=50.0)
        writer.add_gpus([card, msgspec.structs.replace(card, mig_index=0), other])
    writer.close("finished")
    first, second_card = _shown(path, 90).gpu_trends
    assert (first.index, first.power_w[-1], first.active_share[-1]) == (0, 190.0, 0.5)
    assert len(first.power_w) == min(ROUNDS, 91) == len(second_card.power_w)
    assert first.power_w[0] == 131.0 and set(second_card.power_w) == {50.0}
    assert _shown(path, -1).gpu_trends == []


def test_slices_stand_after_their_card(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for second in (1, 2):
        slices = [msgspec.structs.replace(made.gpu(second), mig_index=number) for number in (0, 2)]
        writer.add_gpus([msgspec.structs.replace(made.gpu(second), mig_mode=True), *slices, made.gpu(second, 1)])
    writer.close("finished")
    gpus = _shown(path).gpus
    assert [(gpu.place, gpu.vram_used_bytes) for gpu in gpus] == [("0", 2), ("0:0", 2), ("0:2", 2), ("1", 2)]


def test_the_grid_fills_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_cell(made.cell(1, 31, started_at_ns=_at(1)), _at(2))
    writer.add_cell(made.cell(2, 31, started_at_ns=_at(3), outcome=Outcome.OOM_KV), _at(5))
    writer.add_cell(made.cell(2, 63, outcome=Outcome.IMPLIED, started_at_ns=0), _at(5))
    writer.set_server(ServerStatus(phase=Phase.READY, kv_cache_tokens=300), _at(0))
    writer.close("finished")

    def grid(second: float) -> dict[tuple[int, int], str]:
        return {(c.users, c.prompt_tokens): str(c.outcome) for c in _shown(path, second).grid.cells}

    assert grid(0.5) == {}
    assert grid(1.5) == {(1, 31): "running"}
    assert grid(2.5) == {(1, 31): "ok"}
    under_way = _shown(path, 4)
    assert (under_way.grid.current_users, under_way.grid.current_prompt_tokens) == (2, 31)
    assert under_way.grid.cells[1].time_to_resolve_s is None
    assert under_way.sweep.running and under_way.sweep.cells_done == 1 and not under_way.sweep.finished
    assert grid(6) == {(1, 31): "ok", (2, 31): "oom-kv", (2, 63): "implied"}
    end = _shown(path)
    assert (end.grid.users, end.grid.prompt_tokens, end.grid.mode) == ([1, 2], [31, 63], "burst")
    assert end.grid.queueing == [(2, 63)]
    assert (end.sweep.cells_done, end.sweep.cells_total, end.sweep.running) == (3, 4, False)


def test_modes_are_not_mixed_in_a_grid(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", cells=[made.cell(1), made.cell(3, mode="steady")])
    shown = _shown(path)
    assert shown.grid.mode == "steady"
    assert [cell.users for cell in shown.grid.cells] == [3]
    assert (shown.grid.users, shown.grid.prompt_tokens) == ([3], [31])


def test_long_lists_are_cut_to_what_a_view_shows(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    writer.add_requests([made.request(n) for n in range(REQUEST_ROWS + 50)])
    for second in range(LOG_LINES + 50):
        writer.add_event(made.event(second))
    writer.close("finished")
    shown = _shown(path)
    assert len(shown.requests) == REQUEST_ROWS
    assert len(shown.log) == LOG_LINES
    assert shown.log[-1].at_ns == _at(LOG_LINES + 49)


def test_an_empty_session_and_one_with_an_unknown_profile_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    SessionWriter(path, made.meta(profile_json='{"name": "from the future"}')).close("failed")
    shown = _shown(path)
    assert shown.server.phase is Phase.ENDED
    assert shown.profile_title == "demo"
    assert shown.figures.tokens_per_s_total is None and shown.figures.requests_ok_total == 0
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(shown), type=Snapshot) == shown


def test_cards_of_several_hosts_that_are_read_at_different_times_are_one_round(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    for second in range(1, 4):
        writer.add_gpus(
            [
                msgspec.structs.replace(
                    made.gpu(second, index), host=host, at_ns=_at(second + late_s), power_w=100.0 * second
                )
                for host, late_s in (("node2", 0.4), ("node10", 0.1))
                for index in range(2)
            ]
        )
    writer.close("finished")
    shown = _shown(path, 3.5)
    assert [gpu.place for gpu in shown.gpus] == ["node2/0", "node2/1", "node10/0", "node10/1"]
    assert [gpu.vram_used_bytes for gpu in shown.gpus] == [3] * 4
    assert [(trend.host, trend.power_w) for trend in shown.gpu_trends] == [
        ("node2", [200.0, 400.0, 600.0]),
        ("node10", [200.0, 400.0, 600.0]),
    ]
