"""What vramp says of a card, what NVML says, and what nvidia-smi says. Needs the card alone, no vLLM."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

import pynvml
import pytest

from tests.e2e.conftest import World
from tests.gpu.card import Card
from tui.gpu.nvml import NvmlBackend
from tui.metrics.reading import GpuReading

MIB = 2**20
# Contexts come and go beside us.
NOISE_BYTES = 16 * MIB
MOST_S = 0.05


def smi(query: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def told(world: World) -> dict[str, object]:
    done = world.run("gpu", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_memory_held_in_three_processes_is_told_as_the_driver_tells_it(world: World, card: Card) -> None:
    with ExitStack() as holders:
        for share in (0.0, 0.125, 0.375, 0.375):
            if share:
                holders.enter_context(card.held(int(card.memory.free * share)))
            by_vramp = told(world)["gpus"][0]  # type: ignore[index]
            memory = card.memory
            parts = [by_vramp[f"vram_{part}_bytes"] for part in ("used", "reserved", "free")]
            assert sum(parts) == by_vramp["vram_total_bytes"] == memory.total
            for mine, theirs in zip(parts, (memory.used, memory.reserved, memory.free), strict=True):
                assert mine == pytest.approx(theirs, abs=NOISE_BYTES)
            if shutil.which("nvidia-smi"):
                used, reserved, free = (int(each) for each in smi("memory.used,memory.reserved,memory.free").split(","))
                for mine, theirs in zip(parts, (used, reserved, free), strict=True):
                    assert mine / MIB == pytest.approx(theirs, abs=NOISE_BYTES / MIB)


def test_what_nvidia_smi_says_else(world: World, card: Card) -> None:
    answer = told(world)
    by_vramp = answer["gpus"][0]  # type: ignore[index]
    if shutil.which("nvidia-smi"):
        name, driver, degrees = smi("name,driver_version,temperature.gpu").split(", ")
        assert (by_vramp["name"], answer["driver_version"]) == (name, driver)
        assert by_vramp["temperature_c"] == pytest.approx(float(degrees), abs=3)
    assert 0 <= by_vramp["active_share"] <= 1
    assert 0 < by_vramp["power_w"] < 2000
    assert by_vramp["throttle"] is not None


def test_the_driver_answers_as_the_one_that_the_other_tests_play(card: Card) -> None:
    # Claims of tests/fakes/nvml/nvml.c: where a driver answers otherwise, it is to be written down there.
    first = pynvml.nvmlDeviceGetMemoryInfo(card.handle)
    second = card.memory
    assert second.used + second.reserved + second.free == second.total == first.total
    assert abs(first.used - second.used - second.reserved) <= NOISE_BYTES
    try:
        cut, _ = pynvml.nvmlDeviceGetMigMode(card.handle)
    except pynvml.NVMLError_NotSupported:
        cut = pynvml.NVML_DEVICE_MIG_DISABLE
    if cut == pynvml.NVML_DEVICE_MIG_DISABLE:
        with card.held(64 * MIB) as pid:
            (mine,) = (one for one in pynvml.nvmlDeviceGetComputeRunningProcesses(card.handle) if one.pid == pid)
            assert (mine.gpuInstanceId, mine.computeInstanceId) == (0xFFFFFFFF, 0xFFFFFFFF)
            assert mine.usedGpuMemory >= 64 * MIB
    events = pynvml.nvmlEventSetCreate()
    types = pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypeDoubleBitEccError
    pynvml.nvmlDeviceRegisterEvents(card.handle, types, events)
    with pytest.raises(pynvml.NVMLError_Timeout):
        pynvml.nvmlEventSetWait_v2(events, 1)
    pynvml.nvmlEventSetFree(events)


def test_the_energy_counter_goes_with_the_power(card: Card) -> None:
    powers, before, began = [], card.look(), time.monotonic()
    while time.monotonic() - began < 3:
        powers.append(pynvml.nvmlDeviceGetPowerUsage(card.handle) / 1000)
        time.sleep(0.01)
    after = card.look()
    mean_w = (after.energy_j - before.energy_j) / (after.at_ns - before.at_ns) * 1e9
    assert mean_w == pytest.approx(statistics.mean(powers), rel=0.1)


def test_what_a_round_of_readings_costs(card: Card, capsys: pytest.CaptureFixture[str]) -> None:
    backend = NvmlBackend()
    walls: list[float] = []
    readings: list[GpuReading] = []
    for _ in range(30):
        began = time.perf_counter()
        readings = backend.sample(frozenset([1]))
        backend.events()
        walls.append(time.perf_counter() - began)
        time.sleep(0.05)
    backend.close()
    with capsys.disabled():
        middle_ms, most_ms = 1e3 * statistics.median(walls), 1e3 * max(walls)
        sys.stdout.write(f"\n{len(readings)} readings: a round takes {middle_ms:.1f} ms, {most_ms:.1f} at most\n")
    assert statistics.median(walls) < MOST_S * len(readings)
