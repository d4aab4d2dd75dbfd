"""A Python with a Ray cluster of its own making: a program that answers what `ray_program` would."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def fake_python(folder: Path, *states: Mapping[str, Any] | str) -> str:
    """Write a program that answers `states` one after the other, the last one for good; return its path.

    A text is answered as it is. What it was asked is in `folder`/asked, a line each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, state in enumerate(states):
        (folder / f"answer{number}").write_text(state if isinstance(state, str) else json.dumps(state))
    program = folder / "python3"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from pathlib import Path\n"
        f"folder = Path({str(folder)!r})\n"
        "asked = folder / 'asked'\n"
        "before = asked.read_text().splitlines() if asked.exists() else []\n"
        "asked.write_text('\\n'.join([*before, ' '.join(sys.argv[2:])]))\n"
        f"print((folder / f'answer{{min(len(before), {len(states) - 1})}}').read_text())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def node(name: str, *, gpus: int = 4, free: int | None = None) -> dict[str, Any]:
    return {"node": name * 8, "ip": name, "gpus": float(gpus), "free_gpus": float(gpus if free is None else free)}


def placed(**gpus: int) -> list[dict[str, Any]]:
    bundles = [{"node": name * 8, "gpus": 1.0} for name, count in gpus.items() for _ in range(count)]
    return [{"group": "g1", "gpus": bundles}]


def actor(name: str, rank: int) -> dict[str, Any]:
    return {"name": "RayWorkerProc", "node": name * 8, "ip": name, "pid": 100 + rank, "state": "ALIVE"}
