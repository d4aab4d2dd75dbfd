"""How much room a session will take, told before it is needed. Pure but for one look at the file system."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tui.profile.schema import LoadTable, Mode

# Measured on sessions of simulated and real servers; a gap between two tokens takes two bytes once it is compressed.
_REQUEST_BYTES, _TOKEN_BYTES = 350, 2
_CELL_BYTES, _SECOND_BYTES = 1_500, 600
_EMPTY_BYTES = 100_000
_LARGEST_JOURNAL_BYTES = 4_200_000  # SQLite's -wal, before it is folded into the file
# A guess for what nobody can know beforehand: how quickly one user of a healthy server gets tokens.
_TOKENS_PER_S = 50.0


def bytes_needed(load: LoadTable, cells: Iterable[tuple[int, int]]) -> int:
    """Estimate the bytes that measuring `cells` (users, prompt tokens) will add to a session file, its journal too."""
    kept = _EMPTY_BYTES
    for users, _ in cells:
        answer_s = load.output_tokens / _TOKENS_PER_S
        cell_s = load.repeats * answer_s if load.mode is Mode.BURST else load.warm_up_s + load.duration_s
        match load.mode:
            case Mode.BURST:
                requests = float(users * load.repeats)
            case Mode.STEADY:
                requests = users * (cell_s / max(answer_s, 0.1) + 1)
            case Mode.RATE:
                requests = users * (load.rate_per_s or 0.0) * cell_s
        kept += round(requests * (_REQUEST_BYTES + _TOKEN_BYTES * load.output_tokens))
        kept += round(cell_s * _SECOND_BYTES) + _CELL_BYTES
    return kept + min(kept, _LARGEST_JOURNAL_BYTES)


def free_bytes(folder: Path) -> int | None:
    """Return how much this user may still write where `folder` is; None where that cannot be told."""
    for place in (folder, *folder.parents):
        try:
            info = os.statvfs(place)
        except OSError:
            continue
        return info.f_bavail * info.f_frsize
    return None


def in_words(count: int) -> str:
    """Return a number of bytes for people, with two figures: 12 MB."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:.1f} {unit}" if size < 10 and unit != "B" else f"{size:.0f} {unit}"
