"""A table as lines: columns of fixed width, the last one takes what is left. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from tui.view.widgets.lines import Ink, Line, Span, cells


@dataclass(frozen=True)
class Column:
    """One column: its heading, its width in cells, and which side it keeps to. Width 0 = all that is left."""

    heading: str
    width: int
    right: bool = False


def heading(columns: list[Column], width: int) -> Line:
    """Return the line of headings."""
    return row(columns, [(column.heading, Ink.DIM) for column in columns], width)


def row(columns: list[Column], values: list[Span], width: int) -> Line:
    """Return one line of the table; what has no room is left out from the right."""
    line: Line = []
    used = 0
    for column, (text, ink) in zip(columns, values, strict=True):
        size = column.width or max(0, width - used)
        if size == 0 or used + size > width:
            break
        fitted = cells(text, size)
        if column.right:
            stripped = fitted.rstrip()
            fitted = " " * (size - cell_len(stripped)) + stripped
        line.append((fitted, ink))
        used += size
        if used < width:
            line.append((" ", Ink.PLAIN))
            used += 1
    return line
