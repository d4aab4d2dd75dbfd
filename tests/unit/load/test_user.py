"""Plans: what is started when, and what is dropped."""

from __future__ import annotations

from array import array

import pytest

from tests.fakes.load_worker import in_process_worker, shape
from tests.fakes.paced_server import paced_server
from tui.core.clock import now_ns
from tui.core.outcome import Outcome
from tui.load.read_batches import NEVER_NS
from tui.load.wire import ChangeUsers, Cut, RunPlan


async def test_planned_requests_that_find_no_connection_are_counted_as_dropped() -> None:
    async with paced_server(gap_s=1) as server, in_process_worker(server.base_url) as load:
        load.worker._most_connections = 4
        offsets_ns = array("q", [at * 1_000_000 for at in range(10)])
        load.worker.obey(RunPlan(now_ns(), offsets_ns.tobytes(), 2))
        assert len(await load.until_records(4)) == 4
        assert sum(report.dropped for report in load.reports) == 6
        assert {record.outcome for record in load.records} == {Outcome.OK}
        assert server.connections == 4


async def test_latency_counts_from_the_planned_time_however_late_the_client_is() -> None:
    async with paced_server() as server, in_process_worker(server.base_url) as load:
        planned_ns = now_ns() - 3_000_000_000
        load.worker.obey(RunPlan(planned_ns, array("q", [0]).tobytes(), 0))
        (record,) = await load.until_records(1)
        assert record.intended_start_ns == planned_ns
        assert record.client_delay_s >= 3
        assert record.outcome is Outcome.CLIENT_LIMIT
        assert "late by 3." in record.error


async def test_a_plan_that_is_cut_is_over_and_what_was_still_to_come_is_not_dropped() -> None:
    async with paced_server(gap_s=30) as server, in_process_worker(server.base_url) as load:
        start_ns = now_ns()
        load.worker.obey(RunPlan(start_ns, array("q", [0, 0, 60_000_000_000]).tobytes(), 1))
        await server.until(2)
        assert load.worker._context.readers.due_ns == start_ns + 60_000_000_000
        load.worker.obey(Cut())
        assert load.worker._context.readers.due_ns == NEVER_NS
        assert [record.outcome for record in load.records] == [Outcome.CANCELLED] * 2
        assert any(report.plan_over for report in load.reports)
        assert sum(report.dropped for report in load.reports) == 0


@pytest.mark.parametrize(("tokens", "each_request"), [(1, [True, True]), (2, [False, True]), (3, [False, True])])
async def test_the_end_of_an_answer_is_urgent_for_a_request_follows_it(
    monkeypatch: pytest.MonkeyPatch, tokens: int, each_request: list[bool]
) -> None:
    async with (
        paced_server(gap_s=0.001) as server,
        in_process_worker(server.base_url, of=shape(output_tokens=tokens)) as load,
    ):
        said: list[bool] = []
        monkeypatch.setattr(load.worker._context.readers, "set_urgent", lambda _, urgent: said.append(urgent))
        load.worker.obey(ChangeUsers([1], []))
        await load.until_records(2)
        assert said[:4] == each_request * 2
        load.worker.obey(Cut())


async def test_who_leaves_before_the_connection_was_opened_opens_none() -> None:
    async with paced_server() as server, in_process_worker(server.base_url) as load:
        load.worker.obey(ChangeUsers([1], []))
        load.worker.obey(ChangeUsers([], [1]))
        load.worker.obey(ChangeUsers([2], []))
        await load.until_records(1)
        assert {record.user for record in load.records} == {2}
        assert server.connections == 1
        assert [number for report in load.reports for number in report.left] == [1]
        load.worker.obey(Cut())
