"""The simulated server with the request functions of `vllm bench serve`, unchanged, from a vLLM installation.

VRAMP_VLLM_PYTHON names the Python of that installation; without it the test is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import TIMEOUT_S, simulated

PYTHON = os.environ.get("VRAMP_VLLM_PYTHON", "")
SCRIPT = Path(__file__).with_name("vllm_bench_request.py")


@pytest.mark.real
@pytest.mark.skipif(not PYTHON, reason="VRAMP_VLLM_PYTHON is not set")
def test_vllm_bench_takes_it_for_a_vllm(world: World) -> None:
    with simulated(world) as server:
        command = [PYTHON, str(SCRIPT), server.url, "vramp/simulated"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    for answer in json.loads(done.stdout):
        assert answer["success"], answer
        assert answer["output_tokens"] == 20
        # A chat's role comes with the first token, as an event of its own.
        assert answer["gaps"] in (19, 20)
        assert 0 < answer["ttft_s"] < answer["latency_s"]
