"""A `docker` for tests that behaves as one, and the real podman where one runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

IMAGE = f"vramp-test-{os.getpid()}"
"""Of this run of the tests alone, so that it can be removed behind it."""
FAKE_DOCKER = Path(__file__).parents[2] / "fakes" / "docker.py"


@contextmanager
def fake_docker(folder: Path) -> Iterator[dict[str, str]]:
    """Have a daemon and a command `docker` in `folder`; give the environment in which it is found."""
    state, bin_folder = folder / "docker", folder / "bin"
    state.mkdir()
    bin_folder.mkdir()
    command = bin_folder / "docker"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -I {FAKE_DOCKER} "$@"\n')
    command.chmod(0o755)
    env = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "FAKE_DOCKER_DIR": str(state)}
    daemon = subprocess.Popen([sys.executable, "-I", str(FAKE_DOCKER), "daemon"], env={**os.environ, **env})
    try:
        yield env
    finally:
        daemon.kill()
        daemon.wait()
        for record in state.glob("*.json"):  # of a test that failed
            with suppress(ProcessLookupError):
                os.killpg(json.loads(record.read_text())["pid"], signal.SIGKILL)


def keep_context(folder: Path, name: str, host: str) -> None:
    """Keep a context in docker's folder, as `docker context create` does."""
    kept = folder / "contexts" / "meta" / sha256(name.encode()).hexdigest()
    kept.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (kept / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))


def containers_of(env: dict[str, str]) -> list[str]:
    """Return the names of those that run."""
    return [path.stem for path in Path(env["FAKE_DOCKER_DIR"]).glob("*.json")]


def wait_for_containers(env: dict[str, str], count: int, timeout_s: float = 30.0) -> None:
    """Wait until so many run."""
    by = time.monotonic() + timeout_s
    while len(containers_of(env)) != count:
        assert time.monotonic() < by, containers_of(env)
        time.sleep(0.02)


def working_podman(folder: Path) -> dict[str, str] | None:
    """Return the environment in which podman runs a container here, with the image IMAGE; None where none does.

    Its limits are the ones that this user has: those of its own configuration may be more than is allowed here.
    """
    busybox = shutil.which("busybox")
    if shutil.which("podman") is None or busybox is None:
        return None
    root = folder / "root" / "bin"
    root.mkdir(parents=True)
    shutil.copy(busybox, root / "sh")
    config = folder / "containers.conf"
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    limits = '["nofile=1024:1024", "nproc=1000:1000"]'
    config.write_text(f"[containers]\ndefault_ulimits = {limits}\n[engine]\n{runtime}\n")
    env = {"CONTAINERS_CONF": str(config)}
    archive = folder / "root.tar"
    subprocess.run(["tar", "-C", str(folder / "root"), "-cf", str(archive), "."], check=True)
    for command in (
        ["import", str(archive), IMAGE],
        ["run", "--rm", "--network=host", "--ipc=host", IMAGE, "sh", "-c", "true"],
    ):
        done = subprocess.run(
            ["podman", *command], env={**os.environ, **env}, capture_output=True, timeout=60, check=False
        )
        if done.returncode != 0:
            return None
    return env
