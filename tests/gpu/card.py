"""The first GPU as NVML tells it, without any code of vramp's: what the tests hold vramp's figures against."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pynvml

GIB = 2**30
TOLERANCE_BYTES = 512 * 2**20
"""What drivers and contexts take and give back on their own."""
HOLDER = Path(__file__).with_name("hold_memory.py")
PERIOD_S = 0.2


@dataclass(frozen=True)
class Look:
    """The card at one moment."""

    at_ns: int
    used_bytes: int
    energy_j: float
    processes: dict[int, int]
    """Bytes by process number."""


class Card:
    """The first GPU. NVML stays open until `close`."""

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.total_bytes = int(self.memory.total)

    def close(self) -> None:
        pynvml.nvmlShutdown()

    @property
    def memory(self) -> pynvml.c_nvmlMemory_v2_t:
        return pynvml.nvmlDeviceGetMemoryInfo(self.handle, pynvml.nvmlMemory_v2)

    @property
    def used_bytes(self) -> int:
        return int(self.memory.used)

    @property
    def processes(self) -> dict[int, int]:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(self.handle)
        return {process.pid: process.usedGpuMemory or 0 for process in found}

    def look(self) -> Look:
        energy_j = pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000
        return Look(time.monotonic_ns(), self.used_bytes, energy_j, self.processes)

    def wait_until_back(self, before_bytes: int, timeout_s: float = 30.0) -> float:
        """Wait until no more is used than before, and return after how many seconds that was."""
        began = time.monotonic()
        while (held := self.used_bytes - before_bytes) > TOLERANCE_BYTES:
            assert time.monotonic() - began < timeout_s, f"{held / 1e9:.1f} GB still held by {self.processes}"
            time.sleep(0.05)
        return time.monotonic() - began

    def held(self, size_bytes: int) -> AbstractContextManager[int]:
        """Hold so much in a process of its own; give its number."""
        return self._held(str(size_bytes))

    def held_but(self, left_bytes: int) -> AbstractContextManager[int]:
        """Hold all that is free but so much in a process of its own; give its number."""
        return self._held("--leave", str(left_bytes))

    @contextmanager
    def _held(self, *what: str) -> Iterator[int]:
        command = [sys.executable, str(HOLDER), *what]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == "holding"
            yield holder.pid
            assert holder.stdin is not None
            holder.stdin.close()


@dataclass
class Record:
    """Looks at the card, five a second, from `with` to its end."""

    card: Card
    looks: list[Look] = field(default_factory=list)

    def __enter__(self) -> Record:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="card-record")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(PERIOD_S):
            self.looks.append(self.card.look())

    def energy_j(self, from_ns: int, until_ns: int) -> float:
        """Return what the card took between two moments, between looks as if evenly."""
        return self._counter(until_ns) - self._counter(from_ns)

    def _counter(self, at_ns: int) -> float:
        after = next(number for number, look in enumerate(self.looks) if look.at_ns >= at_ns)
        left, right = self.looks[after - 1], self.looks[after]
        share = (at_ns - left.at_ns) / (right.at_ns - left.at_ns)
        return left.energy_j + share * (right.energy_j - left.energy_j)
