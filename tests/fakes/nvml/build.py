"""Builds the fake libnvidia-ml with the machine's C compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml.c")


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path, *, old_driver: bool = False) -> Path:
    """Build the library into a folder of its own within `folder`, for LD_LIBRARY_PATH; return that folder."""
    cc = compiler()
    assert cc is not None
    target = folder / ("old" if old_driver else "new")
    target.mkdir()
    flags = ["-DOLD_DRIVER"] if old_driver else []
    library = target / "libnvidia-ml.so.1"
    subprocess.run([cc, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", *flags, "-o", library, SOURCE], check=True)
    return target
