"""A server's process tree: what is left of it, and ending it. Used by the guardian, and by the bench without one.

Imports little, since the guardian does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psutil

MARK = "VRAMP_SERVER"
"""The environment variable that every process of a launched server inherits, with a value of that launch."""
KILL_TIMEOUT_S = 10.0
"""A process that is in the kernel's hands (state D) cannot be ended; after this long it is reported instead."""
TIDY_S = 3.0
"""How long Python's resource trackers may take to remove the shared memory of processes that were killed."""
_TRACKER = "multiprocessing.resource_tracker"
PAUSE_S = 0.1


@dataclass
class Ending:
    """How a tree was ended."""

    killed: list[str] = field(default_factory=list)
    """Those that had to be killed by force, as "name (pid)"."""
    survivors: list[str] = field(default_factory=list)
    """Those that could not be ended; empty = it is verified that nothing is left."""


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that run; a zombie does not, it only waits for its exit status to be read."""
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def descendants(pid: int) -> list[psutil.Process]:
    """Return the living descendants of a process; none when there is no such process."""
    try:
        return living(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def eldest_child(pid: int) -> int | None:
    """Return the pid of a process's oldest living child, which among what a server left behind is the server."""
    eldest: psutil.Process | None = None
    try:
        for child in living(psutil.Process(pid).children()):
            if eldest is None or child.create_time() < eldest.create_time():
                eldest = child
    except psutil.Error:
        pass  # it has just ended
    return None if eldest is None else eldest.pid


def left_over(session_id: int, mark: str) -> list[psutil.Process]:
    """Return the living processes of a server whose guardian is gone: of its session, with its mark, or below those.

    A process that gave itself a title has overwritten its environment, so the mark alone would miss VLLM::EngineCore;
    one that made a session of its own is missed by the session alone.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _belongs(process, session_id, mark):
            for one in [process, *descendants(process.pid)]:
                found[one.pid] = one
    return living(found.values())


def _belongs(process: psutil.Process, session_id: int, mark: str) -> bool:
    try:
        if os.getsid(process.pid) == session_id:
            return True
        return process.uids().real == os.getuid() and process.environ().get(MARK) == mark
    except (OSError, psutil.Error):
        return False


def end_tree(
    find: Callable[[], Sequence[psutil.Process]],
    *,
    first: int | None,
    deadline: Callable[[], float],
    pause: Callable[[float], None],
) -> Ending:
    """End all that `find` returns, until it returns nothing: SIGTERM, and SIGKILL once `deadline` has passed.

    `first`: the pid that is asked first and alone, so that a server can end its own workers in order.
    `deadline`: by time.monotonic(), asked again and again, for it may be moved.
    A resource tracker is spared while others live and for TIDY_S after them: it removes the shared memory that they
    leave behind, and then ends by itself.
    `pause`: waits at most so many seconds for something to change, and reaps what is to be reaped.
    """
    ending = Ending()
    asked: set[psutil.Process] = set()
    kill_until: float | None = None
    tidy_until = 0.0
    while alive := find():
        if kill_until is None and time.monotonic() < deadline():
            head = [process for process in alive if process.pid == first]
            for process in set(head or alive) - asked:
                asked.add(process)
                with contextlib.suppress(psutil.Error):
                    process.terminate()
        else:
            kill_until = kill_until or time.monotonic() + KILL_TIMEOUT_S
            if time.monotonic() > kill_until:
                ending.survivors = [_name(process) for process in alive]
                break
            others = [process for process in alive if not _tidies_up(process)]
            if others:
                tidy_until = time.monotonic() + TIDY_S
            for process in others or (alive if time.monotonic() > tidy_until else []):
                name = _name(process)
                if name not in ending.killed:
                    ending.killed.append(name)
                with contextlib.suppress(psutil.Error):
                    process.kill()
        pause(PAUSE_S)
    return ending


def _tidies_up(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
        # One that has no words left is ending: the kernel took its memory already.
        return not words or _TRACKER in " ".join(words)
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return f"{(process.cmdline() or [process.name()])[0].strip()[:80]} ({process.pid})"
    except psutil.Error:
        return f"({process.pid})"
