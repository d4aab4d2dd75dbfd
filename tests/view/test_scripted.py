"""A script on stage: what it asks for, what its keys do there, and that they mean nothing else elsewhere."""

from __future__ import annotations

import msgspec

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.core.clock import NS_PER_S
from tui.link.protocol import AskByHand, FindEdge, SetPromptTokens, SetUsers, StartRamp
from tui.profile.demo_table import DemoStep, DemoTable
from tui.view.screens.live import LiveScreen
from tui.view.script import Script

TABLE = DemoTable(
    step=[
        DemoStep(caption="One [b]person[/b] asks.", users=1, prompt_tokens=64, seconds=2.0),
        DemoStep(caption="A question.", ask="why?", seconds=2.0),
        DemoStep(caption="The table.", view="grid", do="find-edge", seconds=2.0),
    ]
)


def app_on_stage(*, read_only: bool = False) -> LiveApp:
    return LiveApp(snapshots.mid_ramp(), LiveScreen(presentation=True, script=Script(TABLE), read_only=read_only))


def show(app: LiveApp, seconds: float) -> None:
    base = snapshots.mid_ramp()
    app.live.show(msgspec.structs.replace(base, at_ns=base.at_ns + round(seconds * NS_PER_S)))


async def test_it_is_run_by_a_key_and_carries_its_steps_out() -> None:
    app = app_on_stage()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "a script of 3 steps: r runs it" in app.picture()
        await pilot.press("r")
        assert app.sent == [SetPromptTokens(prompt_tokens=64), SetUsers(users=1)]
        assert "One [b]person[/b] asks." in app.picture() and "step 1 of 3, runs" in app.picture()
        for seconds in (2.5, 5.0):
            show(app, seconds)
            await pilot.pause()
        assert app.sent[2:] == [AskByHand("why?"), FindEdge()]
        assert not app.live.presenting and app.live.active.KEY == "4"
        assert "The table." in app.picture()


async def test_an_edge_is_looked_for_at_the_size_that_a_step_names() -> None:
    table = DemoTable.model_validate({"step": [{"do": "find-edge", "prompt_tokens": 1024}]})
    app = LiveApp(snapshots.mid_ramp(), LiveScreen(presentation=True, script=Script(table)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        assert app.sent == [FindEdge(prompt_tokens=1024)]


async def test_space_holds_it_and_arrows_go_through_it() -> None:
    app = app_on_stage()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("right", "space")
        assert app.live.script is not None and app.live.script.running and not app.live.held
        await pilot.press("space")
        assert "step 1 of 3, is held" in app.picture()
        await pilot.press("right")
        assert app.sent[-1] == AskByHand("why?")
        await pilot.press("left")
        assert SetUsers(users=1) in app.sent[-2:]


async def test_its_keys_are_its_own_only_on_stage() -> None:
    app = app_on_stage()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s", "r", "space")
        assert app.sent == [StartRamp()] and app.live.held
        assert app.live.script is not None and app.live.script.place == -1


async def test_who_only_looks_runs_no_script() -> None:
    app = app_on_stage(read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r", "right")
        assert app.sent == [] and "script" not in app.picture()
