"""The one printer of the command line: all that goes to stdout and stderr, but for the app's own drawing.

Paths, arguments, names and what stands in files come from outside as well, and an escape sequence in one of them would
be obeyed by the terminal: everything goes through `safe_text`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from tui.core.safe_text import safe_line, safe_text


def tell(text: object) -> None:
    """Print to stdout: the data that was asked for. A text of several lines stays one."""
    _write(sys.stdout, safe_text(str(text)) + "\n")


Span = tuple[str, float | None]
"""A text, and how good what it says is: -1 (bad) to 1 (good), 0 = neither; None = it is no such thing."""


def tell_painted(lines: Iterable[Sequence[Span]]) -> None:
    """Print lines to stdout, with a colour behind what is good or bad where stdout is a terminal that has colours."""
    depth = _colours()
    for line in lines:
        _write(sys.stdout, "".join(_painted(safe_line(text), goodness, depth) for text, goodness in line) + "\n")


_BLUES, _ORANGES = (24, 25, 31, 38), (94, 130, 166, 202)
"""Of the 256 colours, from faint to strong: told apart in the common colour blindnesses."""


def _colours() -> int:
    """Return how many colours stdout has: 0, 8 or 256."""
    term = os.environ.get("TERM", "")
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or term in ("", "dumb"):
        return 0
    return 256 if "256" in term or os.environ.get("COLORTERM") else 8


def _painted(text: str, goodness: float | None, colours: int) -> str:
    if not goodness or not colours:
        return text
    if colours < 256:
        return f"\x1b[{34 if goodness > 0 else 33}m{text}\x1b[39m"
    shades = _BLUES if goodness > 0 else _ORANGES
    shade = shades[min(int(abs(goodness) * len(shades)), len(shades) - 1)]
    return f"\x1b[48;5;{shade}m\x1b[38;5;255m{text}\x1b[0m"


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
