"""`python -m tui.server.guardian`: the parent of one server, and the end of it. A process of its own, few imports.

It leads a session of its own and is a child subreaper, so whatever the server starts, orphans and processes with
sessions of their own included, stays below it. Its parent is the watcher, which stands in for it should it be killed.
Its standard input is a socket to the bench, with JSON lines:

down  {"argv": [...], "env": {...}, "log": path, "scratch": [variable, ...]}   first, once
      {"end": seconds}                             end the tree, by force after so long; a later one may shorten it
up    {"started": pid, "guardian": pid} | {"refused": text, "errno": number}
      {"exited": code}                             of the server itself; negative = signal, as by subprocess
      {"ended": {"killed": [...], "survivors": [...]}}

What follows the scratch folder among the arguments is the command that removes the server's container, where it has
one: a daemon's container is no child of ours, and outlives the command that started it. It is run behind the tree's
end, by the watcher if the guardian did not come to it, by the bench if neither did.

Its first argument is the scratch folder, which the variables name to the server (vLLM leaves a dozen sockets behind at
every stop); it is removed by whoever is left: guardian, watcher, bench. Its standard output is the lease.

The tree ends when the bench says so, when the bench is gone (end of file) and when the guardian gets a signal.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from types import FrameType
from typing import Any

from tui.server.lease import end_this_group_with, reading_end, take_lease
from tui.server.removal import remove_container
from tui.server.scratch import hold_scratch, remove_scratch
from tui.server.subreaper import ask_to_end_with_parent, become_subreaper
from tui.server.tree import descendants, end_tree

ORPHANED_GRACE_S = 3.0
"""How long a server may take to end by itself when its bench is gone."""
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Guardian:
    """Holds one server. Single-threaded; everything happens in `watch`."""

    def __init__(self, bench: socket.socket, lease: int, scratch: str, *removal: str) -> None:
        """`scratch`: a folder of this launch's own. `removal`: the command that removes the server's container, if it
        has one."""
        self._bench = bench
        self._lease = lease
        self._scratch = scratch
        self._removal = removal
        self.container_left = False
        self._unread = b""
        self._server: subprocess.Popen[bytes] | None = None
        self._end_by: float | None = None
        self._wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wakeup, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in _ENDING_SIGNALS:
            # A Python function is reset to the default in what we start; an inherited "ignore" would not be.
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def run(self) -> None:
        """Start what the bench asks for, and stay until nothing of it is left."""
        try:
            wish = self._first_wish()
            if wish is not None:
                self._keep(wish)
        finally:
            remove_scratch(self._scratch)

    def _keep(self, wish: dict[str, Any]) -> None:
        env = {**dict.fromkeys(wish.get("scratch", ()), self._scratch), **wish["env"]}
        # A container's command passes SIGTERM on, and is asked by that alone: killed, it would leave the container.
        lease = None if self._removal else self._lease
        try:
            self._server = start(wish["argv"], env, wish["log"], lease)
        except OSError as error:
            self._say({"refused": error.strerror or str(error), "errno": error.errno})
            return
        self._say({"started": self._server.pid, "guardian": os.getpid()})
        while self._end_by is None:
            self._pause(None)
        ending = end_tree(
            lambda: descendants(os.getpid()),
            first=self._server.pid,
            deadline=lambda: self._end_by or 0.0,
            pause=self._pause,
        )
        if self._removal and (why := remove_container(self._removal)):
            self.container_left = True
            ending.survivors.append(f"container {self._removal[-1]} ({why})")
        self._reap()
        self._say({"ended": asdict(ending)})

    def _first_wish(self) -> dict[str, Any] | None:
        while self._end_by is None:
            for wish in self._read():
                return wish
        return None

    def _pause(self, seconds: float | None) -> None:
        """Wait for the bench, a child or a signal; obey what came."""
        watched: list[Any] = [self._wakeup]
        if self._bench.fileno() >= 0:
            watched.append(self._bench)
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._bench in ready:
            for wish in self._read():
                self._end_within(float(wish.get("end", ORPHANED_GRACE_S)))
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        self._reap()

    def _read(self) -> list[dict[str, Any]]:
        """Return the lines that have come; at end of file, let the tree end."""
        try:
            received = self._bench.recv(65536)
        except OSError:
            received = b""
        if not received:
            self._bench.close()
            self._end_within(ORPHANED_GRACE_S)
            return []
        *lines, self._unread = (self._unread + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def _end_within(self, seconds: float) -> None:
        by = time.monotonic() + seconds
        self._end_by = by if self._end_by is None else min(self._end_by, by)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._end_within(ORPHANED_GRACE_S)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._server is not None and pid == self._server.pid:
                self._say({"exited": os.waitstatus_to_exitcode(status)})

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._bench.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the bench is gone; the next read finds that out


def start(argv: list[str], env: dict[str, str], log: str, lease: int | None) -> subprocess.Popen[bytes]:
    """Start a server: a process group of its own, no input, all output to the end of `log`. Return it, to be kept:
    once let go of, it would be waited for by Python, and its exit status be lost.

    Raises OSError. Output goes straight to the file: a slow reader never holds the server up.
    """
    executable = shutil.which(argv[0], path=env.get("PATH"))
    if executable is None:
        raise FileNotFoundError(2, "no such executable", argv[0])
    guardian, reader = os.getpid(), None if lease is None else reading_end(lease)

    def before_exec() -> None:  # between fork and exec; this process has no other thread that could hold a lock
        ask_to_end_with_parent(signal.SIGTERM)
        if reader is not None:
            end_this_group_with(reader)
        if os.getppid() != guardian:  # which was killed before we could ask
            os._exit(1)

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # Signals that this process handles are reset to their defaults by exec; it ignores none but Python's own,
        # which are restored. So a job in the background of a script passes on no ignored SIGINT.
        return subprocess.Popen(
            argv,
            executable=executable,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            process_group=0,
            pass_fds=() if reader is None else (reader,),
            preexec_fn=before_exec,
        )
    finally:
        os.close(descriptor)
        if reader is not None:
            os.close(reader)


def main() -> int:
    """Guard one server; return 0 when nothing of it is left."""
    become_subreaper()
    # uvloop gives us inheritable copies of our own standard streams; a server that held one of the bench's socket
    # would hide our death from the bench.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    lease = take_lease()
    hold_scratch(sys.argv[1])
    guardian = Guardian(socket.socket(fileno=os.dup(0)), lease, *sys.argv[1:])
    guardian.run()
    return 1 if guardian.container_left or descendants(os.getpid()) else 0


if __name__ == "__main__":
    sys.exit(main())
