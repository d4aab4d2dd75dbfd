"""Instructions per token of a load worker's hot path, counted by callgrind: a guard that knows no busy machine.

    python benchmarks/instructions.py            count, and compare with instructions.json: exit code 1 for more
    python benchmarks/instructions.py --accept   make what is counted the new measure

The measure holds for one minor version of Python; without valgrind, or without a measure, there is nothing to guard and
the script says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEASURE = HERE / "instructions.json"
ALLOWED = 1.25
FEW, MANY = 1000, 11_000
DRIVER = str(HERE / "drivers" / "hot_path.py")


def counted(events: int) -> int:
    """Return the instructions of a whole run. Raises RuntimeError when callgrind does not tell."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(sys.executable, DRIVER, str(events)),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"callgrind: {done.stderr.strip().splitlines()[-1:]}")
    return int(found[1])


def main() -> int:
    if shutil.which("valgrind") is None:
        print("instructions: skipped: no valgrind here")
        return 0
    # So that neither run has to compile a module; of the two the difference counts, without start and imports.
    subprocess.run([sys.executable, DRIVER, str(FEW)], check=True, stdout=subprocess.DEVNULL)
    per_event = round((counted(MANY) - counted(FEW)) / (MANY - FEW))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    measures = json.loads(MEASURE.read_text()) if MEASURE.exists() else {}
    if "--accept" in sys.argv[1:]:
        MEASURE.write_text(json.dumps(measures | {python: per_event}, indent=2) + "\n")
    elif python not in measures:
        print(f"instructions: {per_event} per token; skipped: no measure for Python {python}")
        return 0
    elif per_event > ALLOWED * measures[python]:
        print(f"instructions: {per_event} per token, more than {ALLOWED:g} x {measures[python]}")
        return 1
    print(f"instructions: {per_event} per token on Python {python}; the measure is {measures.get(python, per_event)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
