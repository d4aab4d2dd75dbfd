"""The pieces that panes are drawn from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.fakes.snapshot_parts import HOSTILE
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.reading import SeriesPoint
from tui.view.widgets import heat_map
from tui.view.widgets.ascii import to_ascii
from tui.view.widgets.axes import named, round_top, scaled, tick, time_line
from tui.view.widgets.bars import bar, filled, stacked
from tui.view.widgets.big_digits import ROWS, big
from tui.view.widgets.history import history
from tui.view.widgets.lines import HEAT, Ink, Line, cells, cut, pack, plain, spread, text_of, width_of, wrapped
from tui.view.widgets.table import Column, row
from tui.view.widgets.time_window import WINDOW_S, TimeWindow

TEXTS = st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE))


@given(text=TEXTS, width=st.integers(0, 80))
def test_text_from_outside_keeps_its_width_and_loses_its_controls(text: str, width: int) -> None:
    assert cell_len(cells(text, width)) == width
    assert cell_len(plain(text, width)) <= width
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in plain(text, width))


@given(text=TEXTS, width=st.integers(1, 60), indent=st.integers(0, 4))
def test_wrapping_loses_nothing_but_blanks(text: str, width: int, indent: int) -> None:
    lines = wrapped(text, width + indent + 1, indent=indent)
    assert all(width_of(line) <= width + indent + 1 for line in lines)
    shown = "".join(part for line in lines for part, _ in line)
    assert "".join(shown.split()) == "".join(plain(text).split())  # blanks of all kinds


@given(text=TEXTS)
def test_ascii_is_ascii_in_as_many_cells(text: str) -> None:
    shown = to_ascii(plain(text))
    assert shown.isascii()
    assert len(shown) == cell_len(plain(text))


@given(left=TEXTS, right=TEXTS, width=st.integers(0, 60))
def test_lines_fill_their_width(left: str, right: str, width: int) -> None:
    line = spread([(plain(left), Ink.PLAIN)], [(plain(right), Ink.DIM)], width)
    assert width_of(line) == width
    assert width_of(cut(line, width // 2)) == width // 2


def test_parts_that_have_no_room_are_left_out_whole() -> None:
    parts: list[Line] = [[("aaaa", Ink.PLAIN)], [("bbbbbbbbbb", Ink.PLAIN)], [("cc", Ink.PLAIN)]]
    assert text_of([pack(parts, 10, gap=2)]) == "aaaa  cc\n"


@pytest.mark.parametrize(
    ("share", "width", "full"),
    [
        (None, 10, 0),
        (0.0, 10, 0),
        (0.001, 10, 1),
        (0.5, 10, 5),
        (0.999, 10, 9),
        (1.0, 10, 10),
        (7.0, 10, 10),
        (0.5, 0, 0),
    ],
)
def test_bar_is_empty_or_full_only_when_it_is_true(share: float | None, width: int, full: int) -> None:
    assert filled(share, width) == full
    assert width_of(bar(share, width)) == width


@given(parts=st.lists(st.floats(), max_size=4), total=st.floats(), width=st.integers(0, 60))
def test_stacked_bar_keeps_its_width(parts: list[float], total: float, width: int) -> None:
    assert width_of(stacked([(part, "█", Ink.KV) for part in parts], total, width)) == width


def test_history_rises_from_the_lower_left_to_the_upper_right() -> None:
    assert history([0, 1, 2, 3], 3, 2, 1) == ["⡠⠊"]
    assert history([3, 3, 3, 3], 3, 2, 2) == ["⠉⠉", "  "]
    assert history([1, None, math.nan, 1], 1, 2, 1) == ["⠁⠈"]


def test_history_joins_a_jump_by_a_stroke() -> None:
    assert history([0, 3], 3, 1, 1) == ["⡸"]


@given(
    values=st.lists(st.one_of(st.none(), st.floats()), max_size=90), top=st.floats(0, 1e9), width=st.integers(-1, 40)
)
def test_history_has_its_size_whatever_the_values(values: list[float | None], top: float, width: int) -> None:
    rows = history(values, top, width, 4)
    assert all(len(line) == width for line in rows)
    assert len(rows) == (4 if width > 0 else 0)


@given(highest=st.one_of(st.none(), st.floats()))
def test_scale_covers_the_highest_value(highest: float | None) -> None:
    top = round_top(highest)
    assert top > 0
    if highest is not None and math.isfinite(highest):
        assert top * (1 + 1e-6) >= highest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "   1"),
        (0.5, " 0.5"),
        (1500.0, "1500"),
        (20_000.0, " 20k"),
        (2e9, " 2e9"),
        (0.0, "   0"),
        (0.075, ".075"),
        (7.5, " 7.5"),
        (2e6, "  2M"),
        (1e-5, "1e-5"),
    ],
)
def test_tick_keeps_to_four_cells(value: float, text: str) -> None:
    assert tick(value) == text


def test_scale_names_top_and_middle_of_odd_heights() -> None:
    rows: list[Line] = [[("     ", Ink.PLAIN)] for _ in range(5)]
    text = text_of(named(scaled(rows, 8), "E2E"))
    assert [line[:6] for line in text.splitlines()] == ["   8 ┤", "     │", "   4 ┤", "     │", "     │"]
    assert "E2E" in text.splitlines()[0]


@given(width=st.integers(6, 200), window_s=st.integers(1, 5000))
def test_time_line_fills_its_width(width: int, window_s: int) -> None:
    assert width_of(time_line(width, window_s)) == width


def test_big_digits_are_five_rows_of_one_width() -> None:
    rows = big("512", wide=2)
    assert len(rows) == ROWS
    assert {len(one) for one in rows} == {3 * 6 + 2 * 2}
    assert len(big("8", wide=4, tall=2)) == 2 * ROWS


def test_every_outcome_has_a_word_that_fits_every_cell() -> None:
    for outcome in Outcome:
        for width in (4, 8):
            word = heat_map.word(outcome, width) if outcome is not Outcome.OK else "ok"
            assert word.strip() and word != "?" and len(word) <= width


def test_heat_goes_from_the_least_to_the_greatest() -> None:
    scale = heat_map.HeatScale([1.0, 100.0, None, math.nan])
    assert scale.ink(1.0) is Ink.HEAT_0
    assert scale.ink(10.0) is HEAT[len(HEAT) // 2]
    assert scale.ink(100.0) is HEAT[-1]
    assert scale.ink(None) is Ink.HEAT_OPEN
    assert heat_map.HeatScale([]).ink(3.0) is Ink.HEAT_0


@pytest.mark.parametrize(("value", "text"), [(0.21, "  0.21"), (6.0, "   6.0"), (18.52, "  18.5"), (1200.0, "  1200")])
def test_time_to_resolve_is_written_as_in_the_tables(value: float, text: str) -> None:
    assert heat_map.resolve(value, 6) == text


@given(texts=st.lists(TEXTS, min_size=3, max_size=3), width=st.integers(0, 50))
def test_table_row_never_goes_over_its_width(texts: list[str], width: int) -> None:
    columns = [Column("a", 6, right=True), Column("b", 12), Column("", 0)]
    assert width_of(row(columns, [(text, Ink.PLAIN) for text in texts], width)) <= width


@pytest.mark.parametrize("ink", [Ink.STRONG, Ink.STEER])
def test_a_charts_name_stays_where_a_curve_runs_over_it(ink: Ink) -> None:
    rows: list[Line] = [[("⣀" * 30, ink)] for _ in range(3)]
    first = text_of(named(scaled(rows, 8), "E2E")).splitlines()[0]
    assert first == "   8 ┤ E2E " + "⣀" * 25


@pytest.mark.parametrize("columns", [16, 51, 52, 70, 190])
def test_every_chart_shows_the_same_time_whatever_its_width(columns: int) -> None:
    now_ns = 5_761 * NS_PER_S
    window = TimeWindow.until(now_ns, columns)
    assert window.dot_of(now_ns) in (2 * columns - 2, 2 * columns - 1)
    shown_s = (window.end_ns - window.low_ns) / NS_PER_S
    assert shown_s == pytest.approx(WINDOW_S, rel=0.001)
    assert window.dot_of(now_ns - (WINDOW_S + 8) * NS_PER_S) is None
    points = [
        SeriesPoint(at_ns=now_ns - ago * NS_PER_S, users_wanted=1, users_active=1, in_flight=1, prompt_tokens=31)
        for ago in range(WINDOW_S + 5, -1, -1)
    ]
    by_dot = window.by_dot(points)
    known = [place for place, point in enumerate(by_dot) if point is not None]
    assert known == list(range(known[-1] + 1)), "no hole where a point came each second"
    later = TimeWindow.until(now_ns + WINDOW_S * NS_PER_S // columns, columns)
    assert later.by_dot(points)[: known[-1] - 4] == by_dot[2 : known[-1] - 2], "all moves by whole cells"


def test_a_second_without_a_point_is_a_hole() -> None:
    window = TimeWindow.until(100 * NS_PER_S, 120)
    point = SeriesPoint(at_ns=90 * NS_PER_S, users_wanted=1, users_active=1, in_flight=1, prompt_tokens=31)
    assert [one for one in window.by_dot([point]) if one is not None] == [point, point]
