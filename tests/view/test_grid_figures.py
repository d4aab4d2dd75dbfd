"""The grid by another figure, and with a reference beside it."""

from __future__ import annotations

import msgspec
import pytest
from textual.geometry import Size

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import FIGURES
from tui.metrics.reference import Reference, cells_of_session
from tui.metrics.snapshot import Snapshot
from tui.metrics.terms import Terms
from tui.view.panes.grid import GridPane
from tui.view.panes.grid_cell import heavy
from tui.view.widgets.lines import HEAT, Ink, Over, text_of, width_of


def ends(pane: GridPane, snapshot: Snapshot) -> tuple[Ink, Ink]:
    """Return the inks of the first cell and of the last one that was measured."""
    rows = pane.lines(snapshot, 80, 30)[1:]
    inks = [ink for row in rows for text, ink in row if ink in HEAT and text.strip()]
    return inks[0], inks[-1]


def beside(snapshot: Snapshot, **changes: object) -> Snapshot:
    reference = Reference(name="earlier", cells=cells_of_session(snapshot.grid.cells), **changes)  # type: ignore[arg-type]
    return msgspec.structs.replace(snapshot, reference=reference)


def with_cell(snapshot: Snapshot, place: tuple[int, int], **changes: object) -> Snapshot:
    def changed(cell: CellResult) -> CellResult:
        same = (cell.users, cell.prompt_tokens) == place
        return msgspec.structs.replace(cell, **changes) if same else cell

    grid = msgspec.structs.replace(snapshot.grid, cells=[changed(cell) for cell in snapshot.grid.cells])
    return msgspec.structs.replace(snapshot, grid=grid)


async def test_a_key_goes_through_the_figures_and_back_to_the_first() -> None:
    snapshot = msgspec.structs.replace(snapshots.full_grid(), terms=Terms(price_per_hour=4.0, currency="EUR"))
    app = LiveApp(snapshot)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = next(pane for pane in app.live.panes if isinstance(pane, GridPane))
        await pilot.press("4")
        titles = []
        for _ in FIGURES:
            await pilot.press("c")
            await pilot.pause()
            titles.append(pane.title(snapshot))
        assert titles == [
            "grid · tokens/s per user · burst",
            "grid · tokens/s total · burst",
            "grid · TTFT p50, s · burst",
            "grid · TTFT p90, s · burst",
            "grid · goodput, requests/s · burst",
            "grid · cost per million tokens, EUR · burst",
            "grid · energy per output token, J · burst",
            "grid · time to resolve, s · burst",
        ]


def test_colours_go_the_way_of_the_figure() -> None:
    pane, snapshot = GridPane(), snapshots.full_grid()
    assert ends(pane, snapshot) == (HEAT[0], HEAT[-1])
    pane.figure = next(figure for figure in FIGURES if figure.field == "tokens_per_s_total")
    assert ends(pane, snapshot) == (HEAT[-1], HEAT[0])
    assert "more is good" in pane.subtitle(snapshot, Size(80, 30), 76)
    pane.figure = next(figure for figure in FIGURES if figure.field == "ttft_p50_s")
    assert ends(pane, snapshot)[0] is HEAT[0]
    assert "less is good" in pane.subtitle(snapshot, Size(80, 30), 76)


def test_an_earlier_session_gives_a_ratio_for_each_cell_of_the_figure_shown() -> None:
    earlier = snapshots.full_grid()
    now = with_cell(beside(earlier), (1, 31), time_to_resolve_s=6.2, tokens_per_s_total=16.1)
    pane = GridPane()
    text = text_of(pane.lines(now, 120, 40)).splitlines()
    assert "×2.00" in text[1] and "±0 %" in text[1]
    assert any("± against session earlier" in line for line in text)
    pane.figure = next(figure for figure in FIGURES if figure.field == "tokens_per_s_total")
    assert "−50 %" in text_of(pane.lines(now, 120, 40)).splitlines()[1]


