"""A server in a container: launched, found, and ended with its keepers, whoever of them is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.unit.server.containers import (
    IMAGE,
    containers_of,
    fake_docker,
    keep_context,
    wait_for_containers,
    working_podman,
)
from tests.unit.server.test_supervisor import FAKE, ROOT, run
from tui.core.errors import LaunchError
from tui.engines.base import Container
from tui.metrics.snapshot import Phase
from tui.profile.schema import Profile
from tui.server import container as container_module
from tui.server.container import processes_of
from tui.server.process import ServerProcess
from tui.server.removal import remove_container

PATIENCE_S = 60


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with fake_docker(tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        yield env


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    env = working_podman(tmp_path_factory.mktemp("podman"))
    if env is None:
        pytest.skip("no podman that runs a container here")
    yield env
    subprocess.run(["podman", "rmi", IMAGE], env={**os.environ, **env}, capture_output=True, check=False)


def profile_of(behave: str = "serve", **container: object) -> Profile:
    server = {
        "model": "org/asked",
        "executable": [sys.executable, str(FAKE), "--behave", behave],
        "stop_grace_s": 5.0,
        "startup_timeout_s": 60.0,
        "container": {"image": "example/vllm:1", **container},
    }
    return Profile.model_validate({"name": "fake", "engine": "vllm", "server": server})


async def test_it_is_launched_and_goes_with_its_server(
    docker: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_S3cretS3cret")
    async with run(profile_of(env=["HF_TOKEN"]), tmp_path) as one:
        await one.supervisor.launch()
        assert one.supervisor.status.phase is Phase.READY
        argv = json.loads((Path(docker["FAKE_DOCKER_DIR"]) / "argv").read_text())
        assert argv[argv.index("HF_TOKEN") - 1] == "--env"
        assert "hf_S3cretS3cret" not in " ".join(argv) + one.said()
        (name,) = containers_of(docker)
        record = json.loads((Path(docker["FAKE_DOCKER_DIR"]) / f"{name}.json").read_text())
        server = psutil.Process(record["pid"])
        assert server.environ()["HF_TOKEN"] == "hf_S3cretS3cret"
        assert server.pid not in {child.pid for child in psutil.Process(one.supervisor.status.pid).children()}
        await one.supervisor.stop()
        assert containers_of(docker) == []
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
        assert "Application startup complete" in one.said("server")


async def test_a_server_that_heeds_no_signal_is_removed(docker: dict[str, str], tmp_path: Path) -> None:
    profile = profile_of("ignore-sigterm")
    server = profile.server
    assert server is not None
    profile = profile.model_copy(update={"server": server.model_copy(update={"stop_grace_s": 0.5})})
    async with run(profile, tmp_path) as one:
        await one.supervisor.launch()
        await one.supervisor.stop()
        assert containers_of(docker) == []
        (removed,) = Path(docker["FAKE_DOCKER_DIR"]).glob("*.removed")
        assert removed.read_text().startswith("rm --force vramp-")


async def test_a_command_that_is_killed_takes_its_container_along(docker: dict[str, str], tmp_path: Path) -> None:
    async with run(profile_of(), tmp_path) as one:
        await one.supervisor.launch()
        pid = one.supervisor.status.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert "SIGKILL" in (await one.supervisor.wait_died()).summary
        await asyncio.to_thread(wait_for_containers, docker, 0)


# What is to the server what the bench is; it says when it has started.
BENCH = """
import asyncio, json, sys
from pathlib import Path
import uvloop
from tui.engines.base import Container
from tui.server.process import ServerProcess, become_subreaper

async def main(log, container, argv):
    become_subreaper()
    process = await ServerProcess.start(argv, {}, Path(log), (), Container(**container))
    print("started", flush=True)
    await process.exited
    await process.end(1.0)

