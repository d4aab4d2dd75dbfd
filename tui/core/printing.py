"""The one printer of the command line: all that goes to stdout and stderr, but for the app's own drawing.

Paths, arguments, names and what stands in files come from outside as well, and an escape sequence in one of them would
be obeyed by the terminal: everything goes through `safe_text`.
"""

from __future__ import annotations

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


class ProgressLine:
    """A line at the end of stderr that is drawn again and again; nothing where stderr is no terminal."""

    def __init__(self, *, silent: bool = False) -> None:
        self.is_drawn = sys.stderr.isatty() and not silent
        self._shown_width = 0

    def draw(self, line: str) -> None:
        """Draw the line in the place of the last one; an empty one takes it away."""
        line = safe_line(line)
        if not self.is_drawn or (not line and not self._shown_width):
            return
        _write(sys.stderr, "\r" + line.ljust(self._shown_width) + ("" if line else "\r"))
        self._shown_width = len(line)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()
