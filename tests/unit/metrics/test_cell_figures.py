"""The figures by which cells are compared, and the heat scale that they are coloured by."""

from __future__ import annotations

import math

import msgspec
import pytest

from tests.fakes.snapshot_parts import cell
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import FIGURES, CellFigure
from tui.metrics.reference import ReferenceCell
from tui.view.widgets.heat_map import HeatScale
from tui.view.widgets.lines import HEAT, Ink

GOOD, BAD = HEAT[0], HEAT[-1]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.field)
def test_cells_and_references_have_every_figure(figure: CellFigure) -> None:
    assert {figure.field} <= {*CellResult.__struct_fields__} & {*ReferenceCell.__struct_fields__}
    known = msgspec.structs.replace(cell(1, 31), **{figure.field: 2.0})
    assert figure.of(known) == 2.0
    assert figure.of(msgspec.structs.replace(known, **{figure.field: math.inf})) is None
    assert figure.of(None) is None


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.field)
def test_the_good_end_of_the_scale_is_that_of_the_figure(figure: CellFigure) -> None:
    scale = HeatScale([1.0, 3.0, 100.0], more_is_good=figure.more_is_good)
    best, worst = (100.0, 1.0) if figure.more_is_good else (1.0, 100.0)
    assert (scale.ink(best), scale.ink(worst)) == (GOOD, BAD)
    rate_like = figure.field in (
        "tokens_per_s_per_user",
        "tokens_per_s_total",
        "goodput_requests_per_s",
    )
    assert figure.more_is_good is rate_like


def test_nothing_at_all_is_beyond_the_least() -> None:
    assert HeatScale([0.0, 1.0, 9.0], more_is_good=True).ink(0.0) is BAD
    assert HeatScale([0.0, 1.0, 9.0]).ink(0.0) is GOOD
    assert HeatScale([5.0, 5.0], more_is_good=True).ink(5.0) is GOOD
    assert HeatScale([1.0]).ink(None) is HeatScale([1.0]).ink(math.nan) is Ink.HEAT_OPEN
