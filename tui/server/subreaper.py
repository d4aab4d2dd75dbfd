"""Two wishes to the kernel on whose children are whose (prctl(2), Linux). Imports little, since the watcher does."""

from __future__ import annotations

import ctypes

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make orphans below this process its children instead of init's. Says whether that worked."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def ask_to_end_with_parent(number: int) -> bool:
    """Have this process sent the signal `number` when the thread that made it ends. Kept over exec, not over fork."""
    return _prctl(PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> bool:
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False
