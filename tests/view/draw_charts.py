"""Draws the charts that come in on standard input, one JSON line each; in a process of its own, should plotext die.

python -m tests.view.draw_charts
"""

from __future__ import annotations

import json
import sys

from tui.view.plotting.plotext_backend import draw
from tui.view.plotting.spec import ChartSpec, curve, dots
from tui.view.widgets.lines import Ink, width_of


def main() -> None:
    """Answer each line with the widths of what was drawn."""
    for line in sys.stdin:
        asked = json.loads(line)
        points, width, height = asked["points"], asked["width"], asked["height"]
        spec = ChartSpec(
            series=(dots(points, Ink.FAINT), curve(points, max(1, width), Ink.STRONG)),
            x_low=asked["x_low"],
            x_high=asked["x_high"],
            top=asked["top"],
        )
        drawn = draw(spec, width, height)
        sys.stdout.write(json.dumps([width_of(list(row)) for row in drawn]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
