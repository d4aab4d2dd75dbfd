"""Where panes stand: what each says of itself is all there is to it."""

import pytest

from tui.view.panes.arrangement import rows_in_three_columns, seen_in_two_columns
from tui.view.panes.catalogue import PANES
from tui.view.panes.pane import Pane


def pane(key: str, column: int) -> type[Pane]:
    class Added(Pane):
        KEY = key
        NAME = key
        COLUMN = column
        HELP = ""

    return Added


def keys(panes: list[type[Pane]]) -> str:
    return "".join(each.KEY for each in panes)


def test_a_grid_of_three_columns_is_filled_by_rows_and_short_columns_begin_tall() -> None:
    rows = rows_in_three_columns(PANES)
    assert keys(list(rows)) == "1243756"
    assert {each.KEY for each, span in rows.items() if span == 2} == {"2", "4"}
    assert set(rows.values()) == {1, 2}


def test_an_eighth_pane_makes_its_column_as_long_as_the_longest() -> None:
    rows = rows_in_three_columns([*PANES, pane("8", 3)])
    assert keys(list(rows)) == "12436758"
    assert {each.KEY for each, span in rows.items() if span == 2} == {"2"}


@pytest.mark.parametrize(("active", "seen"), [(0, "123456"), (5, "123456"), (6, "123457"), (7, "123458")])
def test_two_columns_have_six_places_and_the_active_pane_has_one(active: int, seen: str) -> None:
    panes = [*PANES, pane("8", 2)]
    assert keys(seen_in_two_columns(panes, panes[active])) == seen


def test_few_panes_are_all_seen() -> None:
    panes = list(PANES[:3])
    assert seen_in_two_columns(panes, panes[1]) == panes


def test_each_pane_says_what_it_is_and_has_a_key_of_its_own() -> None:
    assert len({each.KEY for each in PANES}) == len({each.NAME for each in PANES}) == len(PANES)
    assert all(each.HELP and each.KEY in set("123456789") and each.COLUMN in (1, 2, 3) for each in PANES)
