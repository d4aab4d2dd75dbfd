"""Where panes stand at each size: none over another, all of the room used, the grid seen wherever two panes are."""

from __future__ import annotations

import pytest
from textual.geometry import Region

from tui.view.panes.arrangement import DESIGNS, SHARED, Design, Need, design_for, regions
from tui.view.panes.catalogue import PANES
from tui.view.screens.cell_pane import CellPane

KEYS = [*(pane.KEY for pane in PANES), CellPane.KEY]
SIZES = [(60, 16), (80, 24), (99, 40), (100, 28), (115, 60), (116, 36), (120, 40), (170, 44), (200, 50), (300, 80)]


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((60, 16), "-single"),
        ((80, 24), "-single"),
        ((100, 30), "-pair"),
        ((120, 30), "-pair"),
        ((120, 40), "-two"),
        ((200, 50), "-three"),
        ((300, 80), "-four"),
        ((300, 40), "-two"),
    ],
)
def test_each_size_has_its_design(size: tuple[int, int], name: str) -> None:
    assert design_for(*size).name == name
    assert design_for(*size, maximised=True).name == "-single"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shared", ["1", "6", "7", "8"])
def test_panes_fill_the_room_and_none_lies_over_another(size: tuple[int, int], shared: str) -> None:
    design = design_for(*size)
    shared = shared if shared not in design.keys else next(key for key in KEYS if key not in design.keys)
    width, height = size[0], size[1] - 5
    places = regions(design, width, height, shared)
    assert set(places) == design.keys | (
        {shared} if any(SHARED in dict(one.places) for one in design.columns) else set()
    )
    assert sum(region.area for region in places.values()) == width * height
    whole = Region(0, 0, width, height)
    for key, region in places.items():
        assert whole.contains_region(region) and region.width >= 40 and region.height >= 7
        assert not any(region.overlaps(other) for name, other in places.items() if name != key)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_whatever_is_not_seen_can_be_reached_and_two_panes_show_the_grid(design: Design) -> None:
    places = [key for column in design.columns for key, _ in column.places]
    assert SHARED in places and places.count(SHARED) == 1
    assert len(places) == 1 or "4" in design.keys
    assert design.keys <= set(KEYS)


@pytest.mark.parametrize(("size", "rows"), [((80, 24), 0), ((96, 30), 3), ((120, 40), 3), ((200, 50), 4)])
def test_from_thirty_rows_on_there_is_a_headline(size: tuple[int, int], rows: int) -> None:
    assert design_for(*size).tile_rows == rows
    assert design_for(*size).figures is (rows == 0), "the figures are told once, by tiles or in a line"


def test_charts_that_stand_one_above_the_other_are_of_one_width() -> None:
    for size in ((120, 40), (200, 50), (300, 80)):
        places = regions(design_for(*size), size[0], size[1], "6")
        assert (places["1"].x, places["1"].width) == (places["2"].x, places["2"].width)


def test_each_pane_says_what_it_is_and_has_a_key_of_its_own() -> None:
    assert len({each.KEY for each in PANES}) == len({each.NAME for each in PANES}) == len(PANES)
    assert all(each.HELP and each.KEY in set("1234567") for each in PANES)


def test_a_pane_has_the_rows_it_wishes_where_the_others_of_its_column_can_spare_them() -> None:
    def rows(**needs: Need) -> dict[str, int]:
        by_key = {key.removeprefix("pane"): need for key, need in needs.items()}
        return {key: region.height for key, region in regions(design_for(120, 40), 120, 34, "6", by_key).items()}

    plain = rows()
    assert plain["4"] + plain["5"] + plain["6"] == 34
    assert rows(pane4=Need(wished=(22,)))["4"] == 22
    full = rows(pane4=Need(wished=(40, 22)), pane5=Need(least=7), pane6=Need(least=6))
    assert full == plain | {"4": plain["4"], "5": plain["5"], "6": plain["6"]}, "all of it or nothing"
    assert rows(pane4=Need(wished=(40, 21)), pane5=Need(least=7)) == plain | {"4": 21, "5": 7, "6": 6}
    assert rows(pane4=Need(wished=(3,))) == plain, "what it has already is not taken away"
