"""A session from its launch to its closed file, on a testbed without processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.fakes.testbed import FakeTestbed
from tui.bench.bench import Bench
from tui.bench.scheduler import Scheduler
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.core.paths import socket_of
from tui.link.client import BenchLink
from tui.link.protocol import BenchSpec, Linger, StopBench
from tui.load.ceiling import CeilingGauge
from tui.metrics.snapshot import FailureReport, Phase
from tui.session.reader import SessionReader

OOM = FailureReport(failure="oom-kv", summary="no room", line="KV cache too small", advice="", exit_code=1)


class Bed(FakeTestbed):
    """The fake testbed with what the bench itself asks of one."""

    def __init__(self, *, refuses: FailureReport | None = None) -> None:
        super().__init__(lambda users, prompt_tokens: None, users=[1, 2], prompt_tokens=[30])
        self.refuses = refuses
        self.may_be_gone = asyncio.Event()
        """Once a server that was refused has been ended."""
        self.may_be_gone.set()
        self.gauge = CeilingGauge()
        self.gpu_note = ""
        self.asides = SimpleNamespace(now=None)
        self.launched = asyncio.Event()
        self.closed = 0
        self.numbers: tuple[int, int] | None = None

    def number_from(self, last_tag: int, last_request_id: int, last_launch: int) -> None:
        self.numbers = last_tag, last_request_id

    async def launch(self) -> None:
        if self.refuses is not None:
            self.status = msgspec.structs.replace(self.status, phase=Phase.FAILED, failure=self.refuses)
            self.failure = None
            self.launched.set()
            await self.may_be_gone.wait()
            raise LaunchError(self.refuses.summary)
        self.launched.set()

    async def close(self) -> None:
        self.closed += 1


class Made:
    """A bench with its testbed, in a place of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bed: Bed | None = None, **spec: Any) -> None:
        self.bed = bed or Bed()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setattr("tui.bench.bench.Testbed", lambda *parts: self.bed)
        self.file = tmp_path / "s.vramp"
        self.spec = BenchSpec(
            session_id="s",
            session_file=str(self.file),
            profile_toml="",
            profile_json=self.bed.profile.model_dump_json(),
            **spec,
        )
        self.bench = Bench(self.spec)
        self.ready = asyncio.Event()
        self.running = asyncio.create_task(self.bench.run(self.ready))

    async def link(self, **options: Any) -> BenchLink:
        await self.ready.wait()
        return await BenchLink.connect(socket_of("s"), **options)

    async def ended(self) -> str:
        """Wait for the end and return how it came."""
        async with asyncio.timeout(20):
            await self.running
        with SessionReader(self.file) as reader:
            assert reader.ended is not None
            return reader.ended.how


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Made]:
    return lambda *bed, **spec: Made(monkeypatch, tmp_path, *bed, **spec)


async def test_a_stop_closes_all_and_leaves_nothing(made: Callable[..., Made]) -> None:
    one = made()
    link = await one.link()
    assert (await link.request(StopBench())).ok
    assert await one.ended() == "stopped by the operator"
    await link.close()
    assert one.bed.closed == 1 and not socket_of("s").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_as_a_stop_does(made: Callable[..., Made], number: signal.Signals) -> None:
    one = made()
    await one.ready.wait()
    os.kill(os.getpid(), number)
    assert await one.ended() == f"signal {number.name}"
    assert one.bed.closed == 1


async def test_it_ends_with_its_last_front_end_unless_that_detached(made: Callable[..., Made]) -> None:
    one = made()
    first, second = await one.link(), await one.link()
    await first.close()
    assert (await second.request(Linger())).ok
    await second.close()
    third = await one.link()  # it was detached, so it is still there
    await third.close()
    assert await one.ended() == "its front end went away"


async def test_one_that_lingers_outlives_its_front_end(made: Callable[..., Made]) -> None:
    one = made(linger=True)
    await (await one.link()).close()
    link = await one.link()
    assert (await link.request(StopBench())).ok
    await link.close()
    assert await one.ended() == "stopped by the operator"


