"""How much of a model's weights a starting server has read: by what its processes have mapped and opened. Linux.

Nothing is guessed. Where the files are not on this machine yet, or cannot be told, there is no figure. What is mapped
counts by its pages in memory (smaps), what is opened by the position in it (fdinfo); a file that was read and is let go
of counts whole. Called from a thread: smaps of a large process takes tenths of a second.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

READS_FROM = 16 * 1024 * 1024
"""Who has read less has looked at headers only."""
MOST_FILES = 10_000
_HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ +(?P<path>/.*)$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_KINDS = (".safetensors", ".gguf", ".bin", ".pt", ".pth")
"""Of several kinds beside each other the first is loaded."""


def weight_files(model: str, environment: Mapping[str, str]) -> dict[str, int]:
    """Return the files of a model's weights with their sizes in bytes, by their real paths; empty = not known.

    `model`: a file, a folder, or a name at Hugging Face that is in the cache of this machine.
    """
    with suppress(OSError, ValueError):
        place = Path(model).expanduser()
        found = (
            _of_file(place) if place.is_file() else _of_folder(place if place.is_dir() else _cached(model, environment))
        )
        return {os.path.realpath(path): path.stat().st_size for path in found[:MOST_FILES]}
    return {}


def _of_file(path: Path) -> list[Path]:
    shard = _SHARD.search(path.name)
    return sorted(path.parent.glob(f"{path.name[: shard.start()]}-*.gguf")) if shard else [path]


def _of_folder(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = {Path(name).name for name in json.loads(index.read_text())["weight_map"].values()}
        return [folder / name for name in sorted(named)]  # one that is not there yet is an OSError
    there = sorted(path for path in folder.iterdir() if path.suffix in _KINDS)
    kind = next((kind for kind in _KINDS if any(path.suffix == kind for path in there)), "")
    found = [path for path in there if path.suffix == kind]
    # Mistral's own form lies beside the usual one.
    return [path for path in found if not path.name.startswith("consolidated")] or found


def _cached(model: str, environment: Mapping[str, str]) -> Path | None:
    home = Path(environment.get("HF_HOME") or "~/.cache/huggingface")
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    cache = Path(named or home / "hub").expanduser()
    repository = cache / f"models--{model.replace('/', '--')}"
    if not repository.is_dir() or any((repository / "blobs").glob("*.incomplete")):
        return None
    return repository / "snapshots" / (repository / "refs" / "main").read_text().strip()


class WeightsRead:
    """Looks at processes from time to time, and remembers what each has read."""

    def __init__(self, files: Mapping[str, int]) -> None:
        """`files`: sizes in bytes by real paths."""
        self._files = files
        self._seen: dict[int, dict[str, int]] = {}

    def look(self, pids: Collection[int]) -> int | None:
        """Return how many bytes the process has read that has read the least; None = none reads them."""
        totals = [total for pid in pids if (total := self._look_at(pid)) >= READS_FROM]
        return min(totals, default=None)

    def _look_at(self, pid: int) -> int:
        now: dict[str, int] = {}
        with suppress(OSError):
            for path, amount in (*_mapped(pid, self._files), *_opened(pid, self._files)):
                now[path] = max(now.get(path, 0), min(amount, self._files[path]))
        before = self._seen.setdefault(pid, {})
        for path, amount in before.items():
            if path not in now and amount >= min(READS_FROM, self._files[path]):
                before[path] = self._files[path]
        for path, amount in now.items():
            before[path] = max(before.get(path, 0), amount)
        return sum(before.values())


def _mapped(pid: int, files: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Yield how many bytes of which files are in the memory of a process."""
    maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    if not any(path in maps for path in files):
        return
    amounts: dict[str, int] = {}
    path = ""
    with Path(f"/proc/{pid}/smaps").open(errors="replace") as lines:
        for line in lines:
            if header := _HEADER.match(line.rstrip("\n")):
                path = header["path"] if header["path"] in files else ""
            elif path and line.startswith("Rss:"):
                amounts[path] = amounts.get(path, 0) + int(line.split()[1]) * 1024
            elif line[0] in "0123456789abcdef":
                path = ""  # a mapping of no file
    yield from amounts.items()


def _opened(pid: int, files: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Yield how far a process is in the files that it has opened."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            if (path := str(entry.readlink())) in files:
                told = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
                yield path, int(told.split("pos:", 1)[1].split()[0])
