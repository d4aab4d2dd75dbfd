"""Keys that come all at once, as a fast hand or a slow line sends them, over screens that come and go."""

from __future__ import annotations

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from tests.fakes import snapshots
from tests.view.shell import Shell, until
from tui.link.protocol import SetUsers, StopBench
from tui.view.screens.dialogs import Form
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.live import LiveScreen
from tui.view.screens.picker import PickerScreen

NAMES = {"\r": "enter", "/": "slash", "\x1b": "escape"}


def burst(pilot: Pilot[int], text: str) -> None:
    """Have the app read all of these keys before it can act on the first."""
    for character in text:
        key = NAMES.get(character, character)
        pilot.app.post_message(events.Key(key, None if character in "\r\x1b" else character))


async def test_a_search_and_what_it_finds_can_be_typed_in_one_go(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, PickerScreen) and bool(app.screen.query_one(OptionList).option_count)
        )
        burst(pilot, "/demo\r\r")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        assert [entry.name for entry, _ in shell.benches.launched] == ["demo"]


async def test_a_name_goes_into_the_form_that_its_key_brings_up(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, PickerScreen) and bool(app.screen.query_one(OptionList).option_count)
        )
        burst(pilot, "nqueue")
        await until(pilot, lambda: isinstance(app.screen, Form) and app.screen.query_one(Input).value == "queue")


async def test_the_answer_to_a_question_may_be_typed_before_it_is_asked(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        burst(pilot, "qs")
        await until(pilot, lambda: app.return_value is not None)
    assert shell.benches.source.requests == [StopBench()]


async def test_keys_after_a_screen_that_goes_are_for_the_one_below(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LiveScreen))
        burst(pilot, "?q?\x1bq\x1bu7\r")
        await until(pilot, lambda: bool(shell.benches.source.requests))
        assert isinstance(app.screen, LiveScreen)
    assert shell.benches.source.requests == [SetUsers(users=7)]
