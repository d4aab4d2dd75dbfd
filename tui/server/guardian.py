"""`python -m tui.server.guardian`: the parent of one server, and the end of it. A process of its own, few imports.

It leads a session of its own and is a child subreaper, so whatever the server starts, orphans and processes with
sessions of their own included, stays below it. Its standard input is a socket to the bench, with JSON lines:

down  {"argv": [...], "env": {...}, "log": path, "scratch": [variable, ...]}   first, once
      {"end": seconds}                             end the tree, by force after so long; a later one may shorten it
up    {"started": pid, "scratch": path} | {"refused": text, "errno": number}
      {"exited": code}                             of the server itself; negative = signal, as by subprocess
      {"ended": {"killed": [...], "survivors": [...]}}

The scratch folder, which the variables name to the server (vLLM leaves a dozen sockets behind at every stop), is made
and removed by the guardian, or removed by the bench if the guardian is killed.

The tree ends when the bench says so, when the bench is gone (end of file) and when the guardian gets a signal.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import asdict
from types import FrameType
from typing import Any

from tui.server.tree import descendants, end_tree

PR_SET_CHILD_SUBREAPER = 36
ORPHANED_GRACE_S = 3.0
"""How long a server may take to end by itself when its bench is gone."""
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Guardian:
    """Holds one server. Single-threaded; everything happens in `watch`."""

    def __init__(self, bench: socket.socket) -> None:
        self._bench = bench
        self._unread = b""
        self._server: int | None = None
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
        wish = self._first_wish()
        if wish is None:
            return
        try:
            scratch = tempfile.mkdtemp(prefix="vramp-")
        except OSError as error:
            self._say({"refused": f"there is no temporary folder for it: {error.strerror or error}"})
            return
        try:
            self._keep(wish, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _keep(self, wish: dict[str, Any], scratch: str) -> None:
        env = {**dict.fromkeys(wish.get("scratch", ()), scratch), **wish["env"]}
        try:
            self._server = start(wish["argv"], env, wish["log"])
        except OSError as error:
            self._say({"refused": error.strerror or str(error), "errno": error.errno})
            return
        self._say({"started": self._server, "scratch": scratch})
        while self._end_by is None:
            self._pause(None)
        ending = end_tree(
            lambda: descendants(os.getpid()),
            first=self._server,
            deadline=lambda: self._end_by or 0.0,
            pause=self._pause,
        )
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
            if pid == self._server:
                self._say({"exited": os.waitstatus_to_exitcode(status)})

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._bench.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the bench is gone; the next read finds that out


def start(argv: list[str], env: dict[str, str], log: str) -> int:
    """Start a server: a process group of its own, no input, all output to the end of `log`. Return its pid.

    Raises OSError. Output goes straight to the file: whoever reads it late never holds the server up.
    """
    executable = shutil.which(argv[0], path=env.get("PATH"))
    if executable is None:
        raise FileNotFoundError(2, "no such executable", argv[0])
    return os.posix_spawn(
        executable,
        argv,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setpgroup=0,
        setsigmask=[],
        # A job started in the background of a script has SIGINT ignored, and would pass that on.
        setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD],
    )


def become_subreaper() -> bool:
    """Make orphans below this process its children instead of init's (prctl(2)). Says whether that worked."""
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False


def main() -> int:
    """Guard one server; return 0 when nothing of it is left."""
    become_subreaper()
    # uvloop gives us inheritable copies of our own standard streams; a server that held one of the bench's socket
    # would hide our death from the bench.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    bench = socket.socket(fileno=os.dup(0))
    Guardian(bench).run()
    return 0 if not descendants(os.getpid()) else 1


if __name__ == "__main__":
    sys.exit(main())
