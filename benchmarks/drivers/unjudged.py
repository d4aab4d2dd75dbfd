"""A bench whose cells have no verdict, no interval and no edge, to see what these cost."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from tui.bench import bench, cell_results
from tui.metrics.precision import Precision
from tui.metrics.summary import CellSummary


def judge_nothing() -> None:
    """Take out of this process what judges cells."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def none_known(*_: Any, **__: Any) -> list[Any]:
        return []

    def unknown(*_: Any, **__: Any) -> Precision:
        return Precision()

    patch.multiple(cell_results, verdict_of=nothing, edges=none_known).start()
    patch.multiple(bench, edges=none_known, must_queue=none_known).start()
    patch.multiple(CellSummary, precision=unknown, add_tokens=nothing).start()
