"""A bench whose cells have no verdict, no interval and no edge, to see what these cost."""

from __future__ import annotations

from typing import Any

from tui.bench import bench, cell_results
from tui.metrics.precision import Precision
from tui.metrics.summary import CellSummary


def judge_nothing() -> None:
    """Take out of this process what judges cells."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def none_known(*_: Any, **__: Any) -> list[Any]:
        return []

    cell_results.verdict_of = nothing
    cell_results.edges = none_known
    bench.edges = bench.must_queue = none_known
    CellSummary.precision = lambda self, now_ns, **_: Precision()
    CellSummary.add_tokens = nothing