def test_failed_against_measured_stands_out_both_ways() -> None:
    earlier = snapshots.full_grid()
    now = with_cell(
        beside(earlier), (1, 31), outcome=Outcome.ENGINE_DEAD, time_to_resolve_s=None, evidence="exit code 1"
    )
    failed = next(cell for cell in earlier.grid.cells if cell.outcome not in (Outcome.OK, Outcome.IMPLIED))
    place = (failed.users, failed.prompt_tokens)
    now = with_cell(now, place, outcome=Outcome.OK, time_to_resolve_s=9.9)
    pane = GridPane()
    lines = pane.lines(now, 120, 40)
    assert ("!", Ink.WARNING) in lines[1]
    text = text_of(lines)
    assert "was 3.1 " in text and "had failed" in text
    pane.picked = (1, 31)
    assert "failed here, was measured in session earlier" in text_of(pane.lines(now, 120, 40))
    pane.picked = place
    assert "measured here, had failed in session earlier" in text_of(pane.lines(now, 120, 40))


def test_other_conditions_are_told_under_the_grid_and_so_is_what_cannot_be_read() -> None:
    now = beside(snapshots.full_grid(), differs=["100 output tokens there, 50 here", "2 GPUs there, 1 here"])
    text = text_of(GridPane().lines(now, 120, 40))
    assert "conditions differ: 100 output tokens there, 50 here; 2 GPUs there, 1 here" in text
    assert GridPane().title(now).endswith("burst · other conditions in earlier")
    broken = msgspec.structs.replace(
        snapshots.full_grid(), reference=Reference(name="x", problem="nothing is laid beside: no such session")
    )
    assert "nothing is laid beside: no such session" in text_of(GridPane().lines(broken, 120, 40))


def inks_of(pane: GridPane, snapshot: Snapshot, width: int, height: int) -> dict[str, set[object]]:
    """Return the paints of each text that is drawn."""
    found: dict[str, set[object]] = {}
    for line in pane.lines(snapshot, width, height):
        for text, paint in line:
            found.setdefault(text.strip(), set()).add(paint)
    return found


def test_red_is_out_of_memory_alone_and_too_long_is_a_quiet_hatch() -> None:
    found = inks_of(GridPane(), snapshots.oom_grid(), 76, 12)
    assert found["OOM"] == found["OOM kv"] == {heavy(Ink.HEAT_FAILED)}
    assert {paint for text in ("timeout", "dead") for paint in found[text]} == {Over(Ink.WARNING, Ink.HEAT_OPEN)}
    assert "too long" not in found and "long" not in found
    assert any(set(text) == {"░"} and paints == {Ink.HEAT_OPEN} for text, paints in found.items() if text)


def test_a_size_that_is_too_long_is_so_for_users_beside_the_axis_too() -> None:
    snapshot = snapshots.oom_grid()
    grid = msgspec.structs.replace(snapshot.grid, users=sorted([*snapshot.grid.users, 3]))
    pane, beside_axis = GridPane(), msgspec.structs.replace(snapshot, grid=grid)
    (row,) = (line for line in text_of(pane.lines(beside_axis, 76, 14)).splitlines() if line.startswith("    3 "))
    assert row.split()[1:] == ["·"] * (len(grid.prompt_tokens) - 1) + ["░" * 9]
    pane.picked = (3, 2193)
    assert "\n3 × 2193  too-long" in text_of(pane.lines(beside_axis, 76, 14))


def test_the_scale_is_told_in_its_colours_with_figures_and_unit() -> None:
    pane, snapshot = GridPane(), snapshots.full_grid()
    (scale,) = (line for line in pane.lines(snapshot, 70, 30) if line[0][0].startswith("scale"))
    steps = [(text.strip(), paint) for text, paint in scale[1:8]]
    assert [paint for _, paint in steps] == [heavy(ink) for ink in HEAT]
    assert steps[0][0] == "3.1" and scale[8][0] == " 21.5 s"
    pane.figure = next(figure for figure in FIGURES if figure.field == "tokens_per_s_total")
    (scale,) = (line for line in pane.lines(snapshot, 70, 30) if line[0][0].startswith("scale"))
    assert scale[1][0].strip() == "692" and scale[8][0] == " 24.4 tokens/s"


