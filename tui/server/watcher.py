"""`python -m tui.server.watcher`: the guardian's parent, and its stand-in. A process of its own, very few imports.

Three processes watch a server: the bench, the watcher below it, the guardian below that. All are child subreapers, in
sessions of their own; whichever of them is killed, with whichever other, the one that is left inherits the whole tree
(processes with sessions of their own and with overwritten environments included) and ends it. Should all three be
killed in one moment, the kernel itself kills the server's process group (`lease`). What it costs: one sleeping Python
process of some 10 MB, and 20 ms at a launch. A PID namespace would reach everything, but needs user namespaces that
many hosts and containers refuse, and takes CUDA IPC and the driver's own process numbers apart; a cgroup is seldom ours
to make.

Its standard input is the guardian's: the socket to the bench, which it hands on and lets go of; its standard output is
the lease. It lives until the guardian has ended, ends what is left then, and removes the scratch folder, which is its
first argument. The others are the command that removes the server's container, if it has one.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

from tui.server.lease import take_lease
from tui.server.scratch import hold_scratch, remove_scratch
from tui.server.subreaper import become_subreaper

STAND_IN_GRACE_S = 3.0
"""How long a server may take to end by itself when its guardian is gone."""
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> int:
    """Start the guardian and outlive it; return 0 when nothing below is left."""
    # What asks us to end before we can pass it on waits until we can: the scratch folder is ours to remove.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    become_subreaper()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    lease = take_lease()
    scratch, removal = sys.argv[1], sys.argv[2:]
    hold_scratch(scratch)
    try:
        argv = [sys.executable, "-m", "tui.server.guardian", scratch, *removal]
        handed_down = [(os.POSIX_SPAWN_DUP2, lease, 1)]
        guardian = os.posix_spawn(sys.executable, argv, os.environ, setsid=True, file_actions=handed_down)
        _let_go_of_the_bench()

        def pass_on(_number: int, _frame: FrameType | None) -> None:
            os.kill(guardian, signal.SIGTERM)  # until it is waited for, its pid is nobody else's

        for number in _PASSED_ON:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        while (ended := os.waitpid(-1, 0))[0] != guardian:
            pass
        for number in _PASSED_ON:
            signal.signal(number, signal.SIG_IGN)
        nothing_left = _end_what_is_left()
        if ended[1] != 0 and removal:
            nothing_left = _remove_container(removal) and nothing_left
        return 0 if nothing_left else 1
    finally:
        remove_scratch(scratch)


def _let_go_of_the_bench() -> None:
    """Close our end of the guardian's socket: a bench is to see at once when its guardian dies."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.close(nowhere)


def _end_what_is_left() -> bool:
    """End all that a killed guardian has left to us; say whether nothing survives."""
    if not _reap():
        return True
    # Only now: importing psutil is expensive, and a guardian that worked leaves nothing.
    from tui.server.tree import descendants, eldest_child, end_tree  # noqa: PLC0415

    def pause(seconds: float) -> None:
        _reap()
        time.sleep(seconds)

    by = time.monotonic() + STAND_IN_GRACE_S
    ending = end_tree(
        lambda: descendants(os.getpid()), first=eldest_child(os.getpid()), deadline=lambda: by, pause=pause
    )
    _reap()
    return not ending.survivors


def _remove_container(command: list[str]) -> bool:
    from tui.server.removal import remove_container  # noqa: PLC0415 - only now, as above

    return not remove_container(command)


def _reap() -> bool:
    """Read the exit status of every child that has ended; say whether others live."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


if __name__ == "__main__":
    sys.exit(main())
