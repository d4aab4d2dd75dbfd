"""Charts by plotext: what lies where, in which ink, of which size, whatever there is to draw and whoever draws."""

from __future__ import annotations

import math
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.fakes.snapshot_parts import HOSTILE
from tui.view.plotting.plotted import TALLEST, WIDEST, Bar, Dot, Trace, bars, dots, traces
from tui.view.plotting.scale import round_ticks, tick
from tui.view.widgets.ascii import to_ascii
from tui.view.widgets.lines import Ink, Line, text_of, width_of

VALUES = st.one_of(
    st.floats(), st.floats(-1, 200), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0])
)
NAMES = st.one_of(st.just(""), st.text(max_size=30), st.sampled_from(HOSTILE))
DOTS = st.builds(Dot, VALUES, VALUES, st.sampled_from("▣●○"), st.sampled_from(list(Ink)), NAMES)


def inks_of(lines: list[Line], glyph: str) -> set[object]:
    return {paint for line in lines for text, paint in line if glyph in text}


@settings(max_examples=80, deadline=None)
@given(st.lists(DOTS, max_size=30), st.integers(-1, 130), st.integers(-1, 40), st.integers(0, 40))
def test_any_dots_at_any_size(shown: list[Dot], width: int, height: int, joined: int) -> None:
    lines = dots(shown, width, height, path=Ink.STEER, joined=joined)
    assert len(lines) in (0, height)
    assert all(width_of(line) <= width for line in lines)
    text = text_of(lines)
    assert not any(unicodedata.category(char) == "Cc" for char in text if char != "\n")
    assert to_ascii(text).isascii()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.builds(Bar, VALUES, st.sampled_from(list(Ink))), max_size=20), st.integers(-1, 130))
def test_any_bars_at_any_width(shown: list[Bar], width: int) -> None:
    lines = bars(shown, width)
    assert len(lines) in (0, len(shown) + 2)
    assert all(width_of(line) <= width for line in lines)


POINTS = st.lists(st.one_of(st.none(), st.tuples(VALUES, VALUES)), max_size=12).map(tuple)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.builds(Trace, POINTS, st.sampled_from(list(Ink)), NAMES), max_size=4),
    st.integers(-1, 130),
    st.integers(-1, 40),
    st.booleans(),
)
def test_any_curves_at_any_size(shown: list[Trace], width: int, height: int, doubling: bool) -> None:
    lines = traces(shown, width, height, doubling=doubling)
    assert len(lines) in (0, height)
    assert all(width_of(line) <= width for line in lines)
    text = text_of(lines)
    assert not any(unicodedata.category(char) == "Cc" for char in text if char != "\n")


def test_curves_lie_over_each_other_in_their_inks() -> None:
    rising = Trace(((1, 10.0), (2, 20.0), (4, 40.0)), Ink.STRONG, "A")
    flat = Trace(((1, 10.0), None, (4, 10.0)), Ink.TOTAL, "B")
    lines = traces([rising, flat], 45, 12, doubling=True)
    rows = text_of(lines).splitlines()
    assert rows[0].startswith("40┤") and rows[0].endswith("A")
    assert inks_of(lines, "A") == {Ink.STRONG} and inks_of(lines, "B") == {Ink.TOTAL}
    # Each doubling of the users takes as much room as the next.
    places = sorted(row.index("A") for row in rows if "A" in row)
    assert len(places) == 2 and abs((places[1] - 3) - 2 * (places[0] - 3)) <= 1  # the first is under B's
    assert rows[-1].split() == ["1", "2", "4"]
    assert traces([Trace((None,), Ink.TOTAL, "A")], 45, 12) == []


def test_dots_lie_where_they_belong_in_their_inks() -> None:
    lines = dots([Dot(0, 0, "○", Ink.DIM), Dot(10, 500, "●", Ink.GOOD), Dot(math.nan, 1, "▣", Ink.PLAIN)], 40, 12)
    rows = text_of(lines).splitlines()
    assert rows[0].startswith("500┤") and rows[0].endswith("●") and len(rows[0]) == 40
    assert rows[9].startswith("  0┤○")
    assert rows[11].split() == ["0", "5", "10"]
    assert "▣" not in "".join(rows)
    assert inks_of(lines, "●") == {Ink.GOOD} and inks_of(lines, "○") == {Ink.DIM}


