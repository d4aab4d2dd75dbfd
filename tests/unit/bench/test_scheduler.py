"""What the scheduler decides: the walk over the grid, deaths, the operator's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.testbed import FakePool, FakeTestbed, crash, oom
from tui.bench import measure
from tui.bench.scheduler import Scheduler
from tui.core.errors import UsageError
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.metrics.conditions import Conditions
from tui.metrics.limits import Limit
from tui.metrics.record import CountedBy
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import AttachTable, Mode

GRID: dict[str, Any] = {"users": [1, 2, 4], "prompt_tokens": [30, 300]}


def fine(users: int, prompt_tokens: int) -> None:
    return None


def from_cell(
    cell: tuple[int, int], how: Callable[[int, int], FailureReport], *, times: int = 99
) -> Callable[[int, int], FailureReport | None]:
    """Return a script by which the server dies in the cell, the first so many times."""
    left = [times]

    def script(users: int, prompt_tokens: int) -> FailureReport | None:
        if (users, prompt_tokens) != cell or not left[0]:
            return None
        left[0] -= 1
        return how(users, prompt_tokens)

    return script


async def swept(testbed: FakeTestbed) -> Scheduler:
    scheduler = Scheduler(testbed)
    await scheduler.start_sweep()
    async with asyncio.timeout(60):
        while scheduler.activity != "idle":
            await asyncio.sleep(0.005)
    return scheduler


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def outcomes(scheduler: Scheduler, mode: Mode = Mode.BURST) -> dict[tuple[int, int], Outcome]:
    return {(each.users, each.prompt_tokens): each.outcome for each in scheduler.grids[mode].results}


async def test_a_sweep_fills_every_cell_once_and_in_order() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = await swept(testbed)
    assert set(outcomes(scheduler).values()) == {Outcome.OK}
    assert testbed.pool.asked == [("burst", users, size) for size in (30, 300) for users in (1, 2, 4)]
    assert scheduler.sweep_status.finished and scheduler.sweep_status.cells_done == 6
    assert scheduler.sweep_status.remaining_s == 0


async def test_no_cell_ends_in_a_silence_and_one_that_held_a_silence_says_so() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[100], mode=Mode.STEADY)
    testbed.silent_s = 7.0
    scheduler = Scheduler(testbed)
    await scheduler.start_sweep()
    await asyncio.sleep(1.0)  # fifty times as long as the cell takes
    assert not testbed.kept
    testbed.silent_s = None
    await until(lambda: bool(testbed.kept))
    await scheduler.stop()
    assert testbed.kept[0].outcome is Outcome.OK
    assert testbed.kept[0].caveats == "no token came for 7 s while it was measured"


async def test_a_cell_says_how_its_answers_were() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[100])
    testbed.output_tokens, testbed.output_forced = 2, False
    await swept(testbed)
    (cell,) = testbed.kept
    assert (cell.outcome, cell.output_tokens_mean, cell.output_forced) == (Outcome.OK, 2, False)
    assert cell.caveats == "answers have 2 tokens, 3 were asked for: the server was not made to give so many"


async def test_where_nobody_counts_the_tokenizer_has_a_word() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[100])
    testbed.counted_by, testbed.told_per_event = CountedBy.EVENTS, 2.5
    await swept(testbed)
    (cell,) = testbed.kept
    assert (cell.counted_by, cell.tokens_per_event) == ("events", 2.5)
    assert "by its tokenizer one holds 2.50" in cell.caveats


async def test_where_the_server_counts_no_tokenizer_is_asked() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[100])
    testbed.told_per_event = 2.5
    await swept(testbed)
    assert (testbed.kept[0].tokens_per_event, testbed.kept[0].caveats) == (None, "")


async def test_gauges_read_before_and_after_a_burst_are_not_of_it() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[30])
    testbed.scraped = lambda: ServerMetrics(kv_cache_usage=0.0, waiting=0.0, preemptions_total=0.0)
    await swept(testbed)
    (cell,) = testbed.kept
    assert (cell.kv_cache_usage_max, cell.server_waiting_max, cell.preemptions) == (None, None, 0.0)

    async def asked_while_it_ran(users: int) -> int:
        testbed.metrics = ServerMetrics(kv_cache_usage=0.3, waiting=2.0, preemptions_total=0.0)
        return await FakePool.burst(testbed.pool, users)

    testbed.pool.burst = asked_while_it_ran  # type: ignore[method-assign]
    testbed.kept.clear()
    await swept(testbed)
    (cell,) = testbed.kept
    assert (cell.kv_cache_usage_max, cell.server_waiting_max) == (0.3, 2.0)


async def test_repeats_are_bursts_of_their_own() -> None:
    testbed = FakeTestbed(fine, users=[2], prompt_tokens=[30], repeats=3)
    scheduler = await swept(testbed)
    (cell,) = scheduler.grid.results
    assert testbed.pool.asked == [("burst", 2, 30)] * 3 and cell.requests_ok == 6


async def test_out_of_memory_is_final_at_once_and_implies_the_larger_cells() -> None:
    testbed = FakeTestbed(from_cell((2, 30), oom), **GRID)
    scheduler = await swept(testbed)
    assert outcomes(scheduler) == {
        (1, 30): Outcome.OK,
        (2, 30): Outcome.OOM_RUNTIME,
        (4, 30): Outcome.IMPLIED,
        (1, 300): Outcome.OK,
        (2, 300): Outcome.IMPLIED,
        (4, 300): Outcome.IMPLIED,
    }
    assert testbed.launches == 2
    evidence = {c.outcome: c.evidence for c in testbed.kept}[Outcome.OOM_RUNTIME]
    assert "CUDA out of memory" in evidence and "exit code 0" in evidence


async def test_a_crash_is_given_a_second_chance() -> None:
    testbed = FakeTestbed(from_cell((2, 30), crash, times=1), **GRID)
    scheduler = await swept(testbed)
    assert set(outcomes(scheduler).values()) == {Outcome.OK}
    assert testbed.launches == 2 and any("once more" in text for text in testbed.said)


@pytest.mark.parametrize("mode", ["burst", "steady"])
@pytest.mark.parametrize(
    ("words", "status"), [(Outcome.ENGINE_DEAD, 500), (Outcome.HTTP_ERROR, 500), (Outcome.HTTP_ERROR, 200)]
)
async def test_an_engine_that_is_dead_behind_a_healthy_front_is_launched_again(
    monkeypatch: pytest.MonkeyPatch, mode: str, words: Outcome, status: int
) -> None:
    monkeypatch.setattr(measure, "DEATH_NOTICE_S", 0.01)
    testbed = FakeTestbed(from_cell((2, 30), crash, times=1), mode=mode, **GRID)
    testbed.dies_silently, testbed.pool.dead_words, testbed.pool.dead_status = True, words, status
    scheduler = await swept(testbed)
    assert set(outcomes(scheduler, Mode(mode)).values()) == {Outcome.OK}
    assert testbed.launches == 2


async def test_requests_that_are_refused_are_no_sign_of_death() -> None:
    testbed = FakeTestbed(from_cell((2, 30), crash, times=1), **GRID)
    testbed.dies_silently, testbed.pool.dead_words, testbed.pool.dead_status = True, Outcome.HTTP_ERROR, 400
    scheduler = await swept(testbed)
    assert testbed.launches == 1 and outcomes(scheduler)[2, 30] is Outcome.HTTP_ERROR


async def test_an_attached_server_that_answers_with_errors_is_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "DEATH_NOTICE_S", 0.01)
    testbed = FakeTestbed(from_cell((2, 30), crash, times=1), **GRID)
    attach = AttachTable(base_url="http://127.0.0.1:8000")
    testbed.profile = testbed.profile.model_copy(update={"server": None, "attach": attach})
    testbed.dies_silently, testbed.pool.dead_words = True, Outcome.HTTP_ERROR
    scheduler = await swept(testbed)
    assert testbed.launches == 1
    assert outcomes(scheduler)[4, 300] is Outcome.HTTP_ERROR


async def test_a_cell_that_kills_the_server_twice_is_final() -> None:
    testbed = FakeTestbed(from_cell((4, 30), crash), **GRID)
    scheduler = await swept(testbed)
    assert outcomes(scheduler)[4, 30] is Outcome.ENGINE_DEAD
    assert outcomes(scheduler)[4, 300] is Outcome.IMPLIED
    assert testbed.launches == 3


async def test_a_server_that_comes_up_no_more_ends_the_sweep_with_what_was_measured() -> None:
    testbed = FakeTestbed(from_cell((2, 30), oom), launches_fail_from=2, **GRID)
    scheduler = await swept(testbed)
    assert outcomes(scheduler)[1, 30] is Outcome.OK
    assert not scheduler.sweep_status.finished


async def test_a_sweep_that_cannot_go_on_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    testbed = FakeTestbed(fine, **GRID)

    async def refuse(prompt_tokens: int) -> int:
        raise UsageError("a prompt of 30 tokens cannot be made")

    monkeypatch.setattr(testbed, "configure", refuse)
    scheduler = await swept(testbed)
    assert not scheduler.sweep_status.finished
    assert scheduler.sweep_status.failed == testbed.notice == "a prompt of 30 tokens cannot be made"
    assert not outcomes(scheduler)


async def test_what_cannot_fit_is_not_asked_for() -> None:
    testbed = FakeTestbed(fine, users=[1, 2], prompt_tokens=[30, 998])
    scheduler = await swept(testbed)
    assert outcomes(scheduler)[1, 998] is outcomes(scheduler)[2, 998] is Outcome.TOO_LONG
    assert all(size != 998 for _, _, size in testbed.pool.asked)
    assert "1000" in scheduler.grid.results[-1].evidence


async def test_steady_cells_of_one_prompt_size_follow_without_a_gap() -> None:
    testbed = FakeTestbed(fine, mode="steady", **GRID)
    scheduler = await swept(testbed)
    assert set(outcomes(scheduler, Mode.STEADY).values()) == {Outcome.OK}
    # Users are sent home at the beginning, between the two sizes, and at the end.
    assert testbed.pool.cuts == 3
    assert all(cell.mode == "steady" for cell in testbed.kept)


async def test_rate_cells_say_what_was_dropped() -> None:
    testbed = FakeTestbed(fine, mode="rate", rate_per_s=2.0, users=[1, 3], prompt_tokens=[30])
    await swept(testbed)
    assert [(cell.mode, cell.requests_dropped) for cell in testbed.kept] == [("rate", 3), ("rate", 3)]
    assert testbed.pool.asked == [("rate", 2, 30), ("rate", 6, 30)]


async def test_a_rate_cell_that_ends_early_says_what_was_cut_and_what_was_dropped() -> None:
    testbed = FakeTestbed(
        fine, mode="rate", rate_per_s=2.0, users=[1], prompt_tokens=[30], duration_s=50.0, failures_in_a_row=5
    )
    testbed.pool.fails = True
    scheduler = Scheduler(testbed)
    await scheduler.start_sweep()
    while not testbed.pool.asked:
        await asyncio.sleep(0)
    testbed.pool.unanswered = 4
    async with asyncio.timeout(40):
        while not testbed.kept:
            await asyncio.sleep(0.01)
    await scheduler.close()
    (cell,) = testbed.kept
    assert cell.rate is not None and (cell.rate.cut, cell.requests_dropped) == (4, 3)
    assert "4 requests under way were cut unanswered" in cell.caveats


async def test_a_stopped_sweep_leaves_its_running_cell_open() -> None:
    testbed = FakeTestbed(fine, mode="steady", **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.start_sweep()
    while not scheduler.grid.results:
        await asyncio.sleep(0)
    await scheduler.stop()
    assert all(cell.outcome is not Outcome.RUNNING for cell in scheduler.grids[Mode.STEADY].results)
    assert scheduler.sweep_status.running is False


async def test_the_operator_fills_the_cell_they_stand_in() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(2)
    async with asyncio.timeout(60):
        while not testbed.kept:
            await asyncio.sleep(0.005)
    await scheduler.close()
    cell = testbed.kept[0]
    assert (cell.users, cell.prompt_tokens, cell.mode, cell.measured_by) == (2, 30, "steady", "operator")
    assert scheduler.shown_mode is Mode.STEADY


async def test_a_cell_that_is_measured_again_is_kept_again_and_told_once() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(2)
    async with asyncio.timeout(60):
        while len(testbed.kept) < 3:
            await asyncio.sleep(0.005)
    await scheduler.close()
    assert [text for text in testbed.said if text.startswith("2 users")] == [testbed.said[0]]


async def test_nobody_stands_still_when_the_users_were_sent_home() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(2)
    async with asyncio.timeout(60):
        while not testbed.kept:
            await asyncio.sleep(0.005)
        assert scheduler.standing_for_s() is not None
        await scheduler.set_users(0)
        while scheduler.activity != "idle" or scheduler.current is not None:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
    assert scheduler.standing_for_s() is None


async def test_the_operator_who_kills_the_server_is_left_with_no_users_and_a_new_one() -> None:
    testbed = FakeTestbed(from_cell((4, 30), oom), **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(4)
    async with asyncio.timeout(60):
        while scheduler.activity != "idle":
            await asyncio.sleep(0.005)
    assert scheduler.users == 0 and testbed.launches == 2
    assert testbed.kept[0].outcome is Outcome.OOM_RUNTIME


async def test_a_ramp_stands_still_at_each_step() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.start_ramp()
    async with asyncio.timeout(60):
        while len(testbed.kept) < 3:
            await asyncio.sleep(0.005)
    await scheduler.close()
    assert [cell.users for cell in testbed.kept[:3]] == [1, 2, 4]


async def test_prompt_sizes_step_along_the_axis_and_stop_at_its_ends() -> None:
    scheduler = Scheduler(FakeTestbed(fine, **GRID))
    assert scheduler.next_prompt_tokens(-1) == 30
    await scheduler.set_prompt_tokens(scheduler.next_prompt_tokens(1))
    assert scheduler.prompt_tokens == 300
    assert scheduler.next_prompt_tokens(1) == 300


async def test_a_server_that_never_came_up_for_memory_fails_every_cell() -> None:
    testbed = FakeTestbed(fine, **GRID)
    scheduler = Scheduler(testbed)
    scheduler.fail_all(Outcome.OOM_KV, "too small")
    assert set(outcomes(scheduler).values()) == {Outcome.OOM_KV} and len(testbed.kept) == 6


async def test_every_cell_says_that_an_attached_server_is_simulated_though_the_profile_does_not_know() -> None:
    testbed = FakeTestbed(from_cell((2, 30), oom), users=[1, 2, 4], prompt_tokens=[30, 998])
    testbed.attached_to_simulated = True
    scheduler = await swept(testbed)
    assert {cell.outcome for cell in scheduler.grid.results} == {
        Outcome.OK,
        Outcome.OOM_RUNTIME,
        Outcome.IMPLIED,
        Outcome.TOO_LONG,
    }
    assert all(cell.simulated for cell in [*scheduler.grid.results, *testbed.kept])
    scheduler.grids[Mode.BURST].forget((1, 30))
    scheduler.fail_all(Outcome.OOM_KV, "too small")
    assert all(cell.simulated for cell in testbed.kept)


async def test_a_fault_while_a_server_is_brought_back_ends_the_sweep_and_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def wait_for_vram() -> None:
        raise RuntimeError("the driver is gone")

    testbed = FakeTestbed(from_cell((2, 30), crash), **GRID)
    monkeypatch.setattr(testbed, "relaunch", wait_for_vram)
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["exception"]))
    scheduler = await swept(testbed)
    assert scheduler.sweep_status.failed == "internal error: RuntimeError: the driver is gone"
    assert not scheduler.sweep_status.finished
    assert [str(error) for error in heard] == ["the driver is gone"]


async def test_a_server_that_dies_while_another_cell_is_under_way_gives_no_cell_an_outcome() -> None:
    testbed = FakeTestbed(fine, mode="steady", **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(4)
    await until(lambda: (4, 30) in outcomes(scheduler, Mode.STEADY))
    assert not testbed.pool.settling  # nothing was under way before
    testbed.pool.dies_unsettled = True
    await scheduler.set_prompt_tokens(300)
    await until(lambda: testbed.launches == 2)
    assert testbed.pool.settling == [(4, 300)]
    assert (4, 300) not in {cell for cell, outcome in outcomes(scheduler, Mode.STEADY).items() if not outcome.is_open}
    assert not any(outcome.is_oom for outcome in outcomes(scheduler, Mode.STEADY).values())
    assert "no cell is blamed" in testbed.notice and "CUDA out of memory" in testbed.notice
    await scheduler.close()


@pytest.mark.parametrize(
    ("first", "then", "waits"),
    [((2, 30), (4, 30), False), ((4, 30), (2, 30), True), ((2, 30), (2, 300), True), ((2, 30), (4, 300), True)],
)
async def test_a_cell_waits_for_what_is_not_its_own(first: tuple[int, int], then: tuple[int, int], waits: bool) -> None:
    testbed = FakeTestbed(fine, mode="steady", **GRID)
    scheduler = Scheduler(testbed)
    for users, prompt_tokens in (first, then):
        await scheduler.set_prompt_tokens(prompt_tokens)
        await scheduler.set_users(users)
        cell = users, prompt_tokens
        await until(lambda: outcomes(scheduler, Mode.STEADY).get(cell) is Outcome.OK)  # noqa: B023 - at once
    assert (then in testbed.pool.settling) is waits
    await scheduler.close()


async def test_a_failure_below_an_ok_cell_is_measured_again_and_then_marked_without_implying() -> None:
    testbed = FakeTestbed(fine, users=[1, 2, 4], prompt_tokens=[30])
    scheduler = await swept(testbed)
    scheduler.grid.forget((2, 30))
    testbed.script = from_cell((2, 30), oom)
    await scheduler.start_sweep()
    await until(lambda: scheduler.activity == "idle")
    found = {each.users: each for each in scheduler.grid.results}
    assert [found[users].outcome for users in (1, 2, 4)] == [Outcome.OK, Outcome.OOM_RUNTIME, Outcome.OK]
    assert "contradicts 4 users x 30 tokens, which was ok" in found[2].evidence
    assert testbed.pool.asked.count(("burst", 2, 30)) == 3  # once in the first sweep, twice in the second


async def test_a_failure_below_an_ok_cell_that_does_not_come_again_was_an_accident() -> None:
    testbed = FakeTestbed(fine, users=[1, 2, 4], prompt_tokens=[30])
    scheduler = await swept(testbed)
    scheduler.grid.forget((2, 30))
    testbed.script = from_cell((2, 30), oom, times=1)
    await scheduler.start_sweep()
    await until(lambda: scheduler.activity == "idle")
    assert set(outcomes(scheduler).values()) == {Outcome.OK}
    assert any("contradicts" in text and "once more" in text for text in testbed.said)


async def test_a_key_during_a_relaunch_does_not_end_it_and_takes_effect_after_it() -> None:
    testbed = FakeTestbed(from_cell((2, 30), oom), mode="steady", **GRID)
    testbed.may_relaunch.clear()
    scheduler = Scheduler(testbed)
    await scheduler.set_users(2)
    await until(lambda: scheduler.relaunching)
    await scheduler.set_users(1)
    assert testbed.launches == 1 and scheduler.relaunching
    testbed.may_relaunch.set()
    await until(lambda: outcomes(scheduler, Mode.STEADY).get((1, 30)) is Outcome.OK)
    assert testbed.launches == 2 and not scheduler.users_before
    await scheduler.close()


async def test_users_wait_after_a_relaunch_until_they_are_asked_for() -> None:
    testbed = FakeTestbed(from_cell((2, 30), crash, times=3), mode="steady", **GRID)
    scheduler = Scheduler(testbed)
    await scheduler.set_users(2)
    await until(lambda: scheduler.users_before == 2 and scheduler.activity == "idle")
    assert scheduler.users == 0
    testbed.script = fine
    await scheduler.restore_users()
    await until(lambda: outcomes(scheduler, Mode.STEADY).get((2, 30)) is Outcome.OK)
    assert not scheduler.users_before
    await scheduler.close()


@pytest.mark.parametrize(("how", "come_back"), [(crash, True), (oom, False)])
async def test_users_that_are_to_return_ask_again_unless_memory_gave_out(
    how: Callable[[int, int], FailureReport], come_back: bool
) -> None:
    testbed = FakeTestbed(from_cell((2, 30), how, times=2), mode="steady", **GRID)
    scheduler = Scheduler(testbed, users_return=True)
    await scheduler.set_users(2)
    if come_back:
        await until(lambda: testbed.launches == 3 and outcomes(scheduler, Mode.STEADY).get((2, 30)) is Outcome.OK)
        assert scheduler.users == 2 and not scheduler.users_before
    else:
        await until(lambda: testbed.launches == 2 and scheduler.activity == "idle")
        assert scheduler.users == 0 and scheduler.users_before == 2
    await scheduler.close()


async def test_a_server_that_was_launched_again_is_held_against_the_one_before() -> None:
    testbed = FakeTestbed(from_cell((2, 300), crash, times=1), **GRID)
    scheduler = await swept(testbed)
    assert testbed.launches == 2
    again = [cell for cell in testbed.kept if cell.conditions is not None and cell.conditions.control_of]
    assert len(again) == 1
    assert again[0].conditions is not None and again[0].conditions.control_of == 1
    assert [text for text in testbed.said if text.startswith("control: ")] == again[0].conditions.notes
    measured = [(users, size) for _, users, size in testbed.pool.asked]
    place = (again[0].users, again[0].prompt_tokens)
    assert measured.count(place) == 2
    assert measured.index((2, 300)) < len(measured) - 1 - measured[::-1].index(place)
    assert set(outcomes(scheduler).values()) == {Outcome.OK}


async def test_a_control_that_fails_leaves_what_was_measured_before() -> None:
    deaths = iter([None, None, None, None, crash, crash])

    def script(users: int, prompt_tokens: int) -> FailureReport | None:
        how = next(deaths, None)
        return how(users, prompt_tokens) if how is not None else None

    testbed = FakeTestbed(script, **GRID)
    scheduler = await swept(testbed)
    assert testbed.launches == 3
    assert set(outcomes(scheduler).values()) == {Outcome.OK}
    assert any("what was measured before stays" in text for text in testbed.said)


async def test_what_a_cell_is_measured_under_and_limited_by_is_kept_with_it() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[30])
    await swept(testbed)
    (kept,) = testbed.kept
    assert kept.conditions is not None and kept.conditions.launch == 1
    assert kept.verdict is not None and kept.verdict.limit is Limit.NOT_KNOWN  # this server tells nothing


async def edges_found(testbed: FakeTestbed) -> Scheduler:
    scheduler = Scheduler(testbed)
    await scheduler.find_edge()
    await until(lambda: scheduler.activity == "idle")
    return scheduler


async def test_the_edge_is_found_at_each_prompt_size_and_its_cells_fill_the_grid() -> None:
    most = {30: 21, 300: 5}
    testbed = FakeTestbed(lambda users, size: oom(users, size) if users > most[size] else None, **GRID)
    scheduler = await edges_found(testbed)
    assert [(one.prompt_tokens, one.users, one.known) for one in scheduler.edges] == [(30, 21, True), (300, 5, True)]
    assert scheduler.edges[0].sentence.startswith("21 users at 30 tokens, then oom-runtime: CUDA out of memory")
    assert scheduler.is_done and scheduler.sweep_status.looks_for_edge and scheduler.sweep_status.cells_done == 2
    assert outcomes(scheduler)[21, 30] is Outcome.OK and outcomes(scheduler)[22, 30] is Outcome.OOM_RUNTIME
    asked = [(users, size) for _, users, size in testbed.pool.asked]
    assert asked.count((21, 30)) == 2 and asked.count((22, 30)) == 1  # what killed the server is not asked again
    assert max(users for users, size in asked if size == 300) < 22  # longer prompts carry no more


async def test_a_search_for_the_edge_goes_on_from_what_is_known() -> None:
    def script(users: int, size: int) -> FailureReport | None:
        return oom(users, size) if users > 21 else None

    whole = await edges_found(FakeTestbed(script, users=[1, 2, 4], prompt_tokens=[30]))
    testbed = FakeTestbed(script, users=[1, 2, 4], prompt_tokens=[30])
    scheduler = Scheduler(testbed)
    scheduler.restore(whole.results[:-1])
    await scheduler.find_edge()
    await until(lambda: scheduler.activity == "idle")
    assert scheduler.edges[0].users == 21
    assert len(testbed.pool.asked) < 5


async def test_an_edge_beyond_what_fits_is_not_looked_for() -> None:
    scheduler = await edges_found(FakeTestbed(fine, users=[1, 2], prompt_tokens=[998]))
    assert set(outcomes(scheduler).values()) == {Outcome.TOO_LONG}
    assert scheduler.edges[0].sentence.startswith("none at 998 tokens: 998 prompt + 3 output tokens exceed")
    assert scheduler.edges[0].known and scheduler.is_done


async def test_a_cell_is_measured_again_and_one_that_was_implied_all_the_same() -> None:
    testbed = FakeTestbed(from_cell((2, 30), oom), **GRID)
    scheduler = await swept(testbed)
    assert outcomes(scheduler)[4, 300] is Outcome.IMPLIED
    testbed.kept.clear()
    await scheduler.measure_again([(4, 300), (1, 30)])
    await until(lambda: scheduler.activity == "idle")
    assert outcomes(scheduler)[4, 300] is Outcome.OK
    assert [(cell.users, cell.prompt_tokens, cell.outcome) for cell in testbed.kept] == [
        (4, 300, Outcome.OK),
        (1, 30, Outcome.OK),
    ]


async def test_a_cell_that_is_stopped_while_it_is_measured_again_keeps_what_was_known() -> None:
    testbed = FakeTestbed(fine, mode="steady", **GRID)
    scheduler = await swept(testbed)
    await scheduler.measure_again([(4, 300)])
    await until(lambda: scheduler.current == (4, 300))
    await scheduler.stop()
    assert outcomes(scheduler, Mode.STEADY)[4, 300] is Outcome.OK


async def test_cells_on_launches_with_other_kv_pools_are_marked() -> None:
    testbed = FakeTestbed(from_cell((2, 300), crash, times=1), **GRID)
    testbed.conditions = Conditions(launch=1, kv_pool_tokens=100_000)
    testbed.pools = {2: 97_000}
    scheduler = await swept(testbed)
    later = [cell for cell in testbed.kept if "its KV pool differs by -3.0% from that of launch 1" in cell.caveats]
    assert len(later) >= 3 and all(cell.conditions and cell.conditions.launch == 2 for cell in later)
    # So are those from before, once each, as soon as there is one on the other launch.
    earlier = [cell for cell in testbed.kept if "its KV pool differs by +3.1% from that of launch 2" in cell.caveats]
    assert all(cell.conditions and cell.conditions.launch == 1 for cell in earlier)
    assert len(earlier) == len({(cell.users, cell.prompt_tokens) for cell in earlier}) > 0
    told = [cell for cell in scheduler.grid.results if cell.conditions is not None]
    assert all("its KV pool differs" in cell.caveats for cell in told)


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.bench.measure.TOKEN_BIN_NS", 2_000_000)
    monkeypatch.setattr("tui.bench.pace.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("tui.bench.pace.STEP_S", 0.02)


@pytest.mark.usefixtures("quick_looks")
async def test_a_cell_that_is_known_well_enough_is_measured_no_longer() -> None:
    testbed = FakeTestbed(fine, users=[2], prompt_tokens=[30], mode="steady", precision=0.3, duration_s=50.0)
    await swept(testbed)
    (cell,) = testbed.kept
    assert cell.outcome is Outcome.OK and cell.duration_s is not None and cell.duration_s < 45
    assert cell.precision is not None and cell.precision.reached and cell.precision.asked == 0.3
    assert cell.precision.warm_up_ended and cell.warm_up_s == cell.precision.warm_up_s
    assert cell.precision.requests >= 50 and cell.caveats == ""


async def test_a_precision_that_time_does_not_allow_is_said_and_the_sweep_goes_on() -> None:
    testbed = FakeTestbed(fine, users=[1, 2], prompt_tokens=[30], mode="steady", precision=0.05)
    await swept(testbed)
    assert [cell.outcome for cell in testbed.kept] == [Outcome.OK, Outcome.OK]
    assert "within ±5.0% was asked, but the time given is too short to tell" in testbed.kept[0].caveats


async def test_failures_in_a_row_end_a_cell_at_once() -> None:
    testbed = FakeTestbed(fine, users=[2], prompt_tokens=[30], mode="steady", duration_s=50.0, failures_in_a_row=5)
    testbed.pool.fails = True
    async with asyncio.timeout(40):
        await swept(testbed)
    (cell,) = testbed.kept
    assert cell.outcome is Outcome.OVERLOADED
    assert "failures in a row" in cell.evidence


async def test_a_burst_that_fails_whole_is_not_repeated() -> None:
    testbed = FakeTestbed(fine, users=[2], prompt_tokens=[30], repeats=50, failures_in_a_row=5)
    testbed.pool.fails = True
    await swept(testbed)
    assert len(testbed.pool.asked) == 3 and testbed.kept[0].outcome is Outcome.OVERLOADED


async def test_repeats_end_when_their_mean_is_known() -> None:
    testbed = FakeTestbed(fine, users=[2], prompt_tokens=[30], repeats=50, precision=0.05)
    await swept(testbed)
    (cell,) = testbed.kept
    assert cell.repeats is not None and cell.repeats.count == len(testbed.pool.asked) == 3
    assert (cell.repeats.figure, cell.repeats.least_s) == ("mean E2E", cell.repeats.median_s)


async def test_of_several_runs_at_a_rate_the_median_one_counts_and_the_others_are_kept_before_it() -> None:
    testbed = FakeTestbed(fine, users=[1], prompt_tokens=[30], mode="rate", rate_per_s=2.0, repeats=3)
    scheduler = await swept(testbed)
    assert len(testbed.kept) == 3 and len(scheduler.grid.results) == 1
    last = testbed.kept[-1]
    assert last == scheduler.grid.results[0] and last.repeats is not None and last.repeats.count == 3
    assert last.rate is not None and last.rate.asked_per_s == 2.0 and not last.rate.over_saturated
