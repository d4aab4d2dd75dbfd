"""A histogram as columns of eighth blocks over an axis of time that is even by the bin, not by the second. Pure."""

from __future__ import annotations

from textual.content import Content

from tui.metrics.distribution import Distribution
from tui.view.formatting import fixed, significant

HEIGHT = 4
_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8
_SCALE_CELLS = 8
"""What stands left of the columns."""
_WIDEST = 3
_LABEL_CELLS = 9


def histogram_lines(distribution: Distribution, width: int, style: str = "$accent") -> list[Content]:
    """Return the picture in at most `width` cells, its axis in ms; more bins than there is room for are joined.

    A bin that is not empty has at least the lowest block, however many the fullest has.
    """
    room = max(width - _SCALE_CELLS, 1)
    joined = -(-len(distribution.counts) // room)
    starts = range(0, len(distribution.counts), joined)
    edges_s = distribution.edges_s
    edges_s = [*(edges_s[start] for start in starts), edges_s[-1]]
    counts = [sum(distribution.counts[start : start + joined]) for start in starts]
    wide = max(1, min(_WIDEST, room // len(counts)))
    most = max(counts)
    rows = [
        Content.assemble(
            (
                f"{fixed(most, _SCALE_CELLS - 2) if row == 0 else ' ' * (_SCALE_CELLS - 2)} {'┤' if row == 0 else '│'}",
                "$text-muted",
            ),
            ("".join(_block(count, most, row) * wide for count in counts), style),
        )
        for row in range(HEIGHT)
    ]
    axis, labels = _axis(edges_s, wide)
    below = (f"{fixed(0, _SCALE_CELLS - 2)} ┼{axis}", " " * _SCALE_CELLS + labels)
    return [*rows, *(Content.styled(line, "$text-muted") for line in below)]


def _scale(count: int | None) -> str:
    return " " * (_SCALE_CELLS - 1) + "│" if count is None else f"{fixed(count, _SCALE_CELLS - 2)} ┤"


def _block(count: int, most: int, row: int) -> str:
    """Return what a column shows in one row, counted from the top."""
    if not count:
        return " "
    eighths = max(1, round(count / most * HEIGHT * _EIGHTHS))
    return _BLOCKS[min(max(eighths - (HEIGHT - 1 - row) * _EIGHTHS, 0), _EIGHTHS)]


def _axis(edges_s: list[float], wide: int) -> tuple[str, str]:
    """Return the axis with its ticks, and what stands below it: where bins begin, and where the last one ends."""
    length = (len(edges_s) - 1) * wide
    axis, labels = ["─"] * length, ""
    end = f"{significant(edges_s[-1] * 1e3, 0)} ms"
    for place, edge_s in enumerate(edges_s[:-1]):
        at, label = place * wide, significant(edge_s * 1e3, 0)
        if at == 0 or (at % _LABEL_CELLS < wide and len(labels) < at <= length - len(label) - len(end) - 1):
            axis[at] = "┴"
            labels = f"{labels:<{at}}{label}"
    return "".join(axis), f"{labels:<{max(len(labels) + 1, length - len(end))}}{end}"
