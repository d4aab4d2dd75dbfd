"""A distribution as bars of eighths, with its least, middle and greatest value written below. Pure."""

from __future__ import annotations

from tui.metrics.distribution import Distribution
from tui.view import formatting
from tui.view.colours.paint import Ink
from tui.view.plotting.area import area
from tui.view.widgets.lines import Line


def histogram(of: Distribution, name: str, ink: Ink, width: int, rows: int) -> list[Line]:
    """Return `rows` lines of at most `width` cells: heading, bars, values. The
    bins are as wide as their latency is long: what looks even is a ratio."""
    if rows < 3 or width < 12:
        return []
    counts = _columns(of.counts, width)
    picture = area(counts, max(counts, default=0.0), rows - 2, ink)
    edges_s = of.edges_s
    ends = [f"{formatting.milliseconds(edge_s, 0)} ms" for edge_s in (edges_s[0], edges_s[-1])]
    middle = formatting.milliseconds(edges_s[len(edges_s) // 2], 0)
    gap = width - len(ends[0]) - len(ends[1])
    between = middle.center(gap) if gap >= len(middle) + 2 else " " * gap
    return [[(name, ink)], *picture, [("".join((ends[0], between, ends[1])), Ink.DIM)]]


def _columns(counts: list[int], width: int) -> list[float]:
    """Return the counts spread over so many columns; none is lost."""
    if not counts:
        return [0.0] * width
    if width >= len(counts):
        return [float(counts[place * len(counts) // width]) for place in range(width)]
    columns = [0.0] * width
    for place, count in enumerate(counts):
        columns[place * width // len(counts)] += count
    return columns
