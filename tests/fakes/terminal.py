"""A terminal of a given size with a real program in it: what it draws can be read, and keys can be pressed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

_QUANTUM_S = 0.1


class Terminal:
    """Spawns `argv` in a pty and keeps the screen up to date by pyte. Reading happens only inside the calls."""

    def __init__(
        self,
        argv: list[str],
        *,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        """All bytes that came out, for tests of what they cost and whether modes were put back."""
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        environment |= env or {}
        self.process: pexpect.spawn[bytes] = pexpect.spawn(
            argv[0], argv[1:], env=environment, dimensions=(rows, columns), timeout=5, cwd=cwd
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def text(self) -> str:
        """The screen as text, one line per row, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float = _QUANTUM_S) -> bytes:
        """Take what comes out within `seconds` and return it."""
        until, taken = time.monotonic() + seconds, bytearray()
        while (left := until - time.monotonic()) > 0:
            try:
                chunk = self.process.read_nonblocking(65536, timeout=left)
            except pexpect.TIMEOUT:
                break
            except pexpect.EOF:
                break
            taken += chunk
            self._stream.feed(_without_private(chunk))
        self.raw += taken
        return bytes(taken)

    def wait_for(self, text: str, timeout_s: float = 30.0) -> str:
        """Return the screen as soon as it shows `text`; fail with the screen when it does not."""
        return self.wait_until(lambda shown: text in shown, f"{text!r}", timeout_s)

    def wait_gone(self, text: str, timeout_s: float = 30.0) -> str:
        """Return the screen as soon as it does not show `text` any more."""
        return self.wait_until(lambda shown: text not in shown, f"{text!r} gone", timeout_s)

    def wait_until(self, condition: Callable[[str], bool], what: str, timeout_s: float = 30.0) -> str:
        """Return the screen as soon as `condition(screen text)` holds."""
        until = time.monotonic() + timeout_s
        while not condition(self.text):
            if time.monotonic() > until or (not self.process.isalive() and not self.read()):
                raise AssertionError(f"waited for {what}; the screen shows:\n{self.text}")
            self.read()
        return self.text

    def send(self, keys: str | bytes) -> None:
        """Press keys, or send what no key makes."""
        self.process.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a window manager does."""
        self.screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def wait_exit(self, timeout_s: float = 30.0) -> int:
        """Return the exit code as a shell would give it (128 + signal)."""
        until = time.monotonic() + timeout_s
        while self.process.isalive():
            if time.monotonic() > until:
                raise AssertionError(f"the program does not end; the screen shows:\n{self.text}")
            self.read()
        self.read()
        status, number = self.process.exitstatus, self.process.signalstatus
        return 128 + number if number is not None else int(status or 0)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program alone."""
        self.process.kill(number)

    def hang_up(self) -> None:
        """Take the terminal away, as a dropped SSH line does; the kernel sends SIGHUP."""
        owner: Any = vars(self.process)["ptyproc"]  # closes its descriptor's number again, whoever has it then
        owner.fileobj.close()
        owner.closed = True
        self.process.child_fd = -1

    def close(self) -> None:
        """End the program if it still runs, and the pty."""
        try:
            alive = self.process.isalive()  # where it has ended, no zombie is left
        except pexpect.ExceptionPexpect:
            alive = False  # somebody else has waited for it
        if alive:
            self.process.kill(signal.SIGKILL)
            self.process.wait()
        if self.process.child_fd == -1:
            self.process.closed = True
            return
        self.process.close(force=True)


def _without_private(chunk: bytes) -> bytes:
    """Drop what pyte draws as text: kitty's keyboard sequences (CSI > u, CSI < u, CSI = u)."""
    for sequence in (b"\x1b[>1u", b"\x1b[<u", b"\x1b[?u", b"\x1b[=0;1u"):
        chunk = chunk.replace(sequence, b"")
    return chunk
