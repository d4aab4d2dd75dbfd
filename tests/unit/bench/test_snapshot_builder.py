"""What the bench shows of finished requests."""

from __future__ import annotations

import msgspec

from tests.unit.bench.records import record
from tui.bench.grid import Grid
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.core.outcome import Outcome
from tui.metrics.reading import Event
from tui.metrics.snapshot import LOG_LINES, LoadStatus, Phase, ServerDeath, ServerStatus, SweepStatus
from tui.metrics.window import LiveWindow


def test_a_request_is_shown_with_the_users_of_its_time() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    shown.users_wanted = 128
    shown.begin_tag(7)
    shown.users_wanted = 0  # they finish what they asked
    shown.add_records([record(tag=7)])
    assert [row.users for row in shown.requests] == [128]


def test_a_server_that_died_is_back_when_one_is_ready_and_a_first_launch_is_no_return() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    shown.server_is_back(3)
    assert not shown.deaths
    shown.deaths.append(ServerDeath(at_ns=5, outcome=Outcome.OOM_RUNTIME, cause="out of memory"))
    shown.server_is_back(9)
    shown.server_is_back(12)  # launched again by hand
    assert [death.back_ns for death in shown.deaths] == [9]


def test_what_is_remembered_of_tags_does_not_grow_with_the_run() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    for tag in range(1_000):
        shown.begin_tag(tag)
    assert len(shown.users_by_tag) == 100 and 999 in shown.users_by_tag


def test_a_server_that_writes_without_end_pushes_nothing_else_out_of_the_log() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    shown.add_event(Event(at_ns=1, source="session", text="the session is not being kept", level="error"))
    for number in range(10_000):
        shown.add_event(Event(at_ns=2 + number, source="server", text=f"line {number}"))
    shown.add_event(Event(at_ns=5, source="sweep", text="done"))
    status = ServerStatus(phase=Phase.READY)
    log = shown.snapshot(
        0,
        server=status,
        load=LoadStatus(),
        grid=Grid("burst", [1], [1], 1),
        current=None,
        queueing=[],
        edges=[],
        carried=[],
        sweep=SweepStatus(),
        gpu_note="",
        notice="",
    ).log
    assert len(log) <= LOG_LINES
    assert (log[0].text, log[1].text[:4], log[-1].text) == ("the session is not being kept", "line", "done")


def test_requests_that_fail_alike_in_a_row_are_counted_as_one() -> None:
    made = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    died = msgspec.structs.replace(record(outcome=Outcome.ENGINE_DEAD), error="the engine is gone")
    made.add_records([died] * 63)
    made.add_records([record(outcome=Outcome.HTTP_ERROR), died])
    assert [(row.times, row.outcome) for row in made.failed] == [
        (1, Outcome.ENGINE_DEAD),
        (1, Outcome.HTTP_ERROR),
        (63, Outcome.ENGINE_DEAD),
    ]
