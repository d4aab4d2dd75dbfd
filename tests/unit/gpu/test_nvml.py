"""The real pynvml against a library of our own, in processes of their own, since pynvml loads it once for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nvml.build import build, compiler

needs_cc = pytest.mark.skipif(
    compiler() is None, reason="no C compiler (cc, gcc or clang) to build the fake libnvidia-ml"
)
GIB = 1 << 30
PID = 4321
PRELUDE = """
import json, os, sys
from pathlib import Path
import msgspec
from tui.gpu.backend import GpuUnavailable
from tui.gpu.nvml import NvmlBackend, describe
situation = Path(os.environ["FAKE_NVML"])
def show(value): print(json.dumps(msgspec.to_builtins(value)), flush=True)
"""

Run = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("nvml")
    return {"new": build(folder), "old": build(folder, old_driver=True), "none": folder}


@pytest.fixture
def run(libraries: dict[str, Path], tmp_path: Path) -> Run:
    """Run a script against the fake in a situation; what it shows is returned, one value per line."""

    def run_script(script: str, situation: str = "eight", library: str = "new") -> list[Any]:
        word = tmp_path / "situation"
        word.write_text(situation)
        env = os.environ | {
            "LD_LIBRARY_PATH": str(libraries[library]),
            "FAKE_NVML": str(word),
            "FAKE_NVML_PID": str(PID),
        }
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + script], env=env, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run_script


SAMPLE = f"show(NvmlBackend().sample(frozenset([{PID}])))"


@needs_cc
def test_eight_gpus_are_read(run: Run) -> None:
    (readings,) = run(SAMPLE)
    assert [reading["index"] for reading in readings] == list(range(8))
    first = readings[0]
    assert first["name"] == "NVIDIA A100-SXM4-40GB"
    assert first["vram_total_bytes"] == 40 * GIB
    assert first["vram_used_bytes"] == 33 * GIB
    assert first["vram_reserved_bytes"] == GIB // 2
    assert first["vram_free_bytes"] == 7 * GIB
    assert first["vram_server_bytes"] == 30 * GIB
    assert first["active_share"] == 0.9
    assert first["power_w"] == 287.5
    assert first["energy_j"] == 1000.0
    assert first["temperature_c"] == 64.0
    assert first["throttle"] == ""
    assert first["lost"] is False
    assert readings[1]["throttle"] == "power limit, too hot"
    assert readings[1]["vram_server_bytes"] is None


@needs_cc
def test_an_old_driver_is_asked_in_the_old_way(run: Run) -> None:
    script = """
backend = NvmlBackend()
backend.sample(frozenset())
show(backend.sample(frozenset([%d]))[0])
"""
    (first,) = run(script % PID, library="old")
    assert first["vram_used_bytes"] == 32 * GIB
    assert first["vram_reserved_bytes"] is None
    assert first["vram_server_bytes"] == 30 * GIB
    assert first["temperature_c"] == 61.0
    assert first["throttle"] == "too hot (hardware)"


@needs_cc
def test_what_a_card_does_not_offer_is_none_and_asked_once(run: Run) -> None:
    script = f"""
backend = NvmlBackend()
show(backend.sample(frozenset([{PID}]))[0])
situation.write_text("eight")
show(backend.sample(frozenset([{PID}, 1]))[0])
"""
    first, second = run(script, situation="mig")
    assert first["active_share"] is None
    assert first["vram_server_bytes"] == 30 * GIB
    assert second["active_share"] is None
    assert second["vram_server_bytes"] == 31 * GIB


@needs_cc
def test_a_gpu_lost_in_mid_run_is_marked_and_the_others_go_on(run: Run) -> None:
    script = """
backend = NvmlBackend(lost_retry_s=0)
for word in ("eight", "lost", "lost", "eight"):
    situation.write_text(word)
    show([backend.sample(frozenset()), backend.note])
"""
    before, lost, still_lost, after = run(script)
    assert not any(reading["lost"] for reading in before[0])
    for readings, note in (lost, still_lost):
        assert [reading["lost"] for reading in readings] == [index == 3 for index in range(8)]
        assert readings[3]["name"] == "NVIDIA A100-SXM4-40GB"
        assert readings[3]["vram_total_bytes"] == 40 * GIB
        assert readings[3]["vram_used_bytes"] is None
        assert readings[4]["vram_used_bytes"] == 33 * GIB
        assert note.startswith("GPU 3 lost")
    assert not any(reading["lost"] for reading in after[0])
    assert after[1] == ""


@needs_cc
def test_a_lost_gpu_is_not_asked_again_at_once(run: Run) -> None:
    script = """
backend = NvmlBackend(lost_retry_s=3600)
for word in ("lost", "eight"):
    situation.write_text(word)
    show(backend.sample(frozenset())[3])
