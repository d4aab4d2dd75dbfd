"""Whole screens as pictures. A change of one is looked at (pytest --snapshot-report) before it is taken over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from tests.fakes import snapshots
from tests.view.shell import Shell, listed, until
from tui.profile.settings import Settings
from tui.server import finding
from tui.server.finding import FoundServer
from tui.view.screens.attach import AttachScreen
from tui.view.screens.dialogs import Question
from tui.view.screens.help import HelpScreen
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.picker import PickerScreen

SIZES = [(80, 24), (120, 40)]
SESSION = "2026-11-20-180412-demo-3f2a"
Before = Callable[[Pilot[int]], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("still")


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours but the theme's own."""
    for name in ("NO_COLOR", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)


def picker_then(*keys: str, ends_on: type[Any] = PickerScreen) -> Before:
    """Wait for the list, press keys, wait for the screen they lead to."""

    async def run(pilot: Pilot[int]) -> None:
        app = pilot.app
        await listed(pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.screen, ends_on))
        await pilot.pause()

    return run


def launch_then(state: str, *keys: str, ends_on: type[Any] = LaunchScreen) -> Before:
    """Wait for the launch in that state, press keys, wait for the screen they lead to."""

    async def run(pilot: Pilot[int]) -> None:
        app = pilot.app
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        await until(pilot, lambda: state in str(app.screen.query_one("#title", Static).content))
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.screen, ends_on))
        await pilot.pause()

    return run


@pytest.mark.parametrize("size", SIZES)
def test_picker_with_a_running_bench_and_missing_programs(
    snap_compare: Any, shell: Shell, size: tuple[int, int]
) -> None:
    app = shell.picker(running=[SESSION])
    assert snap_compare(app, terminal_size=size, run_before=picker_then("end", "up"))


def test_picker_on_a_profile_with_mistakes(snap_compare: Any, shell: Shell) -> None:
    assert snap_compare(shell.picker(), terminal_size=(120, 40), run_before=picker_then("home"))


def test_picker_searching(snap_compare: Any, shell: Shell) -> None:
    assert snap_compare(shell.picker(), terminal_size=(80, 24), run_before=picker_then("slash", *"awq"))


@pytest.mark.parametrize("theme", ["vramp-light", "ansi-dark"])
def test_picker_in_other_themes(snap_compare: Any, shell: Shell, theme: str) -> None:
    app = shell.picker(settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(120, 40), run_before=picker_then("end", "up"))


@pytest.mark.parametrize("size", SIZES)
def test_launch_under_way(snap_compare: Any, shell: Shell, size: tuple[int, int]) -> None:
    assert snap_compare(shell.launched(snapshots.launching()), terminal_size=size, run_before=launch_then("LAUNCHING"))


@pytest.mark.parametrize("size", SIZES)
def test_launch_failed_with_its_diagnosis(snap_compare: Any, shell: Shell, size: tuple[int, int]) -> None:
    assert snap_compare(shell.launched(snapshots.failed()), terminal_size=size, run_before=launch_then("FAILED"))


def test_launch_failed_in_ascii(snap_compare: Any, shell: Shell) -> None:
    app = shell.launched(snapshots.failed(), settings=Settings(ascii=True))
    assert snap_compare(app, terminal_size=(80, 24), run_before=launch_then("FAILED"))


@pytest.mark.parametrize("size", SIZES)
def test_question_on_leaving_a_live_run(snap_compare: Any, shell: Shell, size: tuple[int, int]) -> None:
    app = shell.launched(snapshots.launching())
    assert snap_compare(app, terminal_size=size, run_before=launch_then("LAUNCHING", "q", ends_on=Question))


@pytest.mark.parametrize("size", SIZES)
def test_help_of_the_picker(snap_compare: Any, shell: Shell, size: tuple[int, int]) -> None:
    app = shell.picker()
    assert snap_compare(app, terminal_size=size, run_before=picker_then("question_mark", ends_on=HelpScreen))


def test_servers_that_run_and_a_field_for_a_url(
    snap_compare: Any, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_servers(on_found: Callable[[FoundServer], None]) -> list[FoundServer]:
        on_found(FoundServer("tgi", "http://127.0.0.1:3000", "mistralai/Mistral-7B-Instruct-v0.2", "text-generation"))
        on_found(FoundServer("openai", "https://127.0.0.1:8443", "", "nginx", wants_key=True))
        return []

    monkeypatch.setattr(finding, "find_servers", find_servers)

    async def run(pilot: Pilot[int]) -> None:
        await picker_then("end", "a", ends_on=AttachScreen)(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await until(pilot, lambda: pilot.app.screen.query_one(OptionList).option_count == 2)
        await pilot.press("tab", "x", "enter", "enter")
        await pilot.pause()

    assert snap_compare(shell.picker(), terminal_size=(80, 24), run_before=run)


def test_a_terminal_that_is_too_small(snap_compare: Any, shell: Shell) -> None:
    assert snap_compare(shell.picker(), terminal_size=(50, 12), run_before=picker_then())
