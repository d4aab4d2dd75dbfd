"""How the testbed brings a server back, by a server and cards of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tests.unit.bench.records import record
from tui.bench import testbed as testbed_module
from tui.bench.clock import SessionClock
from tui.bench.prompting import Prompts
from tui.bench.shapes import RequestShapes
from tui.core.outcome import Outcome
from tui.engines.base import ServerMetrics
from tui.engines.catalogue import engine_for
from tui.load.wire import LoadProgress, PromptSource
from tui.metrics.reading import GpuReading
from tui.metrics.record import RequestRecord, gaps_between
from tui.metrics.snapshot import Phase, ServerStatus
from tui.metrics.summary import CellSummary
from tui.profile.schema import AttachTable, LoadTable, Mode, Profile, ServerTable
from tui.server.memory_told import MemoryTold
from tui.session.references import NOTHING_BESIDE

GB = 10**9
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the server's log is made beside the session


class Bench:
    """A testbed whose server stops and launches at once, and whose readings come when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **tables: Any) -> None:
        self.sampling = SimpleNamespace(unavailable="GPU 7 lost: one of many, not the server's")
        self.deliver: Callable[[list[GpuReading], float], None] = lambda readings, cost_s: None
        self.launched_into: list[int | None] = []
        self.said: list[str] = []
        self.stopped = asyncio.Event()
        monkeypatch.setattr(testbed_module, "sampling_for", self._sampling_for)
        monkeypatch.setattr(testbed_module, "RELAUNCH_BACK_OFF_S", (0.0, 0.0, 0.0))
        profile = Profile(name="p", engine="vllm", **tables)
        builder = SimpleNamespace(
            session_file="session.vramp",
            add_event=lambda event: self.said.append(event.text),
            take_gpus=lambda readings, cost_s: None,
            beside=NOTHING_BESIDE,
        )
        writer = SimpleNamespace(add_gpus=_nothing, add_event=_nothing, set_server=_nothing)
        self.testbed = testbed_module.Testbed(profile, None, SessionClock(), cast(Any, writer), cast(Any, builder))
        self.told = MemoryTold()
        self.testbed.supervisor = cast(
            Any, SimpleNamespace(stop=self._stop, status=ServerStatus(phase=Phase.ENDED), memory_told=self.told)
        )
        monkeypatch.setattr(self.testbed, "launch", self._launch)

    def _sampling_for(self, profile: Profile, supervisor: object, on_sample: Any, *_: object) -> object:
        self.deliver = on_sample
        return self.sampling

    async def _stop(self) -> None:
        self.stopped.set()

    async def _launch(self) -> None:
        self.launched_into.append(self.testbed.gpus[0].vram_used_bytes)

    def read(self, *used: int) -> None:
        self.deliver(
            [
                GpuReading(at_ns=1, index=index, name="A100", vram_used_bytes=each, vram_server_bytes=each)
                for index, each in enumerate(used)
            ],
            0.001,
        )

    async def relaunch_while(self, *rounds: tuple[int, ...]) -> None:
        """Relaunch, with these rounds of readings once the server is stopped."""
        async with asyncio.timeout(PATIENCE_S):
            relaunch = asyncio.create_task(self.testbed.relaunch())
            await self.stopped.wait()
            for used in rounds:
                # Time enough for a launch that does not wait; too little would only hide a mistake.
                await asyncio.sleep(0.02)
                self.read(*used)
            await relaunch


def _nothing(value: object) -> None:
    pass


@pytest.mark.parametrize("keep_gaps", [True, False])
def test_gaps_are_counted_by_all_but_kept_only_when_asked_for(monkeypatch: pytest.MonkeyPatch, keep_gaps: bool) -> None:
    testbed = Bench(monkeypatch, server=ServerTable(model="m"), load=LoadTable(keep_gaps=keep_gaps)).testbed
    kept: list[RequestRecord] = []
    seen: list[RequestRecord] = []
    monkeypatch.setattr(testbed.writer, "add_requests", kept.extend, raising=False)
    monkeypatch.setattr(testbed.snapshot_builder, "add_records", seen.extend, raising=False)
    summary = CellSummary(Mode.BURST)
    testbed.collect(summary)
    sent = record(**msgspec.structs.asdict(gaps_between([10**9, 2 * 10**9, 4 * 10**9])))
    testbed._intake.take_records([sent])
    assert list(kept[0].gaps_us()) == ([1_000_000, 2_000_000] if keep_gaps else [])
    assert (kept[0].gaps_histogram, kept[0].itl_max_s) == (sent.gaps_histogram, 2.0)
    assert seen == [sent]
    assert summary.has_answers