"""
    assert [reading["lost"] for reading in run(script)] == [True, True]


@needs_cc
def test_a_gpu_that_may_not_be_read_is_named(run: Run) -> None:
    script = "backend = NvmlBackend()\nshow([backend.sample(frozenset())[5], backend.note])"
    ((reading, note),) = run(script, situation="gpu-denied")
    assert reading["name"] == "GPU 5"
    assert reading["lost"] is False
    assert reading["vram_used_bytes"] is None
    assert note == "GPU 5: no permission to read it"


@needs_cc
def test_errors_that_the_cards_report_are_told_once_in_words(run: Run) -> None:
    script = """
backend = NvmlBackend()
backend.sample(frozenset())
show(backend.events())
situation.write_text("xid")
show(backend.events())
show(backend.events())
backend.close()
"""
    quiet, told, after = run(script)
    assert (quiet, after) == ([], [])
    assert told == ["GPU 2: Xid 79: the GPU has fallen off the bus", "GPU 4: Xid 9999", "GPU 5: a double-bit ECC error"]


@needs_cc
def test_a_driver_without_events_has_none(run: Run) -> None:
    script = "backend = NvmlBackend()\nbackend.sample(frozenset())\nshow(backend.events())\nbackend.close()"
    assert run(script, situation="xid", library="old") == [[]]


UNAVAILABLE = """
try:
    NvmlBackend()
except GpuUnavailable as reason:
    show(str(reason))
show(describe())
"""


@needs_cc
@pytest.mark.parametrize(
    ("situation", "words"),
    [
        ("mismatch", "changed while it was loaded"),
        ("no-driver", "installed but not loaded"),
        ("no-permission", "no permission to ask the NVIDIA driver"),
    ],
)
def test_a_driver_that_cannot_be_asked_says_why_and_what_to_do(run: Run, situation: str, words: str) -> None:
    reason, inventory = run(UNAVAILABLE, situation=situation)
    assert words in reason
    assert inventory == {"gpus": [], "driver_version": "", "problem": reason}


@needs_cc
def test_no_library_is_said_so(run: Run) -> None:
    reason, inventory = run(UNAVAILABLE, library="none")
    assert reason.startswith("no NVIDIA driver here")
    assert inventory["problem"] == reason


@needs_cc
def test_a_driver_changed_in_mid_run_ends_the_readings_with_the_reason(run: Run) -> None:
    script = """
backend = NvmlBackend()
backend.sample(frozenset())
situation.write_text("mismatch")
try:
    backend.sample(frozenset())
except GpuUnavailable as reason:
    show(str(reason))
backend.close()
backend.close()
"""
    (reason,) = run(script)
    assert "changed while it was loaded" in reason


@needs_cc
def test_the_inventory_is_told(run: Run) -> None:
    (inventory,) = run("show(describe())")
    assert inventory["driver_version"] == "580.65.06"
    assert inventory["problem"] == ""
    assert len(inventory["gpus"]) == 8
    assert inventory["gpus"][7] == {"index": 7, "name": "NVIDIA A100-SXM4-40GB", "vram_total_bytes": 40 * GIB}


@needs_cc
def test_a_machine_without_gpus_has_none(run: Run) -> None:
    assert run("show(describe())", situation="empty") == [{"gpus": [], "driver_version": "580.65.06", "problem": ""}]


@needs_cc
def test_a_driver_that_hangs_does_not_hold_the_inventory(run: Run) -> None:
    (inventory,) = run("show(describe(timeout_s=0.2))", situation="hang")
    assert inventory["problem"].startswith("the NVIDIA driver did not answer within 0.2 s")


HANGING = """
import threading
from tui.gpu.sampler import GpuSampler
came = threading.Semaphore(0)
sampler = GpuSampler(NvmlBackend, lambda readings, cost_s: came.release(), frozenset, 0.01, stale_after_s=0.1)
def wait(seen):
    while not seen(sampler.unavailable):
        threading.Event().wait(0.01)
    return sampler.unavailable
sampler.start()
came.acquire()
show(sampler.unavailable)
situation.write_text("hang")
show(wait(bool))
"""


@needs_cc
def test_a_call_that_hangs_makes_the_readings_old_and_no_more(run: Run) -> None:
    script = """
situation.write_text("eight")
show(wait(lambda note: not note))
while came.acquire(blocking=False): pass
came.acquire()
sampler.stop()
"""
    first, hanging, after = run(HANGING + script)
    assert (first, after) == ("", "")
    assert hanging.startswith("the NVIDIA driver has not answered for")


@needs_cc
def test_leaving_does_not_wait_for_a_call_that_hangs(run: Run) -> None:
    # The fake hangs for a minute, and the script has less: it ends although its sampler's thread does not.
    assert len(run(HANGING + "import tui.gpu.sampler as module\nmodule.STOP_TIMEOUT_S = 0.1\nsampler.stop()")) == 2
