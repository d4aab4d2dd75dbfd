"""Nothing that a run can produce stops a chart, and no colour or control character comes out of one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui.view.plotting import plotext_backend
from tui.view.plotting.spec import LARGEST, MOST_DOTS, ChartSpec, curve, dots, finite_runs
from tui.view.widgets.lines import Ink, text_of

Point = tuple[float | None, float | None]
VALUES = st.one_of(
    st.none(),
    st.floats(),
    st.floats(-1, 200),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0]),
)
POINTS = st.lists(st.tuples(VALUES, VALUES), max_size=60)


class Drawer:
    """The process that draws."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.view.draw_charts"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )

    def draw(self, asked: dict[str, object]) -> list[int]:
        """Return the widths of the rows; fails when the process died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the drawing process died with {self._process.wait()} over {asked}"
        widths: list[int] = json.loads(answer)
        return widths

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def drawer() -> Iterator[Drawer]:
    process = Drawer()
    yield process
    process.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=POINTS,
    width=st.integers(-1, 130),
    height=st.integers(-1, 40),
    window=st.sampled_from([(0.0, 100.0), (-5.0, 5.0), (0.0, 0.0), (7.0, 3.0), (1e9, 1e9 + 240)]),
    top=st.sampled_from([0.0, 1e-9, 0.5, 8.0, 1e12]),
)
def test_any_values_at_any_size(
    drawer: Drawer, points: list[Point], width: int, height: int, window: tuple[float, float], top: float
) -> None:
    asked = {"points": points, "width": width, "height": height, "x_low": window[0], "x_high": window[1], "top": top}
    widths = drawer.draw(asked)
    assert len(widths) in (0, height)
    assert all(one <= width for one in widths)


@given(points=POINTS)
def test_runs_are_finite_and_keep_every_good_point_in_order(points: list[Point]) -> None:
    def good(point: Point) -> bool:
        return all(value is not None and math.isfinite(value) and abs(value) <= LARGEST for value in point)

    runs = finite_runs(points)
    assert [point for run in runs for point in run] == [point for point in points if good(point)]
    assert all(runs)
    assert len(runs) <= sum(not good(point) for point in points) + 1


def test_hole_splits_a_line() -> None:
    assert finite_runs([(0, 1), (1, 2), (2, None), (3, 4)]) == (((0, 1), (1, 2)), ((3, 4),))


def test_points_are_limited() -> None:
    many = [(float(x), 1.0) for x in range(50_000)]
    line = curve(many, 60, Ink.STRONG)
    assert sum(len(run) for run in line.runs) <= 2 * 60 + 3
    assert line.runs[0][0] == (0.0, 1.0) and line.runs[0][-1] == (49_999.0, 1.0)
    assert len(dots(many, Ink.FAINT).runs[0]) == MOST_DOTS


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    spec = ChartSpec(
        series=(curve([(float(x), float(x)) for x in range(101)], 60, Ink.STRONG),), x_low=0, x_high=100, top=100
    )
    rows = text_of([list(row) for row in plotext_backend.draw(spec, 40, 8)]).splitlines()
    assert len(rows) == 8
    assert rows[0].strip() and len(rows[0]) == 40
    assert rows[-1][0] != " " and len(rows[-1].strip()) < 10
    starts = [len(row) - len(row.lstrip()) for row in rows]
    assert starts == sorted(starts, reverse=True)


def test_inks_come_back_and_escape_sequences_do_not() -> None:
    spec = ChartSpec(
        series=(dots([(10.0, 1.0)], Ink.FAINT), curve([(60.0, 5.0), (90.0, 5.0)], 60, Ink.STRONG)),
        x_low=0,
        x_high=100,
        top=8,
    )
    drawn = plotext_backend.draw(spec, 40, 8)
    inks = {ink for row in drawn for text, ink in row if text.strip()}
    assert inks == {Ink.FAINT, Ink.STRONG}
    assert not any("\x1b" in text for row in drawn for text, _ in row)


def test_same_chart_is_drawn_once() -> None:
    spec = ChartSpec(series=(dots([(1.0, 1.0)], Ink.FAINT),), x_low=0, x_high=10, top=2)
    assert plotext_backend.draw(spec, 20, 4) is plotext_backend.draw(spec, 20, 4)


def test_without_plotext_there_are_no_charts_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotext_backend, "plotext", None)
    spec = ChartSpec(series=(dots([(1.0, 1.5)], Ink.FAINT),), x_low=0, x_high=10, top=2)
    assert plotext_backend.draw(spec, 21, 4) == ()
    assert not plotext_backend.available()
