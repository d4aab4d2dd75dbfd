"""The pieces that panes are drawn from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.fakes.snapshot_parts import HOSTILE
from tui.core.outcome import Outcome
from tui.view.widgets import heat_map
from tui.view.widgets.ascii import to_ascii
from tui.view.widgets.bars import bar, filled, stacked
from tui.view.widgets.big_digits import ROWS, big
from tui.view.widgets.lines import (
    HEAT,
    Ink,
    Line,
    cells,
    cut,
    pack,
    plain,
    plain_end,
    spread,
    text_of,
    width_of,
    wrapped,
)
from tui.view.widgets.table import Column, row

TEXTS = st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE))


@given(text=TEXTS, width=st.integers(0, 80))
def test_text_from_outside_keeps_its_width_and_loses_its_controls(text: str, width: int) -> None:
    assert cell_len(cells(text, width)) == width
    assert cell_len(plain(text, width)) <= width
    assert cell_len(plain_end(text, width)) <= width
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


def test_values_that_are_nearly_alike_are_all_near_the_good_end() -> None:
    times, rates = heat_map.HeatScale([2.1, 2.2]), heat_map.HeatScale([100.0, 110.0], more_is_good=True)
    assert times.ink(2.1) is Ink.HEAT_0 and times.ink(2.2) in (Ink.HEAT_0, Ink.HEAT_1)
    assert rates.ink(110.0) is Ink.HEAT_0 and rates.ink(100.0) in (Ink.HEAT_0, Ink.HEAT_1)


def test_the_steps_of_a_scale_go_from_the_best_to_the_worst_value() -> None:
    steps = heat_map.HeatScale([1.0, 128.0]).steps
    assert [round(step.begin) for step in steps] == [1, 2, 4, 8, 16, 32, 64] and round(steps[-1].end) == 128
    steps = heat_map.HeatScale([1.0, 128.0], more_is_good=True).steps
    assert (round(steps[0].begin), steps[0].ink, round(steps[-1].end)) == (128, Ink.HEAT_0, 1)
    assert heat_map.HeatScale([]).steps == [] and len(heat_map.HeatScale([3.0, 3.0]).steps) == 1


@pytest.mark.parametrize(("value", "text"), [(0.21, "  0.21"), (6.0, "   6.0"), (18.52, "  18.5"), (1200.0, "  1200")])
def test_time_to_resolve_is_written_as_in_the_tables(value: float, text: str) -> None:
    assert heat_map.resolve(value, 6) == text


@given(texts=st.lists(TEXTS, min_size=3, max_size=3), width=st.integers(0, 50))
def test_table_row_never_goes_over_its_width(texts: list[str], width: int) -> None:
    columns = [Column("a", 6, right=True), Column("b", 12), Column("", 0)]
    assert width_of(row(columns, [(text, Ink.PLAIN) for text in texts], width)) <= width


def test_of_a_path_too_long_its_name_is_left() -> None:
    assert plain_end("~/.local/share/vramp/sessions/one.vramp", 12) == "…s/one.vramp"
    assert plain_end("one.vramp", 9) == "one.vramp"
