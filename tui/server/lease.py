"""What ends a server when all its keepers are dead at once: the kernel, by SIGKILL to its whole process group.

The bench, the watcher and the guardian each hold the writing end of one pipe, handed down as a standard output that
none of them writes to; the reading end is the server's. When the last writer goes, however it ends, the pipe tells the
owner of its reading end (fcntl(2): O_ASYNC, F_SETOWN, F_SETSIG), which is the server's group. That reaches a server
that is deaf to SIGTERM, as vLLM is while it loads, with its engine and workers, which stay in its group. It costs one
descriptor in each of them. Processes of the server with a group of their own are beyond it, and so is one that closes
what it has inherited. Imports little, since the watcher does.
"""

from __future__ import annotations

import fcntl
import os
import signal


def take_lease() -> int:
    """Return the writing end that stands at standard output, and put nothing in its place: a write would be the end."""
    lease = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return lease


def reading_end(lease: int) -> int | None:
    """Return the other end of the pipe, to be inherited by the server alone; None where there is no such thing."""
    try:
        return os.open(f"/proc/self/fd/{lease}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def end_this_group_with(reader: int) -> None:
    """Have the group of this process killed when the last writer goes. Kept over exec, and for those forked later."""
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | os.O_ASYNC)
    except (OSError, AttributeError):
        pass  # another kernel: what ends with its parent is all that is left
