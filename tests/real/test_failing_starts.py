"""Real failing starts, each told by its class and its decisive line. Some 20 to 80 s each."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import MODEL, Watched, vllm_profile
from tui.core.errors import LaunchError
from tui.metrics.snapshot import Phase
from tui.profile.schema import Profile

Make = Callable[[Profile], Watched]

CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # Name → args, class, a part of the line, a part of the advice.
    "unknown flag": ({"max-model-lenght": 5}, "bad-flag", "--max-model-lenght", "did you mean --max-model-len?"),
    "value that argparse refuses": ({"max-num-seqs": "abc"}, "bad-value", "invalid int value", "--max-num-seqs"),
    "value that vLLM refuses": ({"max-num-seqs": 0}, "bad-value", "SchedulerConfig", "max_num_seqs"),
    "longer than the model": ({"max-model-len": 100000}, "bad-value", "(100000)", "8192"),
    "quantization": ({"quantization": "nosuchquant"}, "quantization-unsupported", "nosuchquant", "nosuchquant"),
    "KV cache too small": ({"max-model-len": 8192, "kv-cache-memory-bytes": "1M"}, "oom-kv", "(8192)", "from 8192 to "),
    "KV cache too large": ({"kv-cache-memory-bytes": "9000G"}, "oom-kv", "requested memory for kv", "9000.0 GiB"),
}


@pytest.mark.parametrize("case", CASES)
async def test_arguments(case: str, watched: Make) -> None:
    args, failure, line, advice = CASES[case]
    await _check(watched(vllm_profile(args)), failure, line, advice)


async def test_model_that_is_not_there(watched: Make, tmp_path: Path) -> None:
    await _check(watched(vllm_profile(model="/nowhere/model")), "model-missing", "Repo id must be", "/nowhere/model")


async def test_model_that_may_not_be_downloaded(watched: Make) -> None:
    await _check(watched(vllm_profile(model="org/name")), "model-missing", "", "HF_HUB_OFFLINE")


async def test_model_without_weights(watched: Make, tmp_path: Path) -> None:
    copy = tmp_path / "no-weights"
    shutil.copytree(MODEL, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    await _check(watched(vllm_profile(model=str(copy))), "model-missing", "Cannot find any model weights", "again")


async def test_port_in_use(watched: Make) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        one = watched(vllm_profile(port=other.getsockname()[1]))
        await _check(one, "port-in-use", "Address already in use", "port = 0")


async def test_port_taken_after_the_check_is_told_by_the_log(watched: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.server.readiness.port_problem", lambda _host, _port: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        one = watched(vllm_profile(port=other.getsockname()[1]))
        await _check(one, "port-in-use", "[Errno 98]", "port = 0")


async def _check(one: Watched, failure: str, line: str, advice: str) -> None:
    with pytest.raises(LaunchError):
        await one.supervisor.launch()
    status = one.supervisor.status
    assert status.phase is Phase.FAILED
    assert status.failure is not None
    assert status.failure.failure == failure, status.failure
    assert line in status.failure.line
    assert advice in status.failure.advice
    assert one.supervisor.pids() == frozenset()
