"""Charts by eighths of blocks: whatever the values, they keep their size, and what they say is true."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import distributions, series
from tests.view.wire_app import moving
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.reading import SeriesPoint
from tui.metrics.snapshot import ServerDeath, Snapshot
from tui.metrics.trend import Trend
from tui.view.colours.paint import Ink, Over, Tone
from tui.view.plotting.area import EIGHTHS, area
from tui.view.plotting.histogram import histogram
from tui.view.plotting.lane import LABEL_CELLS, SCALE_CELLS, Curve, lane, lanes, plot_cells, time_rule
from tui.view.plotting.scale import round_top, tick
from tui.view.plotting.seen import Mark, Seen
from tui.view.plotting.time_window import TimeWindow
from tui.view.widgets.lines import Line, shaded, text_of, width_of

VALUE = st.one_of(
    st.none(), st.floats(), st.floats(0, 200), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0])
)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def curve(values: Sequence[float | None], **more: object) -> Curve:
    return Curve("total", Ink.TOTAL, values, "2,280", **more)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(VALUE, min_size=20, max_size=20),
    upper=st.lists(VALUE, max_size=20),
    dots=st.lists(st.tuples(st.floats(-5, 40), VALUE.filter(lambda value: value is not None)), max_size=20),
    rows=st.integers(0, 9),
    limit=st.one_of(st.none(), st.floats(1e-9, 1e9)),
    column=st.integers(-3, 40),
)
def test_any_values_at_any_height(
    values: list[float | None],
    upper: list[float | None],
    dots: list[tuple[float, float]],
    rows: int,
    limit: float | None,
    column: int,
) -> None:
    width = 20 + SCALE_CELLS + LABEL_CELLS + 1
    of = curve(values, upper=upper, dots=tuple(dots), limit=limit, limit_words="SLO 1 s")
    drawn = lane(of, width, rows, [Mark(column, Ink.FAILURE, "OOM"), Mark(column + 2, Ink.RULE)], named_marks=True)
    assert len(drawn) == rows
    assert all(width_of(line) <= width for line in drawn)
    assert all(width_of(line) >= width - LABEL_CELLS - 1 for line in drawn)


@given(value=st.floats(0.001, 1), rows=st.integers(1, 8))
def test_a_value_stands_as_high_as_it_is(value: float, rows: int) -> None:
    cells = [row[0] for row in area([value], 1.0, rows, Ink.TOTAL)]
    eighths = 0
    for text, paint in cells:
        if isinstance(paint, Tone) or text == "█" or (isinstance(paint, Over) and paint.back is Ink.TOTAL):
            eighths += 8
        else:
            eighths += EIGHTHS.index(text)
    assert eighths == max(1, round(value * rows * 8))


def test_the_edge_is_bright_and_the_area_below_darkens() -> None:
    column = [row[0] for row in area([1.0], 1.0, 5, Ink.E2E)]
    assert column[0] == ("▅", Over(Tone(Ink.E2E, 0), Ink.E2E))
    steps = [paint.step for _, paint in column[1:] if isinstance(paint, Tone)]
    assert len(steps) == 4 and steps == sorted(set(steps))


def test_where_areas_are_shaded_edges_are_whole_and_blanks_stay_blank() -> None:
    tone = Tone(Ink.E2E, 3)
    line: Line = [("▅▂", Over(tone, Ink.E2E)), ("▂▁  ", Over(tone, None)), ("░", tone), ("x", Ink.DIM)]
    assert shaded([("⠁⠂", Over(Ink.ON_EDGE, Ink.E2E))]) == [("██", Ink.E2E)]
    assert shaded(line) == [("██", Ink.E2E), ("░░  ", tone), ("░", tone), ("x", Ink.DIM)]


def test_a_band_lies_between_the_curve_and_its_upper_end() -> None:
    column = [row[0] for row in area([1.0], 4.0, 4, Ink.E2E, band=[3.0])]
    assert [isinstance(paint, Tone) for _, paint in column] == [False, True, True, False]
    assert column[0] == (" ", Ink.PLAIN)


def test_name_and_value_stand_beside_the_end_of_the_curve_and_never_over_it() -> None:
    for height in (0.0, 0.2, 0.5, 1.0):
        drawn = texts(lane(curve([1.0] * 10 + [height] * 10), 35, 6))
        right = [line[SCALE_CELLS + 21 :].strip() for line in drawn]
        at = right.index("total")
        assert right[at + 1] == "2,280"
        assert all(len(line[: SCALE_CELLS + 20].rstrip()) <= SCALE_CELLS + 20 for line in drawn)


def test_a_limit_is_dashed_with_its_words_and_one_that_is_far_above_is_named_only() -> None:
    near = texts(lane(curve([0.3] * 30, limit=0.5, limit_words="SLO 0.5 s"), 45, 6))
    assert any("╌ SLO 0.5 s ╌" in line for line in near)
    far = texts(lane(curve([0.3] * 30, limit=5.0, limit_words="SLO 5 s"), 45, 6))
    assert not any("╌" in line for line in far)
    assert any("SLO 5 s is above" in line for line in far)


def test_every_point_outside_the_edge_is_seen() -> None:
    dots = tuple((place + 0.25, 7.0) for place in range(20))
    drawn = lane(curve([4.0] * 20, dots=dots), 35, 8)
    shown = [char for text, _ in (span for line in drawn for span in line) for char in text if "⠀" < char <= "⣿"]
    assert len(shown) == 20


def test_a_point_on_the_edge_is_seen_on_it() -> None:
    for height in (0.05, 0.33, 0.5, 0.61, 0.77, 1.0):
        drawn = lane(curve([height] * 20, upper=[height] * 20, dots=((3.2, height), (9.7, height))), 35, 8)
        seen = [paint for line in drawn for text, paint in line if any("⠀" < char <= "⣿" for char in text)]
        assert len(seen) == 2 and len(set(seen)) == 1
    full = lane(curve([0.94] * 20, dots=((3.2, 0.93),)), 35, 8)
    assert Over(Ink.ON_EDGE, Ink.TOTAL) in [paint for line in full for _, paint in line]


def test_a_failed_request_is_a_cross_over_whatever_stands_on_the_time_line() -> None:
    everywhere = frozenset(range(20))
    width = 20 + SCALE_CELLS + LABEL_CELLS + 1
    assert text_of([time_rule(width, 60, everywhere)]).strip() == "✕" * 20


def rules(snapshot: Snapshot, ink: Ink) -> int:
    width = 80
    seen = Seen(snapshot, plot_cells(width))
    drawn = lanes([(curve([None] * plot_cells(width)), 3)], width, seen.marks())
    return sum(len(text) for line in drawn for text, paint in line if paint is ink and set(text) <= set("│╎"))


def test_rules_stand_where_users_change_where_memory_gave_out_and_where_the_server_was_back() -> None:
    base = snapshots.mid_ramp()
    now_ns = base.series[-1].at_ns
    steady = [msgspec.structs.replace(point, users_wanted=8, users_active=8) for point in base.series]
    still = msgspec.structs.replace(base, series=steady, trend=[])
    assert rules(still, Ink.RULE) == rules(still, Ink.FAILURE) == 0
    stepped = [*steady[:60], *(msgspec.structs.replace(point, users_wanted=16) for point in steady[60:])]
    assert rules(msgspec.structs.replace(still, series=stepped), Ink.RULE) == 3
    death = ServerDeath(at_ns=now_ns - 49 * NS_PER_S, outcome=Outcome.OOM_RUNTIME, cause="out of memory")
    gone = msgspec.structs.replace(still, series=steady[:70], deaths=[death])
    assert rules(gone, Ink.FAILURE) == 2 and rules(gone, Ink.GOOD) == 0
    back = msgspec.structs.replace(death, back_ns=now_ns - 29 * NS_PER_S)
    died = msgspec.structs.replace(still, series=[*steady[:70], *steady[90:]], deaths=[back])
    assert rules(died, Ink.FAILURE) == 2
    assert rules(died, Ink.GOOD) == 2, "in its first row stands the word"
    marks = {mark.ink: mark.column for mark in Seen(died, 60).marks()}
    assert marks[Ink.GOOD] - marks[Ink.FAILURE] == 10, "20 s later"
    at_once = msgspec.structs.replace(died, deaths=[msgspec.structs.replace(death, back_ns=death.at_ns + 1)])
    assert {mark.ink for mark in Seen(at_once, 60).marks()} == {Ink.FAILURE, Ink.GOOD}
    assert len({mark.column for mark in Seen(at_once, 60).marks()}) == 2, "beside it, not over it"


def aged(seconds: int, scale: float = 1.0) -> Snapshot:
    """Return a snapshot of a run that has gone for so long."""
    base = snapshots.mid_ramp()
    points = series(seconds, users=24, now_ns=base.at_ns - base.at_ns % NS_PER_S)
    whole = Trend().extend(points).points
    return msgspec.structs.replace(base, series=points[-240:], trend=whole, time_scale=scale)


@pytest.mark.parametrize(
    ("seconds", "span_s"),
    [(10, 30), (30, 30), (31, 45), (100, 120), (121, 180), (200, 240), (600, 600), (601, 1200), (3700, 7200)],
)
def test_the_window_grows_with_the_data(seconds: int, span_s: int) -> None:
    assert Seen(aged(seconds), 60).span_s == span_s


def test_a_long_run_is_seen_from_its_beginning_on() -> None:
    seen = Seen(aged(1150), 60)
    known = [value for value in seen.means(lambda point: point.e2e_p50_s) if value is not None]
    assert len(known) >= 56


@pytest.mark.parametrize("columns", [16, 51, 52, 70, 190])
def test_every_chart_shows_the_same_time_whatever_its_width(columns: int) -> None:
    now_ns = 5_761 * NS_PER_S
    window = TimeWindow.until(now_ns, columns, 120)
    assert window.column_of(now_ns) == columns - 1
    assert (window.end_ns - window.low_ns) / NS_PER_S == pytest.approx(120, rel=0.001)
    assert window.column_of(now_ns - 128 * NS_PER_S) is None


@pytest.mark.parametrize("columns", [16, 51, 52, 110])
def test_what_is_drawn_keeps_its_place_until_all_moves_by_one_cell(columns: int) -> None:
    def seen(step: int) -> tuple[int, list[float | None]]:
        shown = Seen(moving(step), columns, 120)
        return shown.window.low_ns // shown.window.cell_ns, shown.means(lambda point: point.users)

    first, values = seen(0)
    for step in range(1, 12):
        later, moved = seen(step)
        by = later - first
        assert moved[1 : columns - by - 2] == values[by + 1 : columns - 2]


def test_a_second_without_a_point_is_a_hole() -> None:
    def at(second: int) -> SeriesPoint:
        return SeriesPoint(at_ns=second * NS_PER_S, users_wanted=1, users_active=1, in_flight=1, prompt_tokens=31)

    base = msgspec.structs.replace(
        snapshots.mid_ramp(), series=[at(80), at(90), at(100)], trend=[], at_ns=100 * NS_PER_S
    )
    known = [value is not None for value in Seen(base, 30, 30).means(lambda point: point.users)]
    assert sum(known) == 3


@given(highest=st.one_of(st.none(), st.floats()))
def test_scale_covers_the_highest_value(highest: float | None) -> None:
    top = round_top(highest)
    assert top > 0
    if highest is not None and math.isfinite(highest):
        assert top * (1 + 1e-6) >= highest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (1500.0, "1500"),
        (20_000.0, "20k"),
        (2e9, "2e9"),
        (0.0, "0"),
        (0.075, ".075"),
        (7.5, "7.5"),
        (2e6, "2M"),
        (1e-5, "1e-5"),
    ],
)
def test_tick_keeps_to_four_cells(value: float, text: str) -> None:
    assert tick(value) == text


@given(width=st.integers(20, 200), span_s=st.integers(1, 500_000), crosses=st.frozensets(st.integers(-5, 300)))
def test_time_rule_fills_its_width(width: int, span_s: int, crosses: frozenset[int]) -> None:
    line = time_rule(width, span_s, crosses)
    assert width_of(line) == SCALE_CELLS + plot_cells(width)
    assert sum(text.count("✕") for text, _ in line) == len([one for one in crosses if 0 <= one < plot_cells(width)])


@pytest.mark.parametrize("width", [12, 30, 40, 90])
def test_a_histogram_keeps_its_size_and_names_its_ends(width: int) -> None:
    of = distributions().itl
    assert of is not None
    drawn = histogram(of, "ITL", Ink.ITL, width, 7)
    assert len(drawn) == 7
    assert all(width_of(line) <= max(width, 14) for line in drawn)
    assert drawn[-1][0][0].startswith("35 ms") and drawn[-1][0][0].rstrip().endswith("ms")
    assert "█" in text_of(drawn) or "▅" in text_of(drawn)
