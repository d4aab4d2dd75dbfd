"""Each key of the live screen: what it sends, and what it shows before the bench has said a word."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from textual.app import App
from textual.screen import Screen

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.link.protocol import (
    ChangeUsers,
    Command,
    Export,
    FindEdge,
    MeasureAgain,
    Relaunch,
    SetUsers,
    StartRamp,
    StartSweep,
    StepPromptTokens,
    StopRamp,
    StopSweep,
)
from tui.metrics.snapshot import Phase, Snapshot, SweepStatus
from tui.view.panes.pane import Pane
from tui.view.screens.cell import CellScreen
from tui.view.screens.help import help_facts
from tui.view.screens.live import LiveScreen
from tui.view.screens.live_keys import HELP, LIVE_PANES
from tui.view.widgets.lines import Ink, Line

SIZE = (120, 40)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("plus", ChangeUsers(delta=1)),
        ("minus", ChangeUsers(delta=-1)),
        ("right_square_bracket", ChangeUsers(delta=10)),
        ("left_square_bracket", ChangeUsers(delta=-10)),
        ("greater_than_sign", StepPromptTokens(step=1)),
        ("less_than_sign", StepPromptTokens(step=-1)),
        ("g", StartSweep()),
        ("r", StartRamp()),
        ("e", FindEdge()),
        ("M", MeasureAgain()),
        ("x", Export()),
    ],
)
async def test_steering_key_sends_its_command(key: str, command: Command) -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(key)
        assert app.sent == [command]


async def test_leaving_users_are_cut_by_choice() -> None:
    app = LiveApp(snapshots.mid_ramp(), LiveScreen(cut_leaving=True))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("minus", "u", "3", "enter")
        assert app.sent == [ChangeUsers(delta=-1, cut=True), SetUsers(users=3, cut=True)]


async def test_sweep_and_ramp_stop_by_the_key_that_started_them() -> None:
    app = LiveApp(snapshots.sweeping())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("g")
        ramping = snapshots.mid_ramp()
        app.live.show(msgspec.structs.replace(ramping, load=msgspec.structs.replace(ramping.load, activity="ramp")))
        await pilot.press("r")
        assert app.sent == [StopSweep(), StopRamp()]


async def test_relaunch_only_after_a_failure() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("R")
        assert app.sent == []
        assert "relaunch" not in app.picture().splitlines()[-1]
        app.live.show(snapshots.failed())
        await pilot.pause()
        assert "R relaunch" in app.picture().splitlines()[-1]
        await pilot.press("R")
        assert app.sent == [Relaunch()]


async def test_wanted_users_change_on_the_screen_before_the_bench_answers() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "24 of  32" in app.picture()
        await pilot.press("plus", "plus", "right_square_bracket")
        await pilot.pause()
        assert "24 of  44" in app.picture()
        app.live.show(snapshots.mid_ramp(1))  # a picture from before the keys
        await pilot.pause()
        assert "24 of  44" in app.picture()


async def test_bench_has_the_last_word_on_wanted_users() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("plus")
        app.live.show(snapshots.mid_ramp(6))  # three seconds later it still says 32
        await pilot.pause()
        assert "24 of  32" in app.picture()


async def test_wanted_prompt_size_changes_on_the_screen_and_stays_on_the_axis() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*["greater_than_sign"] * 9)
        await pilot.pause()
        assert app.live._prompt is not None and app.live._prompt[0] == snapshots.mid_ramp().grid.prompt_tokens[-1]
        await pilot.press(*["less_than_sign"] * 9)
        assert app.live._prompt[0] == snapshots.mid_ramp().grid.prompt_tokens[0]
        app.live.refused()
        assert app.live._prompt is None
        assert len(app.sent) == 18


async def test_users_never_go_below_zero_on_the_screen() -> None:
    app = LiveApp(snapshots.fresh())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("left_square_bracket")
        assert app.live.wanted_users == 0


async def test_digits_go_to_panes_and_never_become_users() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        for key in ("4", "2", "6"):
            await pilot.press(key)
            assert key == app.live.active.KEY
        await pilot.press("enter", "0", "9", "enter")
        assert app.sent == []
        assert app.live.active.KEY == "6"


async def test_typed_number_says_what_it_would_be_and_is_set_by_enter() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "u")
        await pilot.pause()
        assert "now 32 users" in app.picture()
        await pilot.press("5", "q", "6")
        await pilot.pause()
        assert "56 users, 24 more" in app.picture()
        assert app.sent == []
        await pilot.press("enter")
        assert app.sent == [SetUsers(users=56)]
        assert app.live.active.KEY == "4"
        await pilot.pause()
        assert "24 of  56" in app.picture()


@pytest.mark.parametrize("keys", [("escape",), ("4", "escape"), ("enter",)])
async def test_field_left_without_a_number_changes_nothing(keys: tuple[str, ...]) -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", *keys)
        assert app.sent == []
        assert app.screen is app.live


async def test_zero_can_be_typed() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", "0", "enter")
        assert app.sent == [SetUsers(users=0)]


@pytest.mark.parametrize(("answer", "sent"), [("n", []), ("escape", []), ("y", [SetUsers(users=513)])])
async def test_number_far_beyond_the_grid_is_asked_about(answer: str, sent: list[Command]) -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", "5", "1", "3")
        await pilot.pause()
        assert "The grid's largest number is 128." in app.picture()
        await pilot.press("enter")
        await pilot.pause()
        assert "have 513 users" in app.picture()
        await pilot.press(answer)
        assert app.sent == sent


async def test_number_beyond_what_the_client_carries_is_asked_about() -> None:
    base = snapshots.mid_ramp()
    app = LiveApp(msgspec.structs.replace(base, load=msgspec.structs.replace(base.load, client_users_max=100)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", "1", "0", "1", "enter")
        await pilot.pause()
        assert "carries some 100" in app.picture()
        await pilot.press("escape", "u", "1", "0", "0", "enter")
        assert app.sent == [SetUsers(users=100)]


async def test_measured_beside_the_grid_does_not_raise_what_is_asked_about() -> None:
    base = snapshots.mid_ramp()
    grid = msgspec.structs.replace(base.grid, users=[*base.grid.users, 500], asked_users=base.grid.users)
    app = LiveApp(msgspec.structs.replace(base, grid=grid))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", "6", "0", "0", "enter")
        assert app.sent == []


async def test_step_into_what_may_not_be_meant_is_asked_about_once() -> None:
    base = snapshots.mid_ramp()
    app = LiveApp(msgspec.structs.replace(base, load=msgspec.structs.replace(base.load, users_wanted=510)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("plus", "right_square_bracket")
        assert app.sent == [ChangeUsers(delta=1)]
        await pilot.press("y", "right_square_bracket")
        assert app.sent[1:] == [SetUsers(users=521), ChangeUsers(delta=10)]


async def test_more_than_a_bench_takes_cannot_be_typed() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("u", *"999999", "enter")
        await pilot.pause()
        assert "at most 100,000 users" in app.picture()
        assert app.sent == []


async def test_enter_alone_sends_nothing() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        assert app.sent == []


async def test_read_only_view_steers_nothing_and_says_so() -> None:
    app = LiveApp(snapshots.mid_ramp(), LiveScreen(read_only=True))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("plus", "g", "x", "u", "7", "enter")
        await pilot.pause()
        assert app.sent == []
        picture = app.picture()
        assert "READ-ONLY" in picture
        assert "24 of 32" in picture
        assert "only looks" in picture
        assert "sweep" not in picture.splitlines()[-1]


async def test_session_that_has_ended_cannot_be_steered() -> None:
    base = snapshots.full_grid()
    ended = msgspec.structs.replace(base, server=msgspec.structs.replace(base.server, phase=Phase.ENDED))
    app = LiveApp(ended)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("plus", "g")
        assert app.sent == []


async def test_hold_keeps_the_panes_while_the_header_goes_on() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space")
        later = msgspec.structs.replace(
            snapshots.mid_ramp(4), sweep=SweepStatus(running=True, cells_done=3, cells_total=56)
        )
        app.live.show(later)
        await pilot.pause()
        picture = app.picture()
        assert " HELD " in picture
        assert "1,870 ok" in picture
        assert "3/56" in picture
        await pilot.press("space")
        await pilot.pause()
        assert "1,874 ok" in app.picture()


async def test_only_the_latest_of_a_flood_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        drawn: list[Snapshot] = []
        grid = app.live.panes[3]
        monkeypatch.setattr(grid, "show", drawn.append)
        flood = [snapshots.mid_ramp(step) for step in range(50)]
        for snapshot in flood:
            app.live.show(snapshot)
        await pilot.pause()
        assert drawn == [flood[-1]]


async def test_maximise_shows_one_pane_under_tabs_and_escape_brings_all_back() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "tab", "m")
        await pilot.pause()
        assert "".join(pane.KEY for pane in app.live.panes if pane.display) == "3"
        assert "[3 VRAM]" in app.picture()
        await pilot.press("escape")
        assert "".join(pane.KEY for pane in app.live.panes if pane.display) == "123456"


async def test_arrows_pick_a_cell_whose_story_is_told() -> None:
    app = LiveApp(snapshots.oom_grid())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "down", *["right"] * 3)  # the first arrow only picks: 32 x 296
        await pilot.pause()
        assert "32 × 2193  oom-runtime  torch.OutOfMemoryError" in app.picture()


async def test_picking_begins_where_the_run_stands() -> None:
    base = snapshots.full_grid()
    load = msgspec.structs.replace(base.load, users_wanted=20, prompt_tokens=480)
    app = LiveApp(msgspec.structs.replace(base, load=load))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "down")
        assert app.live.active.picked == (16, 480)


async def test_enter_opens_the_picked_cell_over_the_run_and_escape_goes_back_to_it() -> None:
    app = LiveApp(snapshots.oom_grid())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "enter")
        assert app.screen is app.live  # nothing is picked
        await pilot.press("down", *["right"] * 3, "enter")
        await pilot.pause()
        assert isinstance(app.screen, CellScreen)
        picture = app.picture()
        assert "32 users × 2,193 prompt tokens" in picture
        assert "oom-runtime" in picture
        assert "torch.OutOfMemoryError" in picture
        app.live.show(snapshots.full_grid())  # the run goes on below, and the cell is as it is now
        await pilot.pause()
        assert app.screen.place == (32, 2193)
        await pilot.press("escape")
        assert app.screen is app.live
        assert app.live.active.picked == (32, 2193)


async def test_the_arrows_walk_from_cell_to_cell_in_the_page_of_one_and_say_where_to() -> None:
    app = LiveApp(snapshots.oom_grid())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "down", *["right"] * 3, "enter")
        await pilot.pause()
        page = app.screen
        assert isinstance(page, CellScreen) and page.place == (32, 2193)
        assert app.picture().splitlines()[1].split("   ")[:3] == [" ← 822 tok", "↑ 16 users", "↓ 64 users"]
        await pilot.press("left", "up", "up", "right", "right")  # the last one is over the edge
        await pilot.pause()
        assert page.place == (8, 2193)
        assert "8 users × 2,193 prompt tokens" in app.picture() and "9.30 s, mean E2E" in app.picture()
        await pilot.press("escape")
        assert app.screen is app.live
        assert app.live.active.picked == (8, 2193), "where one has walked to"


async def test_the_page_of_a_cell_scrolls_and_begins_at_its_top_in_the_next_one() -> None:
    app = LiveApp(snapshots.well_known_cell())
    async with app.run_test(size=(60, 16)) as pilot:
        app.push_screen(CellScreen((16, 296), snapshots.well_known_cell()))
        await pilot.pause()
        assert "outcome" in app.picture() and "launch 2" not in app.picture()
        for _ in range(12):
            await pilot.press("pagedown")
            await pilot.pause()
            if "launch 2" in app.picture():
                break
        else:
            raise AssertionError(app.picture())
        await pilot.press("right")
        await pilot.pause()
        assert "outcome" in app.picture()


async def test_sweep_of_a_full_grid_is_asked_about() -> None:
    app = LiveApp(snapshots.full_grid())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("g")
        await pilot.pause()
        assert "All 56 cells have an outcome" in app.picture()
        await pilot.press("escape")
        assert app.sent == []
        await pilot.press("g", "y")
        assert app.sent == [StartSweep(again=True)]


async def test_what_the_bench_refused_is_not_shown_as_wanted() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("greater_than_sign", "plus")
        await pilot.pause()
        assert "24 of  33" in app.picture() and "480 tok" in app.picture()
        app.live.refused()
        await pilot.pause()
        assert "24 of  32" in app.picture() and "296 tok" in app.picture()


async def test_seventh_pane_takes_the_log_s_place_until_another_is_chosen() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("7")
        assert "".join(pane.KEY for pane in app.live.panes if pane.display) == "123457"
        await pilot.press("6")
        assert "".join(pane.KEY for pane in app.live.panes if pane.display) == "123456"


async def test_pane_is_copied_as_text() -> None:
    app = LiveApp(snapshots.oom_grid())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "y")
        assert app.clipboard.startswith("grid · time to resolve, s · burst\nusers ")
        assert "OOM" in app.clipboard


async def test_presentation_comes_and_goes_and_keys_still_steer_there() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        await pilot.pause()
        assert "people ask, 32 wanted" in app.picture()
        await pilot.press("plus")
        await pilot.pause()
        assert app.sent == [ChangeUsers(delta=1)]
        assert "people ask, 33 wanted" in app.picture()
        await pilot.press("s")
        await pilot.pause()
        assert "[1 tokens/s]" in app.picture()


async def test_stage_tells_words_with_their_ratio() -> None:
    app = LiveApp(snapshots.mid_ramp(), LiveScreen(presentation=True, words_per_token=0.75))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        picture = app.picture()
        assert "words a second in all" in picture and "words a second each" in picture
        assert "a word = 1.3 tokens" in picture


async def test_mouse_chooses_panes_and_presses_keys() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.click("#pane-4", offset=(4, 4))
        assert app.live.active.KEY == "4"
        await pilot.click("#keys", offset=(1, 0))
        assert app.sent == [ChangeUsers(delta=1)]


def test_every_binding_can_be_moved_and_is_explained() -> None:
    for binding in LiveScreen.BINDINGS:
        assert not isinstance(binding, tuple)
        assert binding.id is not None and binding.id.startswith("live.")
        assert binding.tooltip


async def test_the_cell_pane_follows_the_grid_and_the_page_opens_from_it() -> None:
    app = LiveApp(snapshots.full_grid())
    async with app.run_test(size=(300, 80)) as pilot:
        await pilot.press("4", "right", "down", "right")
        await pilot.pause()
        users, prompt = app.live.panes[3].picked or (0, 0)
        assert f"8 cell · {users} × {prompt}" in app.picture()
        await pilot.press("escape")
        await pilot.pause()
        assert app.live.panes[3].picked is None
        assert f"8 cell · {users} × {prompt}" not in app.picture()


async def test_the_time_that_charts_show_can_be_chosen() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert app.picture().count("2 min ago") == 2
        await pilot.press("w")
        await pilot.pause()
        assert app.picture().count("30 s ago") == 2
        assert "charts show the last 30 s" in app.picture()
        await pilot.press("w", "w", "w")
        await pilot.pause()
        assert "charts show all of the run" in app.picture()


async def test_what_is_said_stands_above_the_keys_for_a_while() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("y")
        await pilot.pause()
        lines = app.picture().splitlines()
        assert "tokens/s: copied as text" in lines[-2]
        assert "users" in lines[1] and "number" in lines[-1]
        app.live._hush()
        await pilot.pause()
        assert "copied" not in app.picture()


class NinthPane(Pane):
    KEY = "9"
    NAME = "ninth"
    HELP = "It is only here to be seen."

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        return [[("the ninth is seen", Ink.PLAIN)]]


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 50), (300, 80)])
async def test_a_pane_is_added_by_the_list_of_panes_alone(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.view.screens.live.LIVE_PANES", (*LIVE_PANES, NinthPane))
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=size) as pilot:
        await pilot.press("9")
        await pilot.pause()
        assert "the ninth is seen" in app.picture()
        assert "9 ninth" in app.picture()
        told = [str(fact) for fact in help_facts(cast("App[int]", app), cast("Screen[object]", app.live))]
        assert any("It is only here to be seen." in fact for fact in told)


def test_the_help_names_the_keys_of_all_panes() -> None:
    keys = [pane.KEY for pane in LiveApp(snapshots.fresh()).live.panes]
    assert f"{keys[0]} to {keys[-1]} go to that pane" in HELP


@pytest.mark.parametrize("time_scale", [1.0, 8.0])
async def test_a_key_is_believed_as_long_at_any_time_scale(time_scale: float) -> None:
    base = msgspec.structs.replace(snapshots.mid_ramp(), time_scale=time_scale)
    app = LiveApp(base)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("plus")
        for real_s, believed in ((1.5, True), (2.5, False)):
            app.live.show(msgspec.structs.replace(base, at_ns=base.at_ns + round(real_s * time_scale * 10**9)))
            assert (app.live.wanted_users == base.load.users_wanted + 1) is believed


async def test_a_bench_that_is_not_heard_of_is_told_in_place_of_the_state_that_it_last_told() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=SIZE) as pilot:
        app.live.wait_for_word(5.0)
        await pilot.pause()
        assert "READY" in app.picture()
        app.live.wait_for_word(1.0)
        await pilot.pause()
        assert "▲ NO WORD FOR 6 s" in app.picture() and "READY" not in app.picture()
        app.live.show(snapshots.mid_ramp())
        await pilot.pause()
        assert "READY" in app.picture() and "NO WORD" not in app.picture()


async def test_a_bench_that_is_asked_for_little_may_take_its_time() -> None:
    app = LiveApp(snapshots.mid_ramp(), LiveScreen(refresh_hz=0.2))
    async with app.run_test(size=SIZE) as pilot:
        app.live.wait_for_word(15.0)
        await pilot.pause()
        assert "READY" in app.picture()
