from __future__ import annotations

import asyncio

from textual.app import App

from tests.fakes import snapshots
from tests.fakes.benches import FakeSource
from tui.link.protocol import ChangeUsers, StopBench
from tui.view.bridge import BenchGone, Bridge, SnapshotArrived


class _Looker(App[None]):
    """Keeps what arrives, as slowly as the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[int] = []
        self.gone: list[str] = []
        self.may_look = asyncio.Event()

    async def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        await self.may_look.wait()
        self.arrived.append(message.snapshot.at_ns)

    def on_bench_gone(self, message: BenchGone) -> None:
        self.gone.append(message.reason)


async def test_a_flood_of_snapshots_collapses_to_the_latest() -> None:
    app = _Looker()
    async with app.run_test() as pilot:
        flood = [snapshots.mid_ramp(step) for step in range(200)]
        bridge = Bridge(FakeSource(*flood), app.post_message)
        worker = app.run_worker(bridge.pump())
        while bridge.latest is not flood[-1]:
            await asyncio.sleep(0)
        app.may_look.set()
        while not app.arrived or app.arrived[-1] != flood[-1].at_ns:
            await pilot.pause()
        assert len(app.arrived) <= 3
        worker.cancel()


async def test_a_lost_bench_is_told_with_its_reason() -> None:
    app = _Looker()
    app.may_look.set()
    async with app.run_test() as pilot:
        source = FakeSource()
        source.lose("the bench speaks another version")
        app.run_worker(Bridge(source, app.post_message).pump())
        while not app.gone:
            await pilot.pause()
        assert app.gone == ["the bench speaks another version"]


async def test_an_end_by_somebody_else_is_told_in_the_benchs_own_words() -> None:
    app = _Looker()
    app.may_look.set()
    async with app.run_test() as pilot:
        source = FakeSource()
        source.why_gone = "the front end of process 7 stopped the session"
        source.say_farewell()
        app.run_worker(Bridge(source, app.post_message).pump())
        while not app.gone:
            await pilot.pause()
        assert app.gone == ["the front end of process 7 stopped the session"]


async def test_an_end_that_was_wished_for_is_no_news() -> None:
    app = _Looker()
    async with app.run_test() as pilot:
        source = FakeSource()
        bridge = Bridge(source, app.post_message)
        worker = app.run_worker(bridge.pump())
        await bridge.close()
        await worker.wait()
        await pilot.pause()
        assert source.closed
        assert app.gone == []


async def test_a_view_that_only_looks_sends_nothing_up() -> None:
    source = FakeSource()
    reply = await Bridge(source, lambda _: True, read_only=True).send(ChangeUsers(delta=1))
    assert not reply.ok
    assert source.requests == []


async def test_a_command_to_a_lost_bench_is_answered_with_the_loss() -> None:
    source = FakeSource()
    source.lose("gone")
    reply = await Bridge(source, lambda _: True).send(StopBench())
    assert (reply.ok, reply.message) == (False, "gone")


async def test_a_bench_is_stopped_when_it_has_hung_up_not_when_it_has_answered() -> None:
    class Slow(FakeSource):
        def say_farewell(self) -> None:
            """Hang up later than it answers, as a bench does."""

    source = Slow()
    bridge = Bridge(source, lambda _: True)
    bridge.expect_end()
    pumping = asyncio.create_task(bridge.pump())
    stopping = asyncio.create_task(bridge.stop_bench())
    while not source.requests:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert source.requests == [StopBench()] and not stopping.done()
    source.lose("")
    await stopping
    await pumping
