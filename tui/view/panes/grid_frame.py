"""The frames around cells of the map: the best, the present, the picked one. Pure.

A cell of one line has marks at its sides. One of two lines and more has a frame: what is written in its first and last
line stands in the frame's edges, as a title does in a border, so that no line is spent on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tui.view.widgets.lines import Ink, Line, Over, Paint, Span

Kind = Literal["picked", "parts", "present", "best"]

_THIN, _DOUBLE = "┏━┓┃┃┗━┛", "╔═╗║║╚═╝"
_BLANKS = re.compile(" +")
_ROOMY = 3
"""From so many blanks on the edge keeps one clear of what is written."""


@dataclass(frozen=True)
class Frame:
    """What marks a cell: of two in one place the weightier is seen."""

    kind: Kind
    ink: Ink
    weight: int
    ground: Ink
    """The colour of the cell."""
    rows: int

    @staticmethod
    def mark(kind: Kind, rows: int) -> str:
        """Return what stands for it in a legend."""
        if kind == "best":
            return "▐" if rows == 1 else "╔╗"
        return "[ ]" if rows == 1 else "┏┓"

    @property
    def _closed(self) -> bool:
        return self.rows > 1 and self.kind != "parts"

    @property
    def _paint(self) -> Paint:
        """Return its paint on the cell: as what is written there, since no hue stands out from all of the scale."""
        return Over(self.ink if self.ground is Ink.HEAT_OPEN else self.ground, self.ground)

    @property
    def paint_beside(self) -> Paint:
        """Return its paint between cells: there, a closed frame widens the cell."""
        return self._paint if self._closed else self.ink

    def sides(self, row: int) -> tuple[str, str]:
        """Return what stands left and right of a row of the cell."""
        if self.kind == "parts":
            return " ", "!" if row == 0 else " "
        if self.rows == 1:
            return {"best": ("▐", "▌"), "picked": ("▸", "]")}.get(self.kind, ("[", "]"))
        glyphs = self._glyphs
        left, right = (0, 2) if row == 0 else (5, 7) if row == self.rows - 1 else (3, 4)
        return "▸" if self.kind == "picked" and row == 0 else glyphs[left], glyphs[right]

    @property
    def _glyphs(self) -> str:
        return _DOUBLE if self.kind == "best" else _THIN

    def around(self, block: list[Line], *, inside: bool) -> list[Line]:
        """Return the cell's lines with the edges above and below; `inside`: also those left and right."""
        lines = list(block)
        if self._closed:
            rule = self._glyphs[1]
            for row in {0, self.rows - 1}:
                lines[row] = _ruled(lines[row], rule, self._paint)
        if not inside:
            return lines
        return [self._between(line, *self.sides(row)) for row, line in enumerate(lines)]

    def _between(self, line: Line, left: str, right: str) -> Line:
        """Return a line with its first and its last cell, which are blank, given to the frame."""
        spans = [(char, paint) for text, paint in line for char in text]
        spans[0], spans[-1] = (left, self._paint), (right, self._paint)
        return spans


def _ruled(line: Line, rule: str, paint: Paint) -> Line:
    """Return a line whose blanks are an edge; words keep theirs between them."""
    spans: list[Span] = [(char, own) for text, own in line for char in text]
    text = "".join(char for char, _ in spans)
    for found in _BLANKS.finditer(text):
        begin, end = found.span()
        roomy = end - begin >= _ROOMY
        if not roomy and begin > 0 and end < len(text):
            continue
        for place in range(begin + (roomy and begin > 0), end - (roomy and end < len(text))):
            spans[place] = (rule, paint)
    return spans
