from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.nvml.build import build, compiler
from tui import doctor
from tui.core.errors import ExitCode, UsageError, VrampError
from tui.doctor import Check
from tui.engines.catalogue import engine_for
from tui.engines.engine import Engine
from tui.load.ceiling import Ceiling
from tui.metrics.reading import GpuReading

needs_cc = pytest.mark.skipif(compiler() is None, reason="no C compiler (cc, gcc, clang) for the fake libnvidia-ml")


CEILING = Ceiling(key="here", tokens_per_s=90_000.0, streams=4_500, us_per_event=11.1)


@pytest.fixture(autouse=True)
def ceiling_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure_ceiling() -> Ceiling:
        return CEILING

    monkeypatch.setattr(doctor, "measure_ceiling", measure_ceiling)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        folder = tmp_path / name.lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))


def found(name: str) -> Check:
    return next(check for check in doctor.checks() if check.name == name)


def test_the_report_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.print_report(as_json=True) is ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    names = {check["name"] for check in report["checks"]}
    assert {"Python", "GPUs", "ports", "locale", "terminal", "sessions", "sockets", "profiles"} <= names
    assert all(check["state"] in ("fine", "lacking", "wrong") for check in report["checks"])
    assert all(check["advice"] for check in report["checks"] if check["state"] == "lacking")


def test_the_load_client_measures_itself() -> None:
    check = found("load client")
    assert check.state == "fine"
    assert "90,000 tokens/s, or 4,500 users" in check.found


def test_a_load_client_that_fails_to_measure_itself_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure_ceiling() -> Ceiling:
        raise VrampError("the load client could not measure itself: no answer")

    monkeypatch.setattr(doctor, "measure_ceiling", measure_ceiling)
    assert found("load client").state == "wrong"
    assert "could not measure itself" in found("load client").found


def test_the_text_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.print_report()
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fine      Python") for line in lines)


def test_what_starts_a_serving_system_is_looked_for_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "python3").symlink_to(sys.executable)  # which Ray Serve is started by, and which has no Ray
    absent = found("serving systems")
    assert absent.state == "lacking"
    assert {"vllm", "llama-server"} <= set(re.findall(r"[\w-]+", absent.found))
    executable = tmp_path / "llama-server"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    names = {check.name for check in doctor.checks()}
    assert found("llama-server") == Check(name="llama-server", state="fine", found=str(executable))
    assert "serving systems" not in names and "vllm" not in names


def test_a_serving_system_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(name: str) -> Engine:
        if name == "vllm":
            raise UsageError('engine = "vllm" cannot be used')
        return engine_for(name)

    monkeypatch.setattr(doctor, "engine_for", engine)
    assert found("engine vllm").state == "wrong"


def test_a_taken_port_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(doctor, "DEFAULT_PORT", taken.getsockname()[1])
        assert found("ports").state == "lacking"


def test_a_profile_with_mistakes_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "xdg_config_home" / "vramp" / "profiles"
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text('name = "bad"\nengine = "vllm"\n')
    check = found("profiles")
    assert check.state == "wrong"
    assert "bad.toml: profile: found" in check.found


def test_a_folder_for_sessions_that_cannot_be_written_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    check = found("sessions")
    assert check.state == "wrong" and "kept in memory only" in check.advice


def test_a_check_that_breaks_is_itself_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(session_id: str) -> Path:
        raise OSError("no\x1b[31m place")

    monkeypatch.setattr(doctor, "socket_of", refuse)
    assert found("sockets") == Check(name="sockets", state="wrong", found="no place")


def test_a_table_says_what_is_missing() -> None:
    table = doctor.gpu_table(
        [
            GpuReading(
                at_ns=0, index=0, name="A100", vram_used_bytes=33_000_000_000, power_w=287.4, throttle="too hot"
            ),
            GpuReading(at_ns=0, index=1, name="A100", lost=True),
            GpuReading(at_ns=0, index=2, name="A100", mig_mode=True),
            GpuReading(
                at_ns=0, index=2, mig_index=1, name="MIG 1g.5gb", vram_reserved_bytes=10**8, vram_free_bytes=10**9
            ),
        ],
        0.0123,
    )
    card, lost, cut, one_slice = (line.split() for line in table.splitlines()[2:6])
    unread = ["N/A"] * 7
    assert card == ["0", "A100", "33.0", *unread[:4], "287", "N/A", "too", "hot"]
    assert lost == ["1", "A100", *unread, "LOST"]
    assert cut == ["2", "A100", *unread, "MIG", "mode"]
    assert one_slice == ["2:1", "MIG", "1g.5gb", "N/A", "0.1", "1.0", *unread[:4]]
    assert table.endswith("sampled in 12.3 ms")


def gpu_command(libraries: Path, situation: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"LD_LIBRARY_PATH": str(libraries), "FAKE_NVML": str(situation)}
    command = [sys.executable, "-m", "tui", "gpu", *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@needs_cc
def test_the_gpu_command_by_the_real_pynvml(tmp_path: Path) -> None:
    libraries, situation = build(tmp_path), tmp_path / "situation"
    situation.write_text("eight")
    answer = gpu_command(libraries, situation, "--json")
    assert answer.returncode == ExitCode.OK, answer.stderr
    gpus = json.loads(answer.stdout)
    assert [gpu["index"] for gpu in gpus["gpus"]] == list(range(8))
    assert gpus["driver_version"] == "580.159.04"
    assert gpus["sample_s"] > 0
    assert gpus["problem"] == ""
    text = gpu_command(libraries, situation, "--once")
    assert text.stdout.count("NVIDIA A100-SXM4-40GB") == 8
    situation.write_text("mismatch")
    refused = gpu_command(libraries, situation, "--json")
    assert refused.returncode == ExitCode.SERVER_UNAVAILABLE
    assert "changed while it was loaded" in json.loads(refused.stdout)["problem"]
