"""Following a server's log file: bytes of any kind in, clean lines out. asyncio, in the bench; bounded memory.

The server writes to the file by itself, so a slow reader never holds it up; it only falls behind.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tui.core.safe_text import safe_line
from tui.server.log_wrappers import unwrapped

LINE_BYTES = 16 * 1024
"""What is beyond this in one line is dropped."""
STEP_BYTES = 128 * 1024
PERIOD_S = 0.1
_LINE_END = re.compile(rb"[\r\n]+")


class LineSplitter:
    """Makes lines of pieces of a log. A carriage return ends a line, too, since progress bars are drawn by it."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False

    def feed(self, piece: bytes) -> list[str]:
        """Return the lines that `piece` completes, without control characters; empty ones are left out."""
        *whole, self._rest = _LINE_END.split(self._rest + piece)
        if whole and self._dropping:
            whole, self._dropping = whole[1:], False
        if len(self._rest) > LINE_BYTES:
            if not self._dropping:
                whole.append(self._rest)
            self._rest, self._dropping = b"", True
        return [_clean(line) for line in whole if line]

    def end(self) -> list[str]:
        """Return what came after the last line end."""
        last, self._rest = self._rest, b""
        return [_clean(last)] if last and not self._dropping else []


def _clean(line: bytes) -> str:
    text = line[:LINE_BYTES].decode(errors="replace")
    text = unwrapped(text if text.isprintable() else safe_line(text))
    # A wrapper may have held back what is to be cleaned, as JSON does.
    return text if text.isprintable() else safe_line(text)


class LogReader:
    """Follows one file from its present end on."""

    def __init__(self, path: Path, on_lines: Callable[[list[str]], None]) -> None:
        path.touch(mode=0o600)
        self._file = path.open("rb", buffering=0)
        self._file.seek(0, 2)
        self._splitter = LineSplitter()
        self._on_lines = on_lines

    async def follow(self) -> None:
        """Read what comes, until cancelled."""
        while True:  # noqa: ASYNC110
            # A file has nothing to wait for in asyncio, and inotify is not in the standard library.
            await asyncio.sleep(0 if self._step() else PERIOD_S)

    def catch_up(self) -> None:
        """Read what has come until now, at most a few MB."""
        for _ in range(64):
            if not self._step():
                break
        self._hand_on(self._splitter.end())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _step(self) -> bool:
        piece = self._file.read(STEP_BYTES)
        if piece:
            self._hand_on(self._splitter.feed(piece))
        return len(piece) == STEP_BYTES

    def _hand_on(self, lines: list[str]) -> None:
        if lines:
            self._on_lines(lines)


class LogExcerpt:
    """The lines that a diagnosis may need, however long the log: what told something, the first errors, the end."""

    TELLING, ERRORS, LAST = 200, 300, 300

    def __init__(self) -> None:
        self._telling: dict[int, str] = {}
        self._errors: dict[int, str] = {}
        self._last: deque[tuple[int, str]] = deque(maxlen=self.LAST)
        self._count = 0

    def add(self, line: str, *, telling: bool) -> bool:
        """Take a line; say whether it was kept as one of the first errors."""
        self._count += 1
        self._last.append((self._count, line))
        if telling and len(self._telling) < self.TELLING:
            self._telling[self._count] = line
        elif len(self._errors) < self.ERRORS and sounds_like_an_error(line):
            self._errors[self._count] = line
            return True
        return False

    def outlive(self) -> None:
        """Take it that the server goes on behind all that it has said: no error among that is the cause of a later
        end."""
        self._errors.clear()
        self._last.clear()

    def lines(self) -> list[str]:
        """Return the lines in their order."""
        return [line for _at, line in sorted((self._telling | self._errors | dict(self._last)).items())]


_ERROR_WORDS = (
    *("error", "exception", "fatal", "critical", "out of memory", "killed", "died", "can't", "cannot", "no space"),
    *("less than", "greater than"),
)


def sounds_like_an_error(line: str) -> bool:
    """Say whether a line of any program may tell of a failure."""
    # Ten times as fast as a regular expression, and asked of every line of a flood.
    lower = line.lower()
    return any(word in lower for word in _ERROR_WORDS)
