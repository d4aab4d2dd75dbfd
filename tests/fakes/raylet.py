"""Processes as Ray has them: workers with a child each below one that is called raylet."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Raylet:
    """One with its workers."""

    pid: int
    workers: list[int]
    children: list[int]
    """Of each worker, one."""


@contextmanager
def raylet(folder: Path, workers: int = 2) -> Iterator[Raylet]:
    """Run one within the block; whatever is left of it is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "raylet"
    worker = "sh -c 'sleep 1000 & echo $$ $!; exec sleep 1000' &"
    program.write_text("\n".join(["#!/bin/sh", *[worker] * workers, "wait", ""]))
    program.chmod(0o755)
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().split() for _ in range(workers)]
            yield Raylet(process.pid, [int(line[0]) for line in lines], [int(line[1]) for line in lines])
        finally:
            os.killpg(process.pid, signal.SIGKILL)