async def test_one_that_nobody_looks_at_ends(made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.bench.bench.FIRST_FRONT_END_S", 0.05)
    assert await made().ended() == "no front end came"


@pytest.mark.parametrize(("start", "activity"), [("sweep", "sweep"), ("ramp", "ramp"), ("idle", "idle")])
async def test_it_begins_with_what_it_is_to_begin_with(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, start: str, activity: str
) -> None:
    begun: list[str] = []

    def begins(name: str) -> Any:
        async def begin(scheduler: Scheduler) -> None:
            begun.append(name)

        return begin

    monkeypatch.setattr(Scheduler, "start_sweep", begins("sweep"))
    monkeypatch.setattr(Scheduler, "start_ramp", begins("ramp"))
    one = made(start=start)
    await one.bed.launched.wait()
    await asyncio.sleep(0)
    assert begun == ([] if activity == "idle" else [activity])
    one.bench.end("enough")
    assert await one.ended() == "enough"


async def test_a_server_that_cannot_hold_its_cache_gives_every_cell_that_end(made: Callable[..., Made]) -> None:
    one = made(Bed(refuses=OOM), start="sweep")
    link = await one.link(refresh_hz=10)
    async for snapshot in link.snapshots():
        if snapshot.server.phase is Phase.FAILED:
            break
    assert {cell.outcome for cell in snapshot.grid.cells} == {Outcome.OOM_KV}
    assert snapshot.grid.cells[0].evidence == "KV cache too small (exit code 1)"
    assert len(one.bed.kept) == 2 and one.bed.said == ["no room"]
    await link.close()
    assert await one.ended() == "its front end went away"


async def test_no_server_has_failed_before_all_is_known_of_it(made: Callable[..., Made]) -> None:
    bed = Bed(refuses=OOM)
    bed.may_be_gone = asyncio.Event()
    one = made(bed, start="sweep")
    await bed.launched.wait()
    assert bed.status.phase is Phase.FAILED
    snapshot = one.bench.snapshot()
    assert snapshot.server.phase is Phase.LAUNCHING and snapshot.server.failure is None
    bed.may_be_gone.set()
    await until(lambda: one.bench.snapshot().server.phase is Phase.FAILED)
    snapshot = one.bench.snapshot()
    assert snapshot.server.failure == OOM
    assert {cell.outcome for cell in snapshot.grid.cells} == {Outcome.OOM_KV}
    one.bench.end("enough")
    await one.ended()


async def test_a_server_that_died_under_load_is_told_as_coming_back(made: Callable[..., Made]) -> None:
    one = made()
    await one.ready.wait()
    one.bed.status = msgspec.structs.replace(one.bed.status, phase=Phase.FAILED)
    await until(lambda: one.bench.snapshot().server.phase is Phase.FAILED)
    one.bench.scheduler.activity = "sweep"
    assert one.bench.snapshot().server.phase is Phase.RELAUNCHING
    one.bench.end("enough")
    await one.ended()
    assert one.bench.snapshot().server.phase is Phase.ENDED


async def test_a_launch_is_not_begun_twice(made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    launches = 0
    hold = asyncio.Event()

    async def launch(bed: Bed) -> None:
        nonlocal launches
        launches += 1
        await hold.wait()

    monkeypatch.setattr(Bed, "launch", launch)
    one = made()
    await until(lambda: launches == 1)
    one.bench.launch()
    await asyncio.sleep(0)
    hold.set()
    await until(lambda: one.bench._launching is not None and one.bench._launching.done())
    assert launches == 1
    one.bench.launch()
    await until(lambda: launches == 2)
    one.bench.end("enough")
    await one.ended()


async def test_what_was_measured_is_not_measured_or_numbered_again(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(start="sweep")
    monkeypatch.setattr(first.bed, "keep_cell", first.bench.writer.add_cell)
    await until(lambda: first.bench.scheduler.sweep_status.finished)
    first.bench.end("enough")
    await first.ended()

    second = made(resume=True)
    assert [cell.outcome for cell in second.bench.scheduler.grid.results] == [Outcome.OK, Outcome.OK]
    assert second.bench.scheduler.grid.open_cells() == [] and second.bed.numbers is not None
    await second.ready.wait()
    second.bench.end("enough again")
    assert await second.ended() == "enough again"


async def test_an_export_lies_beside_the_session_or_where_it_is_wanted(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    one = made()
    assert await one.bench.export(None) == tmp_path / "s"
    assert await one.bench.export(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert (tmp_path / "s" / "session.toml").is_file() and (tmp_path / "elsewhere" / "cells.csv").is_file()
    one.bench.end("enough")
    await one.ended()


async def test_nothing_goes_on_while_there_is_no_server_to_measure(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.bench.bench.TICK_S", 0.01)
    one = made()
    await one.ready.wait()
    await until(lambda: len(one.bench.snapshot().series) >= 3)
    monkeypatch.setattr(one.bench.scheduler, "standing_for_s", lambda: 1.0)
    assert one.bench.snapshot().load.steady_for_s is not None
    one.bed.silent_s = 5.0
    silent = one.bench.snapshot().load
    assert silent.steady_for_s is None and silent.delivered_concurrency is None
    one.bed.silent_s = None
    one.bed.failure = None  # it died
    await asyncio.sleep(0.05)
    points = len(one.bench.snapshot().series)
    await asyncio.sleep(0.2)
    assert len(one.bench.snapshot().series) == points
    gone = one.bench.snapshot().load
    assert gone.steady_for_s is None and gone.delivered_concurrency is None
    one.bench.end("over")
    await one.ended()


async def test_a_server_that_does_not_tell_its_figures_does_not_hold_the_seconds_up(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.bench.bench.TICK_S", 0.01)
    monkeypatch.setattr("tui.bench.bench.SCRAPE_TIMEOUT_S", 0.01)
    bed = Bed()
    monkeypatch.setattr(bed, "scrape", asyncio.Event().wait)
    one = made(bed)
    await until(lambda: len(one.bench.snapshot().series) >= 3)
    one.bench.end("over")
    await one.ended()
