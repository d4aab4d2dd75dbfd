"""The live screen as it looks: SVG pictures at three sizes and of the hard situations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from textual.pilot import Pilot

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.core.outcome import Outcome
from tui.metrics.snapshot import ServerDeath
from tui.metrics.terms import Terms
from tui.view.screens.live import LiveScreen
from tui.view.themes import CONTRAST, DARK, LIGHT

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of the log are local times."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


SIZES = [(60, 16), (80, 24), (100, 30), (120, 40), (200, 50), (300, 80)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_mid_ramp(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(LiveApp(snapshots.mid_ramp()), terminal_size=size)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7])
def test_each_pane_alone_at_80x24(snap_compare: Compare, number: int) -> None:
    app = LiveApp(snapshots.oom_grid())
    assert snap_compare(app, terminal_size=(80, 24), press=[str(number)])


@pytest.mark.parametrize(
    "name", ["fresh", "failed", "sweeping", "oom-grid", "no-gpu", "eight-gpus", "hostile", "everything-none"]
)
def test_situation_at_120x40(snap_compare: Compare, name: str) -> None:
    assert snap_compare(LiveApp(snapshots.ALL[name]()), terminal_size=(120, 40))


def test_full_grid_beside_the_published_table_at_200x50(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.full_grid()), terminal_size=(200, 50))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_presentation(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(LiveApp(snapshots.oom_grid(), LiveScreen(presentation=True)), terminal_size=size)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_page_of_a_cell(snap_compare: Compare, size: tuple[int, int]) -> None:
    to_16_by_296 = ["4", *["down"] * 5, "enter"]
    assert snap_compare(LiveApp(snapshots.well_known_cell()), terminal_size=size, press=to_16_by_296)


def test_the_grid_alone_with_the_edge_of_the_kv_cache(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.well_known_cell()), terminal_size=(120, 40), press=["4", "m"])


def test_eight_cards_alone(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.eight_gpus()), terminal_size=(80, 24), press=["3"])


def test_typed_number(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.mid_ramp()), terminal_size=(80, 24), press=["u", "4", "8"])


def test_too_small(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.mid_ramp()), terminal_size=(50, 12))


@pytest.mark.parametrize("theme", [LIGHT.name, CONTRAST.name, "ansi-dark", "ansi-light"])
def test_other_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(LiveApp(snapshots.oom_grid(), theme=theme), terminal_size=(120, 40))


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
def test_256_colours(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(LiveApp(snapshots.oom_grid(), theme=theme, colours="256"), terminal_size=(120, 40))


def test_in_ascii(snap_compare: Compare) -> None:
    assert snap_compare(LiveApp(snapshots.oom_grid(), ascii_only=True), terminal_size=(120, 40))


def test_a_death_and_a_return_with_limits(snap_compare: Compare) -> None:
    base = snapshots.mid_ramp()
    last_ns = base.series[71].at_ns
    death = ServerDeath(
        at_ns=last_ns + 1, outcome=Outcome.OOM_RUNTIME, cause="CUDA out of memory", back_ns=base.series[92].at_ns
    )
    shown = msgspec.structs.replace(
        base,
        series=[*base.series[:72], *base.series[92:]],
        trend=[],
        points=[point for point in base.points if not last_ns < point.at_ns < base.series[92].at_ns],
        deaths=[death],
        terms=Terms(has_slo=True, slo_ttft_s=0.3, slo_e2e_s=5.0),
        load=msgspec.structs.replace(base.load, users_before=64),
    )
    assert snap_compare(LiveApp(shown), terminal_size=(120, 40))


def test_no_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(LiveApp(snapshots.oom_grid()), terminal_size=(120, 40))


async def _settled(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize("name", ["mid-ramp", "oom-grid", "hostile"])
@pytest.mark.parametrize("size", [(60, 16), (120, 40), (200, 50)])
async def test_ascii_only_means_ascii_only(name: str, size: tuple[int, int]) -> None:
    app = LiveApp(snapshots.ALL[name](), ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await _settled(pilot)
        for strip in app.screen._compositor.render_strips():
            assert all(char.isascii() for char in strip.text), strip.text


@pytest.mark.parametrize("name", ["oom-grid", "failed", "eight-gpus", "hostile", "everything-none"])
async def test_no_size_and_no_situation_breaks_the_screen(name: str) -> None:
    app = LiveApp(snapshots.ALL[name]())
    async with app.run_test(size=(120, 40)) as pilot:
        for size in [(1, 1), (20, 5), (59, 16), (60, 15), (60, 16), (79, 23), (111, 31), (170, 42), (250, 70)]:
            await pilot.resize_terminal(*size)
            await _settled(pilot)
            picture = app.picture()
            assert "\x1b" not in picture and "\x07" not in picture and "\u202e" not in picture
            assert all(strip.cell_length == size[0] for strip in app.screen._compositor.render_strips())
            if size[0] < 60 or size[1] < 16:
                assert "needs" in picture or size[0] < 20


async def test_every_simulated_screen_says_so() -> None:
    for presentation in (False, True):
        for size in [(60, 16), (80, 24), (120, 40), (200, 50)]:
            app = LiveApp(snapshots.mid_ramp(), LiveScreen(presentation=presentation))
            async with app.run_test(size=size) as pilot:
                await _settled(pilot)
                assert " SIMULATED" in app.picture()
            app = LiveApp(snapshots.mid_ramp(simulated=False), LiveScreen(presentation=presentation))
            async with app.run_test(size=size) as pilot:
                await _settled(pilot)
                assert "SIMULATED" not in app.picture()


async def test_a_failure_is_a_word_on_every_layout() -> None:
    for size in [(80, 24), (120, 40), (200, 50)]:
        app = LiveApp(snapshots.failed())
        async with app.run_test(size=size) as pilot:
            await _settled(pilot)
            picture = app.picture()
            assert "FAILED" in picture
            assert "server failed: The KV cache does not fit." in picture
