"""Disks that are full at once, for real processes: a tmpfs of some kB. Tests skip where mounting is not allowed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int, *more: str) -> Iterator[Path]:
    """Mount a tmpfs of so many kB at `folder`, with further mount options, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ",".join([f"size={kilobytes}k", "mode=0700", *more])
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    except OSError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
