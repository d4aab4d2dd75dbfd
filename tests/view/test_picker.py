from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from tests.fakes.snapshot_parts import HOSTILE
from tests.view.shell import ATTACHED, DEMO, MIXTRAL, Shell, entry, listed, until
from tui.profile.catalogue import ProfileEntry
from tui.server import finding
from tui.server.finding import FoundServer
from tui.view.app import VrampApp
from tui.view.catalogue_reading import Candidate
from tui.view.screens.attach import AttachScreen
from tui.view.screens.dialogs import Form, Question
from tui.view.screens.fact_sheet import FactSheet
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.picker import PickerScreen
from tui.view.screens.profile_list import ProfileList
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import text_of

SESSION = "2026-11-20-180412-demo-3f2a"


def names(app: VrampApp) -> list[str]:
    """Return the first lines of the list."""
    options = app.screen.query_one(OptionList).options
    return [str(option.prompt).split()[0] for option in options if not option.disabled]


def facts(app: VrampApp) -> str:
    """Return the right side as text."""
    return app.screen.query_one(FactSheet).plain


async def test_the_facts_follow_the_choice(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        assert names(app) == ["broken", "office", "mixtral-8x7b-awq", "demo"]
        groups = [str(each.prompt).split()[0] for each in app.screen.query_one(OptionList).options if each.disabled]
        assert groups == ["yours", "shipped", "simulated"]
        await pilot.press("home")
        await pilot.pause()
        assert "did you mean engine?" in facts(app)
        await pilot.press("end", "up")
        await pilot.pause()
        drawn = text_of(app.screen.query_one("#picture", Canvas)._lines)
        assert "last grid" in drawn and "★ 32 users × 296 tok" in drawn
        assert "vllm serve casperhansen/mixtral-instruct-awq" in facts(app)
        assert "✕ 2 GPUs  1 × NVIDIA L4" in facts(app)
        assert "8 × 7 = 56 cells" in facts(app)
        assert "about 33 min by warm-up and duration per cell" in facts(app)
        assert "best 32 users × 296 tokens" in facts(app)


async def test_a_list_begins_at_what_can_be_had_here_and_no_shipped_address_counts_as_that(shell: Shell) -> None:
    for shipped, first in ((True, "demo"), (False, "office")):
        app = shell.picker(entries=(entry(ATTACHED, shipped=shipped), entry(DEMO), entry(MIXTRAL)))
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await listed(pilot)
            chosen = screen.query_one(ProfileList).chosen
            assert isinstance(chosen, Candidate)
            assert chosen.entry.name == first


async def test_enter_launches_the_chosen_profile(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("end", "enter")
        await until(pilot, lambda: bool(shell.benches.launched))
        assert shell.benches.launched[0][0].name == "demo"
        assert shell.benches.launched[0][1] == "idle"
        assert isinstance(app.screen, LaunchScreen)


async def test_a_profile_with_mistakes_is_not_launched(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("home", "enter")
        await pilot.pause()
        assert shell.benches.launched == []
        assert isinstance(app.screen, PickerScreen)


async def test_running_benches_are_on_top_and_enter_attaches(shell: Shell) -> None:
    app = shell.picker(running=[SESSION])
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        assert names(app)[0] == "demo"
        assert len(names(app)) == 5
        await pilot.pause()
        assert "runs on this machine" in facts(app)
        await pilot.press("enter")
        await until(pilot, lambda: bool(shell.benches.attached))
        assert shell.benches.attached[0][0].stem == SESSION
        assert shell.benches.attached[0][1] is False


async def test_search_narrows_by_name_title_and_state_and_escape_shows_all(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("slash", *"awq")
        await pilot.pause()
        assert names(app) == ["mixtral-8x7b-awq"]
        app.screen.query_one(Input).value = "simul"
        await pilot.pause()
        assert names(app) == ["demo"]
        app.screen.query_one(Input).value = "no such thing"
        await pilot.pause()
        assert names(app) == []
        assert "nothing is called so" in facts(app)
        await pilot.press("escape")
        await pilot.pause()
        assert len(names(app)) == 4


async def test_q_in_the_search_is_a_letter_and_in_the_list_leaves(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("slash", "q", "colon")
        assert app.screen.query_one(Input).value == "q:"
        await pilot.press("escape", "q")
        await pilot.pause()
    assert app.return_value == 0
    assert app.farewell == ""


async def test_attach_puts_the_load_of_the_profile_on_a_url(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("end", "a")
        await until(pilot, lambda: isinstance(app.screen, AttachScreen))
        await pilot.press(*"nonsense", "enter", "enter")
        await pilot.pause()
        assert "expected http://" in str(app.screen.query_one(".problem", Static).content)
        assert "No server" in str(app.screen.query_one("#looking", Static).content)
        first, last = app.screen.query(Input)
        first.value = "http://10.1.1.1:8000/v1/"
        last.focus()
        await pilot.press("enter")
        await until(pilot, lambda: bool(shell.benches.launched))
        profile = shell.benches.launched[0][0].profile
        assert profile is not None and profile.server is None and profile.attach is not None
        assert profile.attach.base_url == "http://10.1.1.1:8000/v1/"
        assert profile.load.users == [1, 2, 4, 8, 16, 32, 64, 128]


async def test_attach_lists_what_is_found_while_it_looks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    more = asyncio.Event()

    async def find_servers(on_found: Callable[[FoundServer], None]) -> list[FoundServer]:
        on_found(FoundServer("tgi", "http://127.0.0.1:3000", "org/[b]m", "tgi"))
        await more.wait()
        on_found(FoundServer("openai", "https://127.0.0.1:8443", "", "", wants_key=True, verified=False))
        return []

    monkeypatch.setattr(finding, "find_servers", find_servers)
    monkeypatch.setenv("THE_KEY", "k")
    app = shell.picker()
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("end", "a")
        await until(
            pilot, lambda: isinstance(app.screen, AttachScreen) and bool(app.screen.query_one(OptionList).option_count)
        )
        found = app.screen.query_one(OptionList)
        assert "Text Generation Inference" in str(found.get_option_at_index(0).prompt)
        assert "org/[b]m (tgi)" in " ".join(str(found.get_option_at_index(0).prompt).split())
        assert "looking" in str(app.screen.query_one("#looking", Static).content)
        more.set()
        await until(pilot, lambda: found.option_count == 2)
        await until(pilot, lambda: found.has_focus)
        await pilot.press("down", "enter")  # the one that wants a key
        await pilot.pause()
        assert "wants a key" in str(app.screen.query_one(".problem", Static).content)
        app.screen.query_one("#key", Input).value = "THE_KEY"
        found.focus()
        await pilot.press("enter")
        await until(pilot, lambda: bool(shell.benches.launched))
    profile = shell.benches.launched[0][0].profile
    assert profile is not None and profile.attach is not None
    assert (profile.engine, profile.attach.base_url) == ("vllm", "https://127.0.0.1:8443")
    assert (profile.attach.api_key_env, profile.attach.verify) == ("THE_KEY", False)


async def test_a_found_server_is_asked_in_its_own_way(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find_servers(on_found: Callable[[FoundServer], None]) -> list[FoundServer]:
        on_found(FoundServer("tgi", "http://127.0.0.1:3000", "org/m", "tgi"))
        return []

    monkeypatch.setattr(finding, "find_servers", find_servers)
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("end", "a")
        await until(pilot, lambda: isinstance(app.screen, AttachScreen) and app.screen.query_one(OptionList).has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: bool(shell.benches.launched))
    profile = shell.benches.launched[0][0].profile
    assert profile is not None and profile.attach is not None
    assert (profile.engine, profile.attach.base_url) == ("tgi", "http://127.0.0.1:3000")
    assert profile.load.users == [1, 2, 4, 8, 16, 32, 64, 128]


async def test_escape_leaves_a_form_without_doing_anything(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("end", "a")
        await until(pilot, lambda: isinstance(app.screen, AttachScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        assert shell.benches.launched == []


async def test_copy_takes_a_new_name_and_never_that_of_another_profile(shell: Shell, tmp_path: Path) -> None:
    source = tmp_path / "demo.toml"
    source.write_text(DEMO)
    app = shell.picker(entries=(replace(entry(DEMO), path=source),))
    folder = tmp_path / "config" / "vramp" / "profiles"
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Form))
        field = app.screen.query_one(Input)
        assert field.value == "demo-copy"
        for taken in ("demo", "mistral-7b", "../evil", ""):
            field.value = taken
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, Form)
        assert not folder.exists()
        field.value = "mine"
        await pilot.press("enter")
        await until(pilot, (folder / "mine.toml").exists)
        assert (folder / "mine.toml").read_text() == DEMO.replace('name = "demo"', 'name = "mine"')
        assert source.read_text() == DEMO


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_names_and_texts_are_drawn_as_they_are(shell: Shell, text: str) -> None:
    hostile = entry(MIXTRAL)
    assert hostile.profile is not None
    profile = hostile.profile.model_copy(update={"title": text, "notes": text})
    assert profile.server is not None
    server = profile.server.model_copy(update={"model": text, "extra_args": [text], "env": {"A": text}})
    broken = ProfileEntry(text, hostile.path, None, [f"x: {text}"], shipped=False)
    entries = (replace(hostile, name=text, profile=profile.model_copy(update={"server": server})), broken)
    app = shell.picker(entries=entries)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("down")
        await pilot.pause()
        assert app.screen.query_one(OptionList).option_count == 4  # the names of two groups among them
        drawn = facts(app) + "".join(names(app))
        assert "\x1b" not in drawn and "\x07" not in drawn


async def test_the_list_has_the_focus_whenever_it_comes_back(shell: Shell) -> None:
    app = shell.picker()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await listed(pilot)
        await pilot.press("slash", *"demo", "enter")
        screen.set_focus(None)  # as a click beside everything does
        await pilot.press("question_mark")
        await until(pilot, lambda: not isinstance(app.screen, PickerScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        await pilot.pause()
        assert isinstance(app.focused, OptionList)


@pytest.mark.parametrize(("keys", "launched"), [(("enter",), 0), (("n",), 0), (("escape",), 0), (("l",), 1)])
async def test_what_cannot_run_here_is_launched_only_by_a_second_key_of_its_own(
    shell: Shell, keys: tuple[str, ...], launched: int
) -> None:
    app = shell.picker(entries=(entry(MIXTRAL), entry(DEMO.replace('"demo"', '"sim-mixtral-8x7b-awq"', 1))))
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, Question))
        asked = str(app.screen.query_one(".text", Static).content)
        assert "2 GPUs: 1 × NVIDIA L4" in asked and "vllm: not on the PATH" in asked
        assert "Its simulated twin runs anywhere: sim-mixtral-8x7b-awq" in asked
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(app.screen, Question))
        await pilot.pause()
        assert len(shell.benches.launched) == launched
