"""`--ascii` for all that Textual itself draws: borders, scrollbars, marks. The last step before the terminal."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.view.widgets.ascii import to_ascii


class AsciiFilter(LineFilter):
    """Makes every segment ASCII, in as many cells."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in ASCII."""
        return [
            segment if segment.control or segment.text.isascii() else Segment(to_ascii(segment.text), segment.style)
            for segment in segments
        ]