def test_later_dots_cover_earlier_ones_and_the_path() -> None:
    path = [Dot(0, 10, "●", Ink.STEER), Dot(5, 5, "●", Ink.STEER), Dot(10, 0, "●", Ink.STEER)]
    lines = dots([Dot(5, 5, "○", Ink.FAILURE), *path], 40, 12, path=Ink.WARNING, joined=3)
    assert text_of(lines).count("●") == 3 and "○" not in text_of(lines)
    assert any(paint is Ink.WARNING for line in lines for _, paint in line)
    assert not any(paint is Ink.WARNING for line in dots(path, 40, 12) for _, paint in line)


def test_names_stand_beside_their_dots_and_over_no_other() -> None:
    shown = [Dot(0, 0, "○", Ink.DIM, "left"), Dot(10, 0, "○", Ink.DIM, "right"), Dot(5, 5, "○", Ink.DIM, "hidden")]
    beside = [Dot(5.4, 5, "●", Ink.DIM), Dot(4.6, 5, "●", Ink.DIM)]
    text = text_of(dots([*shown, *beside], 60, 12))
    assert "○ left" in text and "right ○" in text and "hidden" not in text


def test_bars_are_as_long_as_their_amounts() -> None:
    for count in range(1, 13):
        lines = bars([Bar(float(2**place), Ink.GOOD) for place in range(count)], 70)
        lengths = [text_of([line]).count("█") for line in lines[:count]]
        top = float(text_of(lines[-1:]).split()[-1].replace("k", "000"))
        assert lengths == sorted(lengths) and lengths[0] >= 1
        assert abs(lengths[-1] - 2 ** (count - 1) / top * 69) <= 4 or top < 2 ** (count - 1)
    assert text_of(bars([Bar(0.0, Ink.GOOD), Bar(3.0, Ink.OTHER)], 40)).splitlines()[0] == "│"
    assert inks_of(bars([Bar(1.0, Ink.GOOD), Bar(3.0, Ink.OTHER)], 40), "█") == {Ink.GOOD, Ink.OTHER}


def test_a_giant_terminal_gets_a_bounded_chart() -> None:
    lines = dots([Dot(1, 1, "●", Ink.GOOD)], 5000, 3000)
    assert len(lines) == TALLEST and max(map(width_of, lines)) == WIDEST


def test_threads_do_not_draw_into_each_other() -> None:
    def drawn(place: int) -> str:
        return text_of(dots([Dot(place + 1.0, 7.0, "●", Ink.GOOD, f"cell {place}")], 50 + place, 12))

    alone = [drawn(place) for place in range(24)]
    dots.__globals__["_dots"].cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(drawn, range(24))) == alone


def test_plotext_comes_with_the_first_chart_only() -> None:
    code = (
        "import sys, tui.view.screens.trade_offs; assert 'plotext' not in sys.modules\n"
        "from tui.view.plotting.plotted import Dot, dots\n"
        "from tui.view.widgets.lines import Ink\n"
        "assert dots([Dot(1, 1, 'x', Ink.DIM)], 40, 10) and 'plotext' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("top", "most", "shown"), [(800, 4, "0 200 400 600 800"), (1.5, 2, "0 1"), (6e6, 3, "0 2M 4M 6M")]
)
def test_ticks_are_round(top: float, most: int, shown: str) -> None:
    assert " ".join(map(tick, round_ticks(top, most))) == shown


@given(st.floats(1e-300, 1e15), st.integers(1, 40))
def test_ticks_stay_below_the_top_and_are_few(top: float, most: int) -> None:
    ticks = round_ticks(top, most)
    assert ticks[0] == 0 and ticks[-1] <= top * (1 + 1e-8) and len(ticks) <= most + 1
    assert all(cell_len(tick(value)) <= 6 for value in ticks)
