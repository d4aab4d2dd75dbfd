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
    assert first["vram_used_bytes"] == 33 * GIB - GIB // 2
    assert first["vram_reserved_bytes"] == GIB // 2
    assert first["vram_free_bytes"] == 7 * GIB
    assert sum(first[f"vram_{part}_bytes"] for part in ("used", "reserved", "free")) == first["vram_total_bytes"]
    assert first["vram_server_bytes"] == 30 * GIB
    assert first["vram_neighbours_bytes"] == GIB
    assert first["vram_neighbours"] == "Xorg"
    assert (first["clock_mhz"], first["power_limit_w"]) == (1410, 400.0)
    assert first["active_share"] == 0.9
    assert first["power_w"] == 287.5
    assert first["energy_j"] == 1000.0
    assert first["temperature_c"] == 64.0
    assert first["throttle"] == ""
    assert first["lost"] is False
    assert first["mig_mode"] is False
    assert readings[1]["throttle"] == "power limit, too hot"
    # The server's processes are known by their numbers, so that a card without one of them has nothing of its.
    assert readings[1]["vram_server_bytes"] == readings[1]["vram_neighbours_bytes"] == 0


@needs_cc
def test_whose_memory_it_is_is_not_told_where_no_process_is_known(run: Run) -> None:
    (readings,) = run("show(NvmlBackend().sample(frozenset([999999])))")
    owners = {(each["vram_server_bytes"], each["vram_neighbours_bytes"], each["vram_neighbours"]) for each in readings}
    assert owners == {(None, None, "")}


@needs_cc
def test_an_old_driver_is_asked_in_the_old_way(run: Run) -> None:
    script = """
backend = NvmlBackend()
backend.sample(frozenset())
show(backend.sample(frozenset([%d]))[0])
"""
    (first,) = run(script % PID, library="old")
    assert first["vram_used_bytes"] == 33 * GIB
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
    first, second = run(script, situation="mig-denied")
    assert first["active_share"] is None
    assert first["vram_server_bytes"] == 30 * GIB
    assert second["active_share"] is None
    assert second["vram_server_bytes"] == 31 * GIB


@needs_cc
def test_the_memory_of_processes_is_not_told_when_one_of_theirs_is_not(run: Run) -> None:
    script = f"show([NvmlBackend().sample(frozenset(pids))[0].vram_server_bytes for pids in ([{PID}], [{PID}, 1])])"
    assert run(script, situation="mig") == [[30 * GIB, None]]


MIG_CARD = f"show([each for each in NvmlBackend().sample(frozenset([{PID}])) if each.index == 0])"


