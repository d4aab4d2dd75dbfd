"""A real tritonserver: started, measured, out of memory, killed, stopped. Nothing may be left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomli_w

from tests.triton.conftest import Make
from tui.core.errors import LaunchError
from tui.metrics.snapshot import Phase
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor


def measured(profile: Profile, folder: Path) -> Any:
    """Return what `vramp run --json` says of the profile."""
    path = folder / "p.toml"
    path.write_text(tomli_w.dumps(profile.model_dump(mode="json", exclude_unset=True)))
    homes = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("DATA", "STATE", "CACHE", "CONFIG")}
    done = subprocess.run(
        [sys.executable, "-m", "tui", "run", str(path), "--json", "--quiet"],
        env=dict(os.environ) | homes,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOAD = {"users": [1, 4], "output_tokens": 20}


def test_vllm_s_tensors_are_measured_with_exact_lengths(profile_of: Make, tmp_path: Path) -> None:
    cells = measured(profile_of("triton-vllm", "vllm_model", prompt_tokens=[31, 600], **LOAD), tmp_path)["cells"]
    ends = {(cell["users"], cell["prompt_tokens"]): cell["outcome"] for cell in cells}
    assert ends == {(1, 31): "ok", (4, 31): "ok", (1, 600): "too-long", (4, 600): "too-long"}
    for cell in cells:
        if cell["outcome"] == "ok":
            assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (20, True, "usage")
            assert cell["prompt_tokens_exact"] is True


def test_the_ensemble_s_tensors_are_measured_by_their_events(profile_of: Make, tmp_path: Path) -> None:
    cells = measured(profile_of("triton-trtllm", "ensemble", prompt_tokens=[31], **LOAD), tmp_path)["cells"]
    assert [(cell["outcome"], cell["output_tokens_mean"]) for cell in cells] == [("ok", 20), ("ok", 20)]


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
