"""What asks a cluster, where the Ray beside it is not one that it knows. Real ones are asked in tests/ray_serve."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tui.server import ray_cluster

PROGRAM = Path(ray_cluster.__file__).with_name("ray_program.py")


def error_with(folder: Path) -> str:
    answered = subprocess.run(
        [sys.executable, str(PROGRAM), "state", "10.0.0.1:6379", "key", "mark"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        timeout=60,
    )
    told: dict[str, str] = msgspec.json.decode(answered.stdout)
    return told["error"]


def write(folder: Path, name: str, text: str = "") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_ray_that_keeps_its_state_otherwise_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    write(tmp_path, "ray/__init__.py", '__version__ = "3.1"')
    error = error_with(tmp_path)
    assert error.startswith("Ray 3.1 keeps its state otherwise than 2.44 to 2.60 do: ModuleNotFoundError")
    for module in ("core/generated/gcs_pb2", "_private/services", "_private/state", "_raylet"):
        write(tmp_path, f"ray/{module}.py")
    for package in ("core", "core/generated", "_private"):
        write(tmp_path, f"ray/{package}/__init__.py")
    assert error_with(tmp_path).startswith("Ray 3.1 keeps its state otherwise than 2.44 to 2.60 do: AttributeError")


def test_no_ray_at_all_is_no_other_version(tmp_path: Path) -> None:
    write(tmp_path, "ray.py", "raise ModuleNotFoundError(\"No module named 'ray'\")")
    assert error_with(tmp_path) == "ModuleNotFoundError: No module named 'ray'"
