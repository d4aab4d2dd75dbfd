"""Stages and their times."""

from __future__ import annotations

import pytest

from tui.core.clock import NS_PER_S
from tui.engines.base import LogFact
from tui.engines.vllm.launch import VllmLaunch
from tui.engines.vllm.log import Stage
from tui.metrics.snapshot import BytesRead, StageProgress
from tui.server import stages
from tui.server.stages import StageClock


class FakeTime:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(stages, "now_ns", lambda: round(self.now_s * NS_PER_S))


def vllm_clock() -> StageClock:
    return StageClock(VllmLaunch.stages, VllmLaunch.may_return_to)


def states(clock: StageClock) -> dict[str, tuple[str, float | None]]:
    return {stage.name: (stage.state, stage.seconds) for stage in clock.stages()}


def test_times_add_up_where_a_stage_is_entered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    time = FakeTime(monkeypatch)
    clock = vllm_clock()
    for stage, seconds in [
        (Stage.CONFIG, 20),
        (Stage.LOADING_WEIGHTS, 5),
        (Stage.COMPILE, 30),
        (Stage.MEMORY_PROFILING, 60),
        (Stage.KV_CACHE, 2),
        (Stage.COMPILE, 1),
        (Stage.READY, 10),
    ]:
        time.now_s += seconds
        assert clock.note(LogFact(stage=stage)) == stage
    time.now_s += 3
    clock.finish(ready=True)
    assert states(clock) == {
        "process up": ("done", 20.0),
        "config": ("done", 5.0),
        "loading weights": ("done", 30.0),
        "memory profiling": ("done", 2.0),
        "KV cache": ("done", 1.0),
        "compile and CUDA graphs": ("done", 70.0),
        "ready": ("done", 3.0),
    }


def test_running_stage_shows_its_time_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    time = FakeTime(monkeypatch)
    clock = vllm_clock()
    clock.note(LogFact(stage=Stage.LOADING_WEIGHTS, progress=0.5))
    time.now_s += 4
    loading = clock.stages()[2]
    assert (loading.state, loading.seconds, loading.progress) == ("current", 4.0, 0.5)
    assert clock.stages()[1].state == "done"
    assert clock.stages()[1].seconds is None
    assert clock.stages()[3].state == "pending"


def test_straggler_does_not_take_the_start_back() -> None:
    clock = vllm_clock()
    clock.note(LogFact(stage=Stage.KV_CACHE))
    assert clock.note(LogFact(stage=Stage.LOADING_WEIGHTS, progress=0.1)) is None
    assert clock.current == Stage.KV_CACHE


def test_failure_marks_the_stage_it_happened_in() -> None:
    clock = vllm_clock()
    clock.note(LogFact(stage=Stage.LOADING_WEIGHTS))
    clock.finish(ready=False)
    clock.note(LogFact(stage=Stage.READY))
    shown = states(clock)
    assert shown["loading weights"][0] == "failed"
    assert shown["ready"][0] == "pending"


def test_stages_are_the_engines_own() -> None:
    clock = StageClock(("process up", "loading model", "ready"))
    assert clock.note(LogFact(stage="KV cache")) is None
    assert clock.note(LogFact(stage="loading model")) == "loading model"
    assert clock.note(LogFact(stage="process up")) is None
    clock.finish(ready=True)
    assert [stage.name for stage in clock.stages()] == ["process up", "loading model", "ready"]
    assert {stage.state for stage in clock.stages()} == {"done"}


def test_bytes_read_are_told_by_what_is_seen_or_by_the_log_and_never_go_back() -> None:
    clock = vllm_clock()
    clock.note(LogFact(stage=Stage.LOADING_WEIGHTS))
    clock.note_read(None, 1000)
    assert loading(clock).read is None and loading(clock).progress is None, "nothing is guessed"
    clock.note_read(300, 1000)
    assert loading(clock).read == BytesRead(300, 1000) and loading(clock).progress == 0.3
    clock.note_read(200, 1000)
    assert loading(clock).read == BytesRead(300, 1000)
    clock.note(LogFact(stage=Stage.LOADING_WEIGHTS, progress=0.5))
    clock.note_read(None, 1000)
    assert loading(clock).read == BytesRead(500, 1000)
    clock.note_read(5000, 1000)
    assert loading(clock).read == BytesRead(1000, 1000)


def loading(clock: StageClock) -> StageProgress:
    return next(one for one in clock.stages() if one.name == Stage.LOADING_WEIGHTS)
