from __future__ import annotations

import pytest
from textual.widgets import OptionList

from tests.fakes import snapshots
from tests.view.shell import Shell, until
from tui.core.errors import UsageError
from tui.profile.settings import Settings
from tui.view.screens.fact_sheet import FactSheet
from tui.view.screens.help import HelpScreen
from tui.view.screens.live import LiveScreen
from tui.view.screens.picker import PickerScreen
from tui.view.themes import THEMES


async def test_keys_can_be_given_to_other_ids(shell: Shell) -> None:
    app = shell.picker(settings=Settings(keys={"leave": "z"}))
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        await pilot.press("q")
        await pilot.pause()
        assert app.return_value is None
        await pilot.press("z")
        await pilot.pause()
    assert app.return_value == 0


def test_a_key_for_nothing_and_an_unknown_theme_are_usage_errors(shell: Shell) -> None:
    with pytest.raises(UsageError, match=r"keys\.leav: unknown key binding; did you mean 'leave'"):
        shell.picker(settings=Settings(keys={"leav": "z"}))
    with pytest.raises(UsageError, match="did you mean 'vramp-light'"):
        shell.picker(settings=Settings(theme="vramp-lite"))


async def test_t_walks_through_the_themes(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        seen = []
        for _ in THEMES:
            await pilot.press("t")
            seen.append(app.theme)
        assert sorted(seen) == sorted(THEMES)


async def test_help_names_the_keys_of_the_screen_as_the_settings_have_them(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp(), settings=Settings(keys={"live.sweep": "G"}))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = app.screen.query_one(FactSheet).plain
        assert "start or stop the sweep of the grid" in text
        assert any(line.split()[0] == "G" for line in text.splitlines() if "start or stop the sweep" in line)
        assert "Output tokens of all users in each second" in text
        assert "time to first token" in text
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))


async def test_the_palette_offers_what_the_keys_do(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"search", "edit", "attach", "help", "leave", "theme ansi-dark"} <= set(commands)
        commands["theme ansi-dark"].callback()
        assert app.theme == "ansi-dark"


async def test_in_ascii_nothing_else_is_drawn(shell: Shell) -> None:
    app = shell.launched(snapshots.failed(), settings=Settings(ascii=True))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.screen.query("#failure")) and app.screen.has_class("-failed"))
        await pilot.pause()
        drawn = app.export_screenshot()
        assert "why it failed" in drawn.replace("&#160;", " ")
        assert not set(drawn) & set("╭╮╰╯│─✓✕▸·")


async def test_a_narrow_list_keeps_its_choice_when_it_is_widened(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        await until(pilot, lambda: bool(app.screen.query_one(OptionList).option_count))
        await pilot.press("end")
        await pilot.resize_terminal(140, 40)
        await pilot.pause()
        chosen = app.screen.query_one(OptionList)
        assert chosen.highlighted == chosen.option_count - 1


async def test_the_least_terminal_is_large_enough_for_every_screen(shell: Shell) -> None:
    app = shell.launched(snapshots.failed())
    async with app.run_test(size=(60, 16)) as pilot:
        await until(pilot, lambda: app.screen.has_class("-failed"))
        assert not app.screen.has_class("-small")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert not app.screen.has_class("-small")
        await pilot.resize_terminal(59, 16)
        await until(pilot, lambda: app.screen.has_class("-small"))


async def test_the_palette_names_each_thing_once(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert len(titles) == len(set(titles))
        assert {"next prompt size", "previous prompt size", "the next pane", "the previous pane", "sweep"} <= set(
            titles
        )
