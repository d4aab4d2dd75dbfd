"""A real tritonserver: started, measured, out of memory, killed, stopped. Nothing may be left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import (
    MEASURED,
    MEASURED_EXIT_CODES,
    cells_of,
    process_of,
    running,
    running_sweep,
    sweep,
    tree_of,
    wait_for_mid_cell,
    write_profile,
)
from tests.triton.conftest import Make
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.metrics.snapshot import Phase
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor
from tui.session.reader import SessionReader

LOAD = {"users": [1, 4], "output_tokens": 20}


def test_vllm_s_tensors_are_measured_with_exact_lengths(profile_of: Make, world: World) -> None:
    profile = profile_of("triton-vllm", "vllm_model", prompt_tokens=[31, 600], **LOAD)
    cells = sweep(world, write_profile(world.root, profile))
    assert {cells[users, 600]["outcome"] for users in (1, 4)} == {"too-long"}
    assert {cells[users, 31]["outcome"] for users in (1, 4)} <= MEASURED
    for cell in cells.values():
        if cell["outcome"] == "ok":
            assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (20, True, "usage")
            assert cell["prompt_tokens_exact"] is True


def test_the_ensemble_s_tensors_are_measured_by_their_events(profile_of: Make, world: World) -> None:
    profile = profile_of("triton-trtllm", "ensemble", prompt_tokens=[31], **LOAD)
    cells = sweep(world, write_profile(world.root, profile)).values()
    assert {cell["outcome"] for cell in cells} <= MEASURED
    assert {cell["output_tokens_mean"] for cell in cells} == {20}


async def test_a_start_tells_its_stages_and_a_stop_leaves_nothing(
    profile_of: Make, supervised: Callable[[Profile], Supervisor]
) -> None:
    one = supervised(profile_of("triton-vllm", "vllm_model"))
    await one.launch()
    assert (one.model, one.status.version) == ("vllm_model", "2.51.0")
    assert [stage.state for stage in one.status.stages if stage.name in ("loading models", "ready")] == ["done", "done"]
    assert await one.count("a b c") == 3
    pids = one.pids()
    assert len(pids) > 1  # the stub of the model, too
    await one.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_model_that_does_not_fit_is_told_by_its_reason(
    profile_of: Make, supervised: Callable[[Profile], Supervisor]
) -> None:
    one = supervised(profile_of("triton-vllm", "vllm_model", "out_of_memory"))
    with pytest.raises(LaunchError):
        await one.launch()
    failure = one.status.failure
    assert failure is not None
    assert (failure.failure, "20.00 MiB" in failure.line) == ("oom-weights", True)


async def test_a_killed_server_is_told_and_its_stub_is_not_left(
    profile_of: Make, supervised: Callable[[Profile], Supervisor]
) -> None:
    one = supervised(profile_of("triton-vllm", "vllm_model"))
    await one.launch()
    pids = one.pids()
    pid = one.status.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    report = await one.wait_died()
    assert "SIGKILL" in report.summary
    await one.stop()
    assert one.status.phase is Phase.FAILED
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize(
    ("engine", "model", "victim", "told"),
    [
        ("triton-vllm", "vllm_model", "tritonserver", "engine-dead: "),
        # Behind a front that is well: without the model's engine requests fail, without what runs the model they hang.
        ("triton-vllm", "vllm_model", "sleep", "engine-dead: HTTP 400: Error generating stream: EngineCore"),
        ("triton-vllm", "vllm_model", "triton_python_backend_stub", "its health check answers, but nothing else does"),
        ("triton-trtllm", "ensemble", "tritonserver", "engine-dead: "),
        ("triton-trtllm", "ensemble", "triton_python_backend_stub", "its health check answers, but nothing else does"),
    ],
)
def test_a_sweep_outlives_the_death_of_any_part(
    profile_of: Make, world: World, engine: str, model: str, victim: str, told: str
) -> None:
    load = {"users": [2, 4], "prompt_tokens": [31], "output_tokens": 100, "mode": "steady"}
    profile = profile_of(engine, model, **load, warm_up_s=0.5, duration_s=5.0)
    with running_sweep(world, write_profile(world.root, profile)) as run:
        pids = tree_of(process_of(wait_for_mid_cell(world, run, 2)).pid)
        next(one for one in running(pids) if victim in "".join(one.cmdline()[:1])).send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=100)
    assert run.returncode in MEASURED_EXIT_CODES, errors
    assert running(pids) == []
    world.wait_until_empty()
    with SessionReader(world.session_files[0]) as reader:
        assert reader.server is not None and reader.server.launches == 2
        lines = [event.text for event in reader.events() if event.source == "cell"]
    assert told in lines[0], lines
    ends = {users: cell["outcome"] for (users, _), cell in cells_of(output).items()}
    assert ends[4] in MEASURED
    # What hung is no accident; what died may have been one.
    assert ends[2] == Outcome.TIMEOUT if "nothing else does" in told else ends[2] in MEASURED
