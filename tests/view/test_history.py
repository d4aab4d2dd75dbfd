"""The sessions that are kept, by key: opened, compared, noted, renamed, deleted and brought back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from tests.unit.session import made
from tests.view.shell import DEMO, Shell, entry, listed, until
from tui.core.paths import sessions_dir
from tui.session import shelf
from tui.view.screens.comparison import ComparisonScreen
from tui.view.screens.dialogs import Form, Question
from tui.view.screens.history import HistoryScreen


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sessions of this user."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("first", "second"):
        made.session(sessions_dir() / f"{name}.vramp")
    return sessions_dir()


async def in_history(pilot: Pilot[int], sessions: int) -> HistoryScreen:
    await listed(pilot)
    await pilot.press("h")
    app = pilot.app
    await until(
        pilot,
        lambda: (
            isinstance(app.screen, HistoryScreen)
            and app.screen.query_one(OptionList).option_count == sessions
            and app.screen.query_one(OptionList).highlighted is not None
        ),
    )
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def named(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.vramp")}


async def test_a_session_is_deleted_once_confirmed_and_brought_back(shell: Shell, kept: Path) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await in_history(pilot, 2)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert len(named(kept)) == 2
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: app.screen is screen and screen.query_one(OptionList).option_count == 1)
        assert len(named(kept)) == 1
        await pilot.press("u")
        await until(pilot, lambda: screen.query_one(OptionList).option_count == 2)
        assert named(kept) == {"first", "second"}
        await pilot.press("escape")
        await listed(pilot)


async def test_a_deletion_is_undone_by_whoever_comes_back_to_the_list(shell: Shell, kept: Path) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await in_history(pilot, 2)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: app.screen is screen and screen.query_one(OptionList).option_count == 1)
    again = shell.picker(entries=(entry(DEMO),))
    async with again.run_test(size=(120, 40)) as pilot:
        screen = await in_history(pilot, 1)
        await pilot.press("u")
        await until(pilot, lambda: screen.query_one(OptionList).option_count == 2)
        assert named(kept) == {"first", "second"}
        await pilot.press("u")
        await until(pilot, lambda: any("in the last day" in one.message for one in again._notifications))


async def test_a_session_gets_a_note_and_another_name_and_a_wrong_name_is_said(shell: Shell, kept: Path) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await in_history(pilot, 2)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Form))
        await pilot.press(*"cold", "enter")
        await until(pilot, lambda: app.screen is screen and "“cold”" in drawn(screen))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Form))
        app.screen.query_one(Input).value = "../evil"
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Form)
        app.screen.query_one(Input).value = "renamed"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen and "renamed" in named(kept))
    assert {shelf.summary(path).note for path in kept.glob("*.vramp")} == {"cold", ""}


async def test_two_sessions_are_compared_and_one_is_opened(shell: Shell, kept: Path) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    opened: list[Path] = []

    async def replay(path: Path, reference: object = None) -> object:
        opened.append(path)
        return shell.benches.source

    shell.benches.replay = replay  # type: ignore[method-assign, assignment]
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await in_history(pilot, 2)
        await pilot.press("c")
        await pilot.pause()
        assert app.screen is screen  # none is marked
        await pilot.press("space", "down", "c")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))
        await pilot.pause()
        assert isinstance(app.screen, ComparisonScreen)
        assert "tokens/s total: B / A" in app.screen.plain
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("enter")
        await until(pilot, lambda: bool(opened))
    assert opened[0].parent == kept


def drawn(screen: HistoryScreen) -> str:
    return "\n".join(str(option.prompt) for option in screen.query_one(OptionList).options)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_list_of_sessions(snap_compare: Any, shell: Shell, kept: Path, size: tuple[int, int]) -> None:
    async def run(pilot: Pilot[int]) -> None:
        await in_history(pilot, 2)
        await pilot.press("down", "space")
        await pilot.pause()

    assert snap_compare(shell.picker(entries=(entry(DEMO),)), terminal_size=size, run_before=run)