def test_more_room_tells_more_of_each_cell_and_the_best_and_the_present_are_framed() -> None:
    snapshot = msgspec.structs.replace(snapshots.sweeping(), reference=None)
    bare = [msgspec.structs.replace(cell, reference_s=None) for cell in snapshot.grid.cells]
    snapshot = msgspec.structs.replace(snapshot, grid=msgspec.structs.replace(snapshot.grid, cells=bare))

    def cell(width: int, height: int) -> list[str]:
        lines = text_of(GridPane().lines(snapshot, width, height)).splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("    8"))
        return [line[6 : 6 + (width - 6) // 7].strip(" ▐▌") for line in lines[start : start + 4]]

    assert cell(58, 11)[0] == "3.8"
    assert cell(78, 12)[0].split() == ["3.8", "211"]
    assert cell(90, 22)[:2] == ["3.8 s", "211 tok/s"]
    assert cell(100, 42)[:3] == ["3.8 s", "211 tok/s", "TTFT 0.30 s"] and set(cell(100, 42)[3]) == {"━", "─"}
    lines = GridPane().lines(snapshot, 90, 22)
    assert all(width_of(line) <= 90 for line in lines)
    assert next(text for line in lines for text, paint in line if paint is Ink.GOOD) == "╔╗", "the legend"
    assert "▐" in text_of(GridPane().lines(snapshot, 58, 11)), "one line has marks at its sides"


@pytest.mark.parametrize(("width", "height"), [(56, 20), (90, 22), (100, 42)])
def test_cells_of_several_lines_have_a_frame_all_around_that_costs_none(width: int, height: int) -> None:
    pane, snapshot = GridPane(), snapshots.sweeping()
    rows = text_of(pane.lines(snapshot, width, height)).splitlines()
    top, bottom = (next(row for row in rows if mark in row) for mark in ("╔", "╚"))
    at, end = top.index("╔"), top.index("╗")
    assert bottom.index("╚") == at and bottom.index("╝") == end
    assert "═" in top[at:end] + bottom[at:end] and any(char.isdigit() for char in top[at:end])
    assert all(row[at] == row[end] == "║" for row in rows[rows.index(top) + 1 : rows.index(bottom)])
    present = next(row for row in rows if "┏" in row)
    assert present.startswith("   16") and "┓" in present
    pane.picked = (1, 31)
    assert "▸" in text_of(pane.lines(snapshot, width, height)).splitlines()[1]


def test_columns_use_the_whole_width_and_cells_of_all_of_them_tell_the_same() -> None:
    snapshot = msgspec.structs.replace(snapshots.full_grid(), reference=None)
    bare = [msgspec.structs.replace(cell, reference_s=None) for cell in snapshot.grid.cells]
    snapshot = msgspec.structs.replace(snapshot, grid=msgspec.structs.replace(snapshot.grid, cells=bare))
    for width in range(50, 130):
        lines = GridPane().lines(snapshot, width, 22)
        assert width_of(lines[1]) == width, "the last column ends at the pane's edge"
        row = text_of([lines[2]]).split()
        assert len({word for word in row if not word[0].isdigit()}) <= 1, "a unit stands in all cells or in none"


@pytest.mark.parametrize("height", range(16, 40))
async def test_below_a_grid_alone_stands_its_whole_title_and_no_mark_that_it_does_not_use(height: int) -> None:
    app = LiveApp(snapshots.sweeping())
    async with app.run_test(size=(80, height)) as pilot:
        await pilot.press("4", "m") if height > 30 else await pilot.press("4")
        await pilot.pause()
        pane = next(pane for pane in app.live.panes if isinstance(pane, GridPane))
        rows = app.picture().splitlines()
        below = next((row for row in rows if row.strip().startswith("grid · ")), "")
        assert below or height < 16
        assert f"{pane.title(app.live.snapshot)}  " in below  # type: ignore[arg-type]
        told = " ".join(rows)
        assert not ("┏┓ now" in told and "[ ] now" in told)
