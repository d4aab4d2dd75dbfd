"""A simulated server as a process of its own, for tests that talk to it over real sockets."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import World

TIMEOUT_S = 30.0
_ADDRESS = re.compile(r"Starting vLLM server on (http://\S+)")

PROFILE = """\
name = "{name}"
engine = "simulated"
[server]
model = "vramp/simulated"
gpus = {gpus}
[simulator]
max_model_len = 512
kv_cache_tokens = 16384
step_base_s = 0.002
step_per_sequence_s = 0.0
prefill_per_token_s = 0.0
{more}
"""


@dataclass
class SimulatedServer:
    """A running one."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)
    """What it said until it was ready, and, once `wait` was called, all of it."""
    _more: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def read_log(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._more.put(line.rstrip("\n"))
        self._more.put(None)

    def wait_for_line(self, text: str) -> str:
        """Return the first line, from now on, that holds `text`."""
        while True:
            line = self._more.get(timeout=TIMEOUT_S)
            assert line is not None, f"ended without saying {text!r}:\n" + "\n".join(self.lines)
            self.lines.append(line)
            if text in line:
                return line

    def wait(self) -> int:
        """Wait for the end of the process; return its exit code."""
        while (line := self._more.get(timeout=TIMEOUT_S)) is not None:
            self.lines.append(line)
        return self.process.wait(TIMEOUT_S)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=TIMEOUT_S)


@contextmanager
def simulated(
    world: World,
    *options: str,
    gpus: str = "[0]",
    more: str = "",
    ready: bool = True,
    profile: Path | None = None,
) -> Iterator[SimulatedServer]:
    """Start `profile`, or a small one with `more` lines in its [simulator] table; kill it if it runs at the end."""
    if profile is None:
        profile = world.root / "tested.toml"
        profile.write_text(PROFILE.format(name="tested", gpus=gpus, more=more))
    server = start(world, profile, *options)
    reader = threading.Thread(target=server.read_log)
    reader.start()
    try:
        if ready:
            found = _ADDRESS.search(server.wait_for_line("Starting vLLM server on"))
            assert found is not None
            server.url = found[1]
            server.wait_for_line("Application startup complete.")
            # As with vLLM, that line comes a moment before the socket listens.
            with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
                client.get(f"{server.url}/health").raise_for_status()
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        reader.join()
        assert server.process.stdout is not None
        server.process.stdout.close()


def start(world: World, profile: Path, *options: str) -> SimulatedServer:
    command = [sys.executable, "-m", "tui", "simulate", str(profile), "--port", "0", *options]
    return SimulatedServer(
        subprocess.Popen(
            command,
            env=world.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )


def request(**changes: Any) -> dict[str, Any]:
    """Return the body of a completion of 10 tokens."""
    return {
        "model": "vramp/simulated",
        "prompt": [300, 301, 302],
        "max_tokens": 10,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **changes,
    }
