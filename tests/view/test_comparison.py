"""Two kept sessions beside each other on the screen: grids in colours, curves over each other, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.containers import VerticalScroll
from textual.pilot import Pilot

from tests.unit.session import made
from tests.view.shell import DEMO, Shell, entry, until
from tests.view.test_history import in_history
from tui.core.outcome import Outcome
from tui.core.paths import sessions_dir
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.precision import Precision
from tui.session.store import SessionWriter
from tui.view.screens.comparison import ComparisonScreen

SIZES = [(80, 24), (120, 40), (60, 16)]


def sure(users: int, prompt: int, tokens_per_s: float, **more: object) -> CellResult:
    precision = Precision(state="steady", tokens_per_s_error=0.02, e2e_p50_error=0.02)
    return msgspec.structs.replace(
        made.cell(users, prompt, tokens_per_s_total=tokens_per_s, precision=precision, ttft_p50_s=0.01 * users), **more
    )


def keep(name: str, factor: float, version: str, dead: Outcome) -> None:
    writer = SessionWriter(sessions_dir() / f"{name}.vramp", made.meta(session_id=name))
    cells = [
        sure(users, prompt, factor**users * 40 * users, conditions=Conditions(version=version))
        for users in (1, 2, 4, 8)
        for prompt in (31, 296, 2193)
    ]
    cells[-1] = made.cell(8, 2193, outcome=dead, tokens_per_s_total=None)
    for number, cell in enumerate(cells, start=1):
        writer.add_cell(cell, made.START_NS + number)
    for second in range(1, 60):
        writer.add_series(made.point(second, tokens_per_s_total=factor * 4.0 * (second % 20 + second)))
    writer.close("finished")
    assert writer.failure == ""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keep("before", 1.0, "0.9.0", Outcome.OOM_KV)
    keep("now", 0.95, "0.10.0", Outcome.OOM_KV)


async def compared(pilot: Pilot[int], base: str = "before") -> ComparisonScreen:
    """Mark the base, and compare the other one with it."""
    screen = await in_history(pilot, 2)
    ids = [one.session_id for one in screen._sessions]
    keys = ["space", "down", "c"] if ids[0] == base else ["down", "space", "up", "c"]
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, ComparisonScreen))
    await pilot.pause()
    assert isinstance(pilot.app.screen, ComparisonScreen)
    return pilot.app.screen


@pytest.mark.parametrize("size", SIZES)
def test_how_a_comparison_looks(snap_compare: Any, shell: Shell, kept: None, size: tuple[int, int]) -> None:
    async def run(pilot: Pilot[int]) -> None:
        await compared(pilot)

    assert snap_compare(shell.picker(entries=(entry(DEMO),)), terminal_size=size, run_before=run)


async def test_a_comparison_says_what_differs_first_and_goes_through_figures_and_sizes(
    shell: Shell, kept: None
) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await compared(pilot)
        text = screen.plain
        order = ["A = before", "version", "0.10.0", "tokens/s total: B / A", "A: tokens/s total", "OOM kv"]
        places = [text.index(words) for words in [*order, "tokens/s total by users at 31 prompt tokens"]]
        assert places == sorted(places)
        assert "0.92–0.98" in text, "each ratio has its interval"
        assert "SIMULATED" in text and "tokens/s over each session" in text
        await pilot.press("greater_than_sign")
        assert "by users at 296 prompt tokens" in screen.plain
        await pilot.press("less_than_sign", "less_than_sign")
        assert "by users at 31 prompt tokens" in screen.plain
        await pilot.press("c")
        assert "tokens/s total: B / A" not in screen.plain
        for _ in range(len(screen._figures) - 1):
            await pilot.press("c")
        assert "tokens/s total: B / A" in screen.plain, "the figures go round"


async def test_what_does_not_fit_is_scrolled_to(shell: Shell, kept: None) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await compared(pilot)
        scroll = screen.query_one(VerticalScroll)
        assert scroll.max_scroll_y > 0
        await pilot.press("end")
        await until(pilot, lambda: scroll.scroll_y == scroll.max_scroll_y)
        assert all(len(line) <= 78 for line in screen.plain.splitlines())
