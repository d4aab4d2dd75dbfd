"""The one printer of the command line: all that goes to stdout and stderr, but for the app's own drawing.

Paths, arguments, names and what stands in files come from outside as well, and an escape sequence in one of them would
be obeyed by the terminal: everything goes through `safe_text`.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from tui.core.safe_text import safe_line, safe_text


def tell(text: object) -> None:
    """Print to stdout: the data that was asked for. A text of several lines stays one."""
    _write(sys.stdout, safe_text(str(text)) + "\n")


def narrate(text: object) -> None:
    """Print a line to stderr: what happens meanwhile."""
    _write(sys.stderr, safe_line(str(text)) + "\n")


def complain(text: object) -> None:
    """Print to stderr why something did not succeed: each line with our name before it, as is the custom."""
    for line in str(text).splitlines() or [""]:
        narrate(f"vramp: {line}")


_USUAL_COLUMNS = 80


class ProgressLine:
    """A line at the end of stderr that is drawn again and again; nothing where stderr is no terminal."""

    def __init__(self, *, silent: bool = False) -> None:
        self.is_drawn = sys.stderr.isatty() and not silent
        self._shown_width = 0

    def draw(self, line: str) -> None:
        """Draw the line in the place of the last one; an empty one takes it away."""
        line = self._fitted(safe_line(line))
        if not self.is_drawn or (not line and not self._shown_width):
            return
        # What a terminal made narrower has wrapped meanwhile cannot be taken away, only not be made worse.
        blanks = min(self._shown_width, self.columns - 1) - len(line)
        _write(sys.stderr, "\r" + line + " " * max(0, blanks) + ("" if line else "\r"))
        self._shown_width = len(line)

    @property
    def columns(self) -> int:
        """Return how many columns the terminal has now."""
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS

    def _fitted(self, line: str) -> str:
        """Return as many of the line's parts, set apart by two blanks, as fit: one that wraps is never taken away."""
        room = self.columns - 1
        while len(line) > room and "  " in line:
            line = line[: line.rindex("  ")].rstrip()
        return line[:room]


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()