async def test_what_an_event_bears_is_asked_once_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[float | None] = [None, 2.0]

    async def sample(*_: object) -> float | None:
        return found.pop(0)

    server = SimpleNamespace(model="m", whole_answer=None, count=None)
    shapes = RequestShapes(LoadTable(), engine_for("vllm"), cast(Any, server))
    monkeypatch.setattr("tui.bench.shapes.tokens_per_event", sample)
    shapes.prompts = Prompts(PromptSource(kind="text", words=["a"]))
    assert [await shapes.tokens_per_event() for _ in range(3)] == [None] * 3
    assert found == [2.0]


@pytest.mark.parametrize(
    ("outcome", "silent_s"),
    [(Outcome.OK, 0.0), (Outcome.HTTP_ERROR, 0.0), (Outcome.TIMEOUT, 9.0), (Outcome.CANCELLED, 9.0)],
)
def test_a_request_that_was_given_up_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, silent_s: float
) -> None:
    testbed = Bench(monkeypatch, server=ServerTable(model="m")).testbed
    monkeypatch.setattr(testbed.writer, "add_requests", _nothing, raising=False)
    monkeypatch.setattr(testbed.snapshot_builder, "add_records", _nothing, raising=False)
    for at_s in (1, 10):
        testbed._liveness.watch.take(LoadProgress(at_ns=at_s * 10**9, users_active=1, in_flight=1))
    testbed._intake.take_records([record(outcome=outcome)])
    assert testbed._liveness.watch.silent_s == silent_s


async def test_a_server_is_not_launched_into_vram_that_is_still_held(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, server=ServerTable(model="m"))
    bench.read(GB)
    bench.read(37 * GB)
    await bench.relaunch_while((37 * GB,), (20 * GB,), (GB,))
    assert bench.launched_into == [GB]
    assert bench.said == ["36.0 GB of VRAM came back", "relaunched and ready"]


async def test_only_the_servers_own_cards_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, server=ServerTable(model="m", gpus=[0]))
    bench.read(GB, GB)
    bench.read(37 * GB, 60 * GB)
    await bench.relaunch_while((GB, 70 * GB))
    assert bench.launched_into == [GB]
    assert [gpu.index for gpu in bench.testbed.own_gpus] == [0]


async def test_the_vram_of_an_attached_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, attach=AttachTable(base_url="http://127.0.0.1:1"))
    bench.read(GB, GB)
    bench.read(37 * GB, 37 * GB)
    await bench.relaunch_while()
    assert bench.launched_into == [37 * GB]
    assert [gpu.index for gpu in bench.testbed.own_gpus] == [0, 1]


async def test_figures_of_a_while_ago_are_not_shown_as_if_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    testbed = Bench(monkeypatch, server=ServerTable(model="m")).testbed
    at_ns = 10**12

    async def read_metrics() -> ServerMetrics:
        return ServerMetrics(running=3.0)

    monkeypatch.setattr(testbed.supervisor, "read_metrics", read_metrics, raising=False)
    monkeypatch.setattr(testbed_module, "now_ns", lambda: at_ns)
    assert testbed.metrics_now is None
    await testbed.scrape()
    assert testbed.metrics_now == ServerMetrics(running=3.0)
    at_ns += int(1.1 * testbed_module.STALE_S * 1e9)
    assert testbed.metrics_now is None
    assert testbed.metrics is not None


def test_where_times_came_from_is_known_on_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    testbed = Bench(monkeypatch, server=ServerTable(model="m")).testbed
    monkeypatch.setattr(testbed.snapshot_builder, "add_progress", _nothing, raising=False)
    for told in ("", "kernel", ""):  # the last of workers that were started for the server's next launch
        testbed._intake.take_progress(LoadProgress(at_ns=10**9, users_active=0, in_flight=0, stamps=told))
    assert testbed.progress is not None
    assert testbed.progress.stamps == "kernel"
