"""Real processes: every test gets folders of its own, and must leave no process behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.fakes.terminal import Terminal

MARK = "VRAMP_TEST_ID"
KEEP = "VRAMP_TEST_KEEP"
"""Names a folder where the users' folders are kept, for a look at logs and sessions."""
GONE_TIMEOUT_S = 30.0


@dataclass
class World:
    """A user's folders and what runs under them."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tui", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.env,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout_s: float = 100.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.env,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def processes(self) -> list[psutil.Process]:
        """Return what runs in this world, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.env[MARK] and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def running(self, word: str) -> list[psutil.Process]:
        """Return the processes of this world whose command line has `word`."""
        found = []
        for process in self.processes():
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_until_empty(self) -> None:
        """Wait for the last process to go; a timeout names who stayed."""
        _, alive = psutil.wait_procs(self.processes(), timeout=GONE_TIMEOUT_S)
        alive = self.processes()
        assert not alive, f"left behind: {[process.cmdline() for process in alive]}"

    @property
    def session_files(self) -> list[Path]:
        return sorted((self.root / "data" / "vramp" / "sessions").glob("*.vramp"))

    @property
    def sockets(self) -> list[Path]:
        return list((self.root / "run" / "vramp").glob("*.sock"))


def choose(terminal: Terminal, profile: str) -> None:
    """Go to a profile of the list by its name, which is in no other one's name or title.

    What the list has highlighted at first is no test's to know: it may be a profile whose server is installed.
    """
    terminal.wait_for("simulated")
    terminal.send("/")
    terminal.wait_until(lambda text: text.count("search") == 2, "the field")
    terminal.send(profile)
    terminal.wait_gone("sim-mistral-7b")
    terminal.send("\r")
    terminal.wait_for("enter launch")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with a_world(request.node.name) as made:
        yield made


@contextmanager
def a_world(name: str) -> Iterator[World]:
    """Have a world, which must be empty at its end; `name`: as what it is kept, where worlds are."""
    # Short, since a unix socket's path may have 107 characters.
    root = Path(tempfile.mkdtemp(prefix="vr"))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VRAMP", "XDG", "COLUMNS"))}
    env |= {
        MARK: uuid.uuid4().hex,
        "HOME": str(root),
        "XDG_CACHE_HOME": str(root / "cache"),
        "XDG_CONFIG_HOME": str(root / "config"),
        "XDG_DATA_HOME": str(root / "data"),
        "XDG_RUNTIME_DIR": str(root / "run"),
        # Benches of whoever else uses this machine are none of this world.
        "VRAMP_RUNTIME_DIR": str(root / "run" / "vramp"),
        "PYTHONUNBUFFERED": "1",
    }
    (root / "run").mkdir(mode=0o700)
    made = World(root, env)
    try:
        yield made
        made.wait_until_empty()
    finally:
        for process in made.processes():
            process.kill()
        if keep := os.environ.get(KEEP):
            kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            left_out = shutil.ignore_patterns("*.sock", "cache")
            shutil.copytree(root, Path(keep) / kept, ignore=left_out, dirs_exist_ok=True)
        shutil.rmtree(root, ignore_errors=True)