uvloop.run(main(sys.argv[1], *map(json.loads, sys.argv[2:])))
"""
HEEDS = "echo up; exec sleep 600"
HEEDS_NOTHING = "trap '' TERM; sleep 600 & echo up; while :; do sleep 0.1; done"
KEEPERS = ("bench", "watcher", "guardian")


def keepers_of(bench: int) -> dict[str, int]:
    below = psutil.Process(bench).children(recursive=True)
    return {"bench": bench} | {
        name: one.pid for one in below for name in KEEPERS if f"tui.server.{name}" in one.cmdline()
    }


@pytest.mark.parametrize(
    "killed",
    [
        ("bench",),
        ("guardian", "bench"),
        ("bench", "watcher"),
        ("guardian", "watcher"),
        ("guardian", "watcher", "bench"),
    ],
)
def test_whoever_is_killed_the_container_goes(killed: tuple[str, ...], docker: dict[str, str], tmp_path: Path) -> None:
    name = "vramp-0123456789ab"
    # With all keepers gone, the kernel asks the command to end, which passes that on: to who heeds it.
    script_within = HEEDS if len(killed) == len(KEEPERS) else HEEDS_NOTHING
    argv = ["docker", "run", "--rm", "--name", name, "--entrypoint", "sh", "image", "-c", script_within]
    container = {"name": name, "remove": ["docker", "rm", "--force", name], "inspect": ["docker", "inspect", name]}
    script = [sys.executable, "-c", BENCH, str(tmp_path / "log"), json.dumps(container), json.dumps(argv)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        wait_for_containers(docker, 1)
        keepers = keepers_of(process.pid)
        assert sorted(keepers) == sorted(KEEPERS)
        by = time.monotonic() + PATIENCE_S
        while "up" not in (tmp_path / "log").read_text():
            assert time.monotonic() < by
            time.sleep(0.02)
        for each in killed:
            os.kill(keepers[each], signal.SIGKILL)
        wait_for_containers(docker, 0, PATIENCE_S)
    psutil.wait_procs([psutil.Process(pid) for pid in keepers.values() if psutil.pid_exists(pid)], PATIENCE_S)


@pytest.mark.parametrize(
    ("says", "failure", "words"),
    [
        (
            "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "container-runtime",
            "daemon does not run",
        ),
        (
            "docker: Error response from daemon: pull access denied for example/vllm, repository does not exist or may "
            "require 'docker login': denied",
            "image-missing",
            "image is not here",
        ),
        (
            'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
            "container-runtime",
            "cannot hand over GPUs",
        ),
    ],
)
async def test_what_the_runtime_refuses_is_said(
    says: str, failure: str, words: str, docker: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DOCKER_SAYS", says)
    async with run(profile_of(), tmp_path) as one:
        with pytest.raises(LaunchError, match=words):
            await one.supervisor.launch()
        report = one.supervisor.status.failure
        assert report is not None
        assert report.failure == failure


async def test_a_runtime_that_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with run(profile_of(runtime="podman"), tmp_path) as one:
        with pytest.raises(LaunchError, match=r"podman cannot be started.*runtime in"):
            await one.supervisor.launch()


async def test_a_container_that_cannot_be_removed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container("vramp-x", remove=("/nowhere/docker", "rm", "vramp-x"), inspect=("false",))
    process = await ServerProcess.start(["sleep", "600"], {}, tmp_path / "log", (), container)
    ending = await process.end(1.0)
    assert ending.survivors == ["container vramp-x (/nowhere/docker: No such file or directory)"]


def test_a_container_that_is_gone_is_removed() -> None:
    said = "echo 'Error: No such container: x' >&2; exit 1"
    assert remove_container(["sh", "-c", said]) == ""


def test_its_processes_are_those_of_its_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = "0123456789abcdef" * 4
    groups = {
        "7": f"0::/system.slice/docker-{found}.scope\n",
        "8": f"4:memory:/docker/{found}/inner\n",
        "9": f"0::/user.slice/docker-{'f' * 64}.scope\n",
        "self": f"0::/docker/{found}\n",
    }
    for pid, text in groups.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cgroup").write_text(text)
    (tmp_path / "10").mkdir()  # it ends while it is looked at
    monkeypatch.setattr(container_module, "_PROC", tmp_path)
    assert processes_of(found) == {7, 8}


# -- the real podman -------------------------------------------------------------------------------------------------


def podman_plan(script: str) -> tuple[list[str], Container]:
    name = f"vramp-test-{os.getpid()}-{time.monotonic_ns()}"
    argv = ["podman", "run", "--rm", "--name", name, "--network=host", "--ipc=host", IMAGE, "sh", "-c", script]
    inspect = ("podman", "inspect", "--type", "container", "--format", "{{.Id}}", name)
    return argv, Container(name, ("podman", "rm", "--force", "--time", "0", name), inspect)


def podman_names(env: dict[str, str]) -> str:
    shown = ["podman", "ps", "--all", "--format", "{{.Names}}"]
    return subprocess.run(shown, env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout


async def test_podman_s_processes_are_found_and_ended(
    podman: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", podman["CONTAINERS_CONF"])
    argv, container = podman_plan(HEEDS_NOTHING)
    process = await ServerProcess.start(argv, {}, tmp_path / "log", (), container)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "up" not in (tmp_path / "log").read_text():
                await asyncio.sleep(0.05)
            await process.find_container()
        inspect = [*container.inspect[:-2], "{{.State.Pid}}", container.name]
        pid = int(subprocess.run(inspect, capture_output=True, text=True, check=True).stdout)
        assert {pid, *(child.pid for child in psutil.Process(pid).children())} <= process.pids()
    finally:
        ending = await process.end(0.5)
    assert ending.survivors == []
    assert not psutil.pid_exists(pid)
    assert container.name not in podman_names(podman)


def test_podman_s_container_goes_when_all_but_the_watcher_are_killed(
    podman: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", podman["CONTAINERS_CONF"])
    argv, container = podman_plan(HEEDS_NOTHING)
    table = {"name": container.name, "remove": container.remove, "inspect": container.inspect}
    script = [sys.executable, "-c", BENCH, str(tmp_path / "log"), json.dumps(table), json.dumps(argv)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        by = time.monotonic() + PATIENCE_S
        while "up" not in (tmp_path / "log").read_text():
            assert time.monotonic() < by
            time.sleep(0.02)
        keepers = keepers_of(process.pid)
        for each in ("guardian", "bench"):
            os.kill(keepers[each], signal.SIGKILL)
        while container.name in podman_names(podman):
            assert time.monotonic() < by
            time.sleep(0.1)


async def test_podman_says_which_image_is_missing(
    podman: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", podman["CONTAINERS_CONF"])
    assert shutil.which("podman")
    profile = profile_of(runtime="podman", image="localhost/nothing:1", gpus=False, extra_args=["--pull=never"])
    async with run(profile, tmp_path) as one:
        with pytest.raises(LaunchError, match="image"):
            await one.supervisor.launch()
        report = one.supervisor.status.failure
        assert report is not None
        assert report.failure == "image-missing"


@pytest.mark.parametrize("by", ["its variable", "its context"])
async def test_a_daemon_on_another_host_is_asked_for_nothing(
    by: str, docker: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "its variable":
        monkeypatch.setenv("DOCKER_HOST", "ssh://me@gpu-7")
    else:
        keep_context(tmp_path / "config", "far", "ssh://me@gpu-7")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
    async with run(profile_of(), tmp_path) as one:
        with pytest.raises(LaunchError, match="daemon is on gpu-7"):
            await one.supervisor.launch()
        failure = one.supervisor.status.failure
    assert failure is not None and failure.failure == "container-runtime"
    assert not (Path(docker["FAKE_DOCKER_DIR"]) / "argv").exists()
