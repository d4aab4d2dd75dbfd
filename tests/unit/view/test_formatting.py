"""Figures as they are written: widths hold, what is missing is a dash, and no figure is cut to another one."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tui.view import formatting

ANY = st.one_of(st.none(), st.floats(), st.floats(0, 1e6))


@given(value=ANY, width=st.integers(1, 12), decimals=st.integers(0, 3))
@example(value=1.5e308, width=5, decimals=0)
def test_width_holds_and_the_figure_is_true(value: float | None, width: int, decimals: int) -> None:
    text = formatting.fixed(value, width, decimals)
    assert len(text) == width
    if value is None or not math.isfinite(value):
        assert text.strip() == formatting.MISSING
    elif set(text) != {"#"}:
        shown = float(text)
        coarse = 10 ** math.floor(math.log10(abs(value))) if "e" in text and value else 1.0
        assert abs(shown - value) <= max(0.5 * coarse, 1e-9) * 1.0000001


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: formatting.significant(0.2149), "0.21"),
        (lambda: formatting.significant(4.605), "4.61"),
        (lambda: formatting.significant(14.24), "14.2"),
        (lambda: formatting.significant(302.4), " 302"),
        (lambda: formatting.significant(9.996), "10.0"),
        (lambda: formatting.significant(None), "   –"),
        (lambda: formatting.per_second(7.44), "  7.4"),
        (lambda: formatting.per_second(512.4), "  512"),
        (lambda: formatting.milliseconds(0.0414), "  41"),
        (lambda: formatting.milliseconds(0.0004), " 0.4"),
        (lambda: formatting.gigabytes(38_200_000_000), "38.2"),
        (lambda: formatting.gigabytes(None), "   –"),
        (lambda: formatting.percent(0.434), " 43"),
        (lambda: formatting.count(188_640), "188,640"),
        (lambda: formatting.count(None), "–"),
        (lambda: formatting.hms(761), "00:12:41"),
        (lambda: formatting.hms(-5), "00:00:00"),
        (lambda: formatting.rough(40), "40 s"),
        (lambda: formatting.rough(412), "7 min"),
        (lambda: formatting.rough(7500), "2 h 05 min"),
        (lambda: formatting.rough(math.inf), "–"),
        (lambda: formatting.fixed(40.0, 1, 1), "#"),
    ],
)
def test_written_as(call, text: str) -> None:  # type: ignore[no-untyped-def]
    assert call() == text


def test_the_clock_does_not_run_faster_with_modelled_time() -> None:
    start = "2026-11-20T18:00:00+00:00"
    real = formatting.wall_clock(start, 0, 60 * 10**9)
    assert formatting.wall_clock(start, 0, 240 * 10**9, 4.0) == real
    assert formatting.wall_clock(start, 0, 60 * 10**9, 0.0) == real  # a damaged session file


def test_wall_clock_is_local_time_and_falls_back_to_elapsed() -> None:
    told = formatting.wall_clock("2026-11-20T18:04:00+00:00", 10**9, 12 * 10**9)
    assert re.fullmatch(r"\d\d:\d\d:11", told)
    assert formatting.wall_clock("no date", 10**9, 12 * 10**9) == "00:00:11"
    assert formatting.wall_clock("9999-12-31T23:59:59+00:00", 0, 10**18) == "277777:46:40"


def test_how_sure_a_figure_is() -> None:
    assert formatting.within(0.042) == "±4.2 %" and formatting.within(1.0) == "±100.0 %"
    assert formatting.within(35.95) == ">±100 %"