@needs_cc
def test_slices_are_read_each_with_its_own_memory_and_the_card_keeps_the_rest(run: Run) -> None:
    ((card, first, second),) = run(MIG_CARD, situation="mig")
    assert (card["mig_mode"], card["mig_index"]) == (True, None)
    assert (card["power_w"], card["energy_j"], card["temperature_c"]) == (287.5, 1000.0, 64.0)
    assert card["active_share"] is None
    assert [(each["mig_index"], each["mig_uuid"]) for each in (first, second)] == [(0, "MIG-00"), (2, "MIG-02")]
    assert [(each["mig_gpu_instance"], each["mig_compute_instance"]) for each in (first, second)] == [(7, 0), (9, 0)]
    for each in (first, second):
        assert each["name"] == "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
        assert (each["vram_total_bytes"], each["vram_used_bytes"]) == (5 * GIB, 4 * GIB - GIB // 8)
        assert (each["vram_reserved_bytes"], each["vram_free_bytes"]) == (GIB // 8, GIB)
        unread = ("active_share", "power_w", "energy_j", "temperature_c", "throttle", "clock_mhz", "power_limit_w")
        assert [each[name] for name in unread] == [None] * len(unread)
    assert (first["vram_server_bytes"], second["vram_server_bytes"]) == (3 * GIB, 0)


@needs_cc
def test_slices_are_read_by_an_old_driver_too(run: Run) -> None:
    ((card, first, _),) = run(MIG_CARD, situation="mig", library="old")
    assert (card["temperature_c"], first["temperature_c"]) == (61.0, None)
    assert (first["vram_used_bytes"], first["vram_reserved_bytes"]) == (4 * GIB, None)


@needs_cc
def test_a_card_in_mig_mode_without_slices_is_named_and_others_have_none(run: Run) -> None:
    script = "backend = NvmlBackend()\nshow([backend.sample(frozenset()), backend.note])"
    ((readings, note),) = run(script, situation="mig")
    assert [each["index"] for each in readings] == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert [each["index"] for each in readings if each["mig_mode"]] == [0, 1]
    assert note == "GPU 1 in MIG mode without slices: nothing can run there"


@needs_cc
def test_slices_that_may_not_be_read_are_named_and_the_others_are_read(run: Run) -> None:
    script = """
backend = NvmlBackend()
for word in ("mig-denied", "mig-denied", "mig"):
    situation.write_text(word)
    show([[each for each in backend.sample(frozenset()) if each.index == 0], backend.note])
"""
    *refused, after = run(script)
    for (card, first, second, third), note in refused:
        assert card["vram_used_bytes"] is None and card["power_w"] == 287.5
        assert first["vram_used_bytes"] == 4 * GIB - GIB // 8
        assert (second["name"], second["vram_used_bytes"]) == ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None)
        assert (third["name"], third["mig_index"], third["vram_used_bytes"]) == ("GPU 0:3", 3, None)
        assert note.startswith("GPU 0:2, 0:3: no permission to read it")
    assert after[0][2]["vram_used_bytes"] == 4 * GIB - GIB // 8


@needs_cc
def test_slices_may_come_and_go(run: Run) -> None:
    script = """
backend = NvmlBackend()
for word in ("mig", "eight", "mig"):
    situation.write_text(word)
    show([each.place for each in backend.sample(frozenset()) if each.index == 0])
"""
    cut, whole, _ = run(script)
    assert cut == ["0", "0:0", "0:2"]
    assert whole == ["0"]


@needs_cc
def test_a_gpu_lost_in_mid_run_is_marked_and_the_others_go_on(run: Run) -> None:
    script = """
backend = NvmlBackend(lost_retry_s=0)
for word in ("eight", "lost", "lost", "eight"):
    situation.write_text(word)
    show([backend.sample(frozenset()), backend.note, backend.events()])
"""
    before, lost, still_lost, after = run(script)
    told = ["GPU 3 is lost: the driver does not reach it"], ["GPU 3 answers again"]
    assert [events for *_, events in (before, lost, still_lost, after)] == [[], told[0], [], told[1]]
    assert not any(reading["lost"] for reading in before[0])
    for readings, note, _ in (lost, still_lost):
        assert [reading["lost"] for reading in readings] == [index == 3 for index in range(8)]
        assert readings[3]["name"] == "NVIDIA A100-SXM4-40GB"
        assert readings[3]["vram_total_bytes"] == 40 * GIB
        assert readings[3]["vram_used_bytes"] is None
        assert readings[4]["vram_used_bytes"] == 33 * GIB - GIB // 2
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
    assert told == [
        "GPU 2: Xid 79: the GPU has fallen off the bus",
        "GPU 4: Xid 9999",
        "GPU 5: a double-bit ECC error",
        "GPU 0, MIG GPU instance 7: Xid 31: a page fault: a kernel touched memory that is not its own",
    ]


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
    assert inventory["driver_version"] == "580.159.04"
    assert inventory["problem"] == ""
    assert len(inventory["gpus"]) == 8
    used_bytes = 33 * GIB - GIB // 2
    last = {"index": 7, "name": "NVIDIA A100-SXM4-40GB", "vram_total_bytes": 40 * GIB, "vram_used_bytes": used_bytes}
    assert inventory["gpus"][7] == {**last, "mig_mode": False, "slices": []}


@needs_cc
def test_the_inventory_tells_how_cards_are_cut(run: Run) -> None:
    ((words, problem),) = run(
        "found = describe()\nshow([[(gpu.in_words, gpu.usable) for gpu in found.gpus], found.problem])", situation="mig"
    )
    name = "NVIDIA A100-SXM4-40GB"
    assert words[:3] == [[f"{name} (MIG: 1g.5gb, 1g.5gb)", True], [f"{name} (MIG: no slices)", False], [name, True]]
    assert problem == "GPU 1 in MIG mode without slices: nothing can run there"


@needs_cc
def test_a_machine_without_gpus_has_none(run: Run) -> None:
    assert run("show(describe())", situation="empty") == [{"gpus": [], "driver_version": "580.159.04", "problem": ""}]


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
