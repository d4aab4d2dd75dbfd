"""The terminal, which may stop, stall or go away at any moment: none of it leaves an app behind that cannot end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import psutil
from textual.drivers.linux_driver import LinuxDriver

from tui.view.terminal_input import TerminalInput

_READ_BYTES = 4096
_LOOK_EVERY_S = 0.1
"""How often the reader of keys looks whether it is to end, and whether an escape was a key."""


CLEAR = "\x1b[2J"


def speaks_utf8(environ: Mapping[str, str]) -> bool:
    """Say whether the locale's characters are UTF-8, as POSIX looks for it; where none is set, most terminals' are.

    Python's own encoding does not tell: under LC_ALL=C it takes UTF-8 all the same.
    """
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "UTF-8"
    return "utf8" in name.lower().replace("-", "")


class TerminalDriver(LinuxDriver):
    """Textual's driver, and what it leaves open.

    What is drawn goes through a bounded queue to a thread. Where the terminal hangs up, that thread would end at its
    first write, and the app wait forever for room in the queue. The kernel sends SIGCONT along with the SIGHUP of a
    hang-up, and after a SIGSTOP; Textual would start its threads a second time. It would also give the terminal away
    and take it in the middle of whatever runs, the queue's own lock held perhaps; here the loop does both.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file: Any = _Output(self._file)
        self._drawing = False
        if self.input_tty:
            threading.Thread(target=_hang_up_when_gone, args=(self.fileno,), name="hang-up", daemon=True).start()

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._drawing = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self._drawing = False
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Read keys until the terminal is given back; one that goes away is told of by the watch."""
        keys = TerminalInput()
        while not self.exit_event.is_set():
            try:
                data = os.read(self.fileno, _READ_BYTES) if _can_be_read(self.fileno) else None
            except OSError:
                return
            if data == b"":  # its end, which could be read over and over
                self.exit_event.wait(_LOOK_EVERY_S)
            for message in keys.feed(data) if data else ():
                self.process_message(message)
            for message in keys.tick():
                self.process_message(message)

    def _sigtstp_application(self, *_: object) -> None:
        if not (self._drawing and self._auto_restart and _soon(self._give_way)):
            os.kill(os.getpid(), signal.SIGSTOP)

    def _sigcont_application(self, *_: object) -> None:
        _soon(self._come_back)

    @property
    def can_stop(self) -> bool:
        """Say whether there is a shell to give the terminal to."""
        return self._drawing and _somebody_waits()

    def stop_foreground(self) -> None:
        """Do what Ctrl-Z does in a terminal that is not ours: stop our process group, a `make` before us included."""
        self.suspend_application_mode()
        self._must_signal_resume = True
        os.killpg(os.getpgrp(), signal.SIGSTOP)

    def _give_way(self) -> None:
        """Give the terminal back, and stop."""
        if self._drawing:
            self.suspend_application_mode()
            self._must_signal_resume = True
        os.kill(os.getpid(), signal.SIGSTOP)

    def _come_back(self) -> None:
        """Take the terminal again after a stop, whether the stop was asked for or not."""
        if not self._auto_restart or not os.isatty(self.fileno):
            return
        if self._drawing:
            self.suspend_application_mode()
        elif not self._must_signal_resume:
            return
        self.resume_application_mode()


def _somebody_waits() -> bool:
    """Say whether a shell in this terminal would see our process group stop, and could let it go on.

    None would where we are what a terminal was opened for (`ssh -t host vramp`): once stopped, we would stay stopped.
    """
    group, session = os.getpgrp(), os.getsid(0)
    try:
        for process in psutil.Process().parents():
            if os.getpgid(process.pid) != group:
                return os.getsid(process.pid) == session
    except (psutil.Error, OSError):
        pass  # it went away meanwhile, or is nobody's that may be asked
    return False


def _soon(call: Callable[[], None]) -> bool:
    """Have the loop make a call, and return whether there is one: not at the very beginning, nor at the very end."""
    try:
        asyncio.get_running_loop().call_soon_threadsafe(call)
    except RuntimeError:
        return False
    return True


def _can_be_read(fileno: int) -> bool:
    """Wait a moment for something to read, and say whether there is."""
    return bool(select.select([fileno], [], [], _LOOK_EVERY_S)[0])


class _Output:
    """What is drawn, as long as there is somebody to see it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.fileno = file.fileno

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError:
            pass  # the hang-up is told of by the watch

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            pass


def _hang_up_when_gone(fileno: int) -> None:
    """Wait for the terminal to go, and tell this process as the kernel tells those in its foreground.

    Without it a terminal that goes in silence would be read in vain, over and over.
    """
    poll = select.poll()
    poll.register(fileno, 0)  # a hang-up and an error are always told
    poll.poll()
    os.kill(os.getpid(), signal.SIGHUP)
