"""Whatever is raised in any task of a bench ends the launch with exit 3, or the run with exit 1, and says why."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tui import headless
from tui.bench import asking as asking_module
from tui.bench import bench as bench_module
from tui.bench import gpus as gpus_module
from tui.bench import testbed as testbed_module
from tui.bench.asking import Asking
from tui.bench.bench import Bench
from tui.bench.liveness import Liveness
from tui.bench.scheduler import Scheduler
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.bench.vram import VramReturn
from tui.core.errors import ExitCode, VrampError
from tui.core.paths import socket_of
from tui.engines.vllm.launch import VllmLaunch
from tui.gpu.backend import GpuUnavailable
from tui.link.launcher import spec_for
from tui.link.protocol import BenchSpec
from tui.load.ceiling import CeilingGauge
from tui.load.pool import LoadPool
from tui.load.worker_handle import WorkerHandle
from tui.metrics.reading import GpuReading
from tui.metrics.summary import CellSummary
from tui.profile.schema import Profile
from tui.server import probe, readiness
from tui.server.known_flags import FlagCheck
from tui.server.launched import LaunchedServer
from tui.server.log_reader import LogReader
from tui.server.process import ServerProcess
from tui.server.supervisor import Supervisor
from tui.session.store import SessionWriter

FAKE = Path(__file__).parents[2] / "fakes" / "server.py"
PATIENCE_S = 90.0
LOAD: dict[str, Any] = {
    "users": [1],
    "prompt_tokens": [8],
    "output_tokens": 2,
    "mode": "steady",
    "duration_s": 600.0,
    "warm_up_s": 0.0,
    "failures_in_a_row": 1_000_000,
}
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _folders(monkeypatch: Patch, tmp_path: Path) -> Iterator[None]:
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        folder = tmp_path / name[4:6]
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    yield


def spec_of(**load: Any) -> BenchSpec:
    executable = [sys.executable, str(FAKE), "--behave", "serve"]
    server = {"model": "m", "executable": executable, "stop_grace_s": 5.0}
    profile = Profile.model_validate({"name": "p", "engine": "vllm", "server": server, "load": {**LOAD, **load}})
    return spec_for(profile, profile_toml="", profile_path=None, start="sweep")


def run(spec: BenchSpec, monkeypatch: Patch) -> ExitCode:
    """Do as `vramp run` does, with a bench in this very process."""
    benches: list[asyncio.Task[None]] = []

    class InThisProcess:
        def __init__(self, spec: BenchSpec) -> None:
            self._spec = spec

        async def listening(self) -> Path:
            ready = asyncio.Event()
            benches.append(asyncio.create_task(Bench(self._spec).run(ready)))
            await ready.wait()
            return socket_of(self._spec.session_id)

    async def measure() -> ExitCode:
        async with asyncio.timeout(PATIENCE_S):
            code = await headless._run_one(spec, headless.Output())
            await asyncio.gather(*benches)
        return code

    monkeypatch.setattr(headless, "StartingBench", InThisProcess)
    return asyncio.run(measure())


class Boom(Exception):
    pass


def raising(*_: Any, **__: Any) -> Any:
    raise Boom("it broke")


async def raising_soon(*_: Any, **__: Any) -> Any:
    raise Boom("it broke")


def once_asking(monkeypatch: Patch, where: Any, name: str) -> None:
    """Let a function raise from the moment on in which the first cell is asked for."""
    asking, real = asyncio.Event(), getattr(where, name)
    configure = testbed_module.Testbed.configure

    async def arming(self: testbed_module.Testbed, prompt_tokens: int) -> int:
        asking.set()
        return await configure(self, prompt_tokens)

    def plain(*arguments: Any, **more: Any) -> Any:
        return raising() if asking.is_set() else real(*arguments, **more)

    async def awaited(*arguments: Any, **more: Any) -> Any:
        return raising() if asking.is_set() else await real(*arguments, **more)

    monkeypatch.setattr(testbed_module.Testbed, "configure", arming)
    monkeypatch.setattr(where, name, awaited if asyncio.iscoroutinefunction(real) else plain)


def while_waiting(monkeypatch: Patch, where: Any, name: str) -> None:
    """Let a task that waits for something raise instead, once the first cell is asked for."""
    asking = asyncio.Event()
    configure = testbed_module.Testbed.configure

    async def arming(self: testbed_module.Testbed, prompt_tokens: int) -> int:
        asking.set()
        return await configure(self, prompt_tokens)

    async def waiting(*_: Any) -> None:
        await asking.wait()
        raise Boom("it broke")

    monkeypatch.setattr(testbed_module.Testbed, "configure", arming)
    monkeypatch.setattr(where, name, waiting)


AT_THE_LAUNCH: dict[str, Callable[[Patch], None]] = {
    "launch": lambda patch: patch.setattr(Supervisor, "launch", raising_soon),
    "start": lambda patch: patch.setattr(Supervisor, "_start_once", raising_soon),
    "flags": lambda patch: patch.setattr(FlagCheck, "warnings", raising_soon),
    "log following": lambda patch: patch.setattr(LogReader, "_step", raising),
    "log reading": lambda patch: patch.setattr(VllmLaunch, "read_log_line", raising),
    "diagnosis, by a timer": lambda patch: patch.setattr(LaunchedServer, "_hand_on", raising),
    "exit of the server": lambda patch: patch.setattr(LaunchedServer, "_wait_exit", raising_soon),
    "guardian": lambda patch: patch.setattr(ServerProcess, "_listen", raising_soon),
    "health": lambda patch: patch.setattr(readiness, "wait_until_ready", raising_soon),
    "probe": lambda patch: patch.setattr(probe, "ask", raising_soon),
    "client's ceiling": lambda patch: patch.setattr(testbed_module, "known_ceiling", raising),
    "prompts": lambda patch: patch.setattr("tui.bench.shapes.learn_prompts", raising_soon),
    "load workers": lambda patch: patch.setattr(WorkerHandle, "spawn", raising_soon),
}


@pytest.mark.parametrize("task", AT_THE_LAUNCH)
def test_a_fault_in_the_launch(task: str, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    AT_THE_LAUNCH[task](monkeypatch)
    assert run(spec_of(), monkeypatch) is ExitCode.SERVER_UNAVAILABLE
    assert "internal error: Boom: it broke" in capsys.readouterr().err


def test_a_pool_that_does_not_come_up_is_said_in_its_own_words(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(self: LoadPool) -> None:
        raise VrampError("no load worker could be started")

    monkeypatch.setattr(LoadPool, "start", refuse)
    assert run(spec_of(), monkeypatch) is ExitCode.SERVER_UNAVAILABLE
    assert "The launch was given up: no load worker could be started" in capsys.readouterr().err


WHILE_IT_RUNS: dict[str, Callable[[Patch], None]] = {
    "scheduler": lambda patch: patch.setattr(Asking, "measure", raising_soon),
    "measurement": lambda patch: patch.setattr(asking_module, "measure_standing", raising_soon),
    "records": lambda patch: patch.setattr(CellSummary, "add", raising),
    "worker reading": lambda patch: once_asking(patch, CeilingGauge, "take"),
    "scraping": lambda patch: once_asking(patch, Supervisor, "read_metrics"),
    "series": lambda patch: once_asking(patch, SnapshotBuilder, "tick"),
    "watch of the server": lambda patch: while_waiting(patch, Supervisor, "_watch_launched"),
    "watch of its death": lambda patch: while_waiting(patch, testbed_module.Testbed, "_watch"),
    "watch for silence": lambda patch: while_waiting(patch, Liveness, "_mind"),
    "link": lambda patch: once_asking(patch, SnapshotBuilder, "snapshot"),
    "session writer": lambda patch: once_asking(patch, SessionWriter, "_write"),
}


@pytest.mark.parametrize("task", WHILE_IT_RUNS)
def test_a_fault_in_the_run(task: str, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    WHILE_IT_RUNS[task](monkeypatch)
    assert run(spec_of(), monkeypatch) is ExitCode.UNEXPECTED
    assert "it broke" in capsys.readouterr().err


def test_a_fault_in_an_open_loop(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(LoadPool, "open_loop", raising_soon)
    assert run(spec_of(mode="rate", rate_per_s=1.0), monkeypatch) is ExitCode.UNEXPECTED
    assert "internal error: Boom: it broke" in capsys.readouterr().err


class OneGpu:
    """A backend with one card."""

    note = ""
    driver_version = "595.58"

    def sample(self, pids: frozenset[int]) -> list[GpuReading]:
        return [GpuReading(at_ns=1, index=0, name="A100", vram_used_bytes=1)]

    def events(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


def test_a_fault_with_what_the_gpu_thread_read(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpus_module, "NvmlBackend", OneGpu)
    once_asking(monkeypatch, VramReturn, "take")
    assert run(spec_of(), monkeypatch) is ExitCode.UNEXPECTED
    assert "internal error: Boom: it broke" in capsys.readouterr().err


def test_a_fault_in_the_gpu_thread_is_told_beside_the_figures(monkeypatch: Patch) -> None:
    """A driver may come back, and a run does not need it: what it lacks is said, and the run goes on."""
    notes: list[str] = []

    class Broken(OneGpu):
        def sample(self, pids: frozenset[int]) -> list[GpuReading]:
            raise Boom("it broke")

    class Absent(OneGpu):
        def sample(self, pids: frozenset[int]) -> list[GpuReading]:
            raise GpuUnavailable("no driver")

    complete = Bench._complete_meta

    def noting(self: Bench) -> None:
        notes.append(self.testbed.gpu_note)
        complete(self)

    monkeypatch.setattr(bench_module.Bench, "_complete_meta", noting)
    for backend in (Broken, Absent):
        monkeypatch.setattr(gpus_module, "NvmlBackend", backend)
        run(spec_of(duration_s=0.1, request_timeout_s=0.5), monkeypatch)
    assert notes == ["GPU readings failed: Boom: it broke", "no driver"]


def test_a_fault_while_the_run_is_given_up_ends_it_all_the_same(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    once_asking(monkeypatch, SnapshotBuilder, "tick")
    monkeypatch.setattr(Scheduler, "give_up", raising_soon)
    assert run(spec_of(), monkeypatch) is ExitCode.UNEXPECTED
    assert "internal error: Boom: it broke; what was measured is in the session" in capsys.readouterr().err


def test_a_front_end_that_fails_itself_is_no_success(monkeypatch: Patch) -> None:
    monkeypatch.setattr(headless._Narration, "show", raising)
    with pytest.raises(Boom):
        run(spec_of(), monkeypatch)
