"""Asking by hand on the live screen: its line, its answer beside the load, and its end."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.link.protocol import AskByHand, EndByHand
from tui.metrics.aside import MAX_QUESTION_CHARS, Aside
from tui.metrics.snapshot import Snapshot
from tui.view.panes.aside import AsideBox, aside_lines
from tui.view.screens.live import LiveScreen
from tui.view.widgets.lines import text_of, width_of

SIZES = [(80, 24), (120, 40), (200, 50)]


def asked(**changes: object) -> Snapshot:
    snapshot = snapshots.mid_ramp()
    aside = Aside(
        question="Why is the sky blue?",
        answer="Because of [b]Rayleigh[/b] scattering.",
        users=24,
        asked_at_ns=snapshot.at_ns - 2 * 10**9,
        ttft_s=0.44,
        tokens=21,
        tokens_per_s=18.3,
    )
    return msgspec.structs.replace(snapshot, aside=msgspec.structs.replace(aside, **changes))


async def test_what_is_typed_is_asked_and_no_letter_of_it_steers() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("i", *"quiz", "space", *"g+1", "enter")
        assert app.sent == [AskByHand("quiz g+1")]
        await pilot.press("plus")
        assert len(app.sent) == 2  # the keys are the screen's again


async def test_esc_leaves_the_line_and_nothing_is_asked() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("i", "enter")
        assert app.live.query_one(AsideBox).typing  # nothing is no question
        await pilot.press("x", "escape")
        assert app.sent == [] and not app.live.query_one(AsideBox).display


async def test_a_question_is_bounded() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("i")
        line = app.live.query_one(AsideBox).line
        line.insert_text_at_cursor("y" * (MAX_QUESTION_CHARS + 1))
        assert len(line.value) <= MAX_QUESTION_CHARS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("presentation", [False, True])
async def test_the_answer_stands_beside_the_load_and_markup_is_text(size: tuple[int, int], presentation: bool) -> None:
    app = LiveApp(asked(), LiveScreen(presentation=presentation))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        picture = app.picture()
        for told in ("Why is the sky blue?", "Because of [b]Rayleigh[/b]", "0.44 s", "18.3 tokens/s", "24 users"):
            assert told in picture, told
        assert "in no figure" in picture


async def test_esc_ends_it_at_once_and_a_next_one_is_shown() -> None:
    app = LiveApp(asked())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("escape")
        assert app.sent == [EndByHand()] and not app.live.query_one(AsideBox).display
        app.live.show(asked())  # a picture from before the key
        await pilot.pause()
        assert not app.live.query_one(AsideBox).display
        app.live.show(asked(asked_at_ns=77))
        await pilot.pause()
        assert app.live.query_one(AsideBox).display


async def test_who_only_looks_sees_the_answer_and_asks_and_ends_nothing() -> None:
    app = LiveApp(asked(), LiveScreen(read_only=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "Why is the sky blue?" in app.picture()
        await pilot.press("i", "y", "escape")
        assert app.sent == [] and not app.live.query_one(AsideBox).display


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answer": "", "ttft_s": None, "tokens": 0, "tokens_per_s": None}, "waits for 2.0 s"),
        ({"over": "answered"}, "answered"),
        ({"over": "HTTP 503: busy", "failed": True}, "HTTP 503: busy"),
        ({"question": "[red]x[/red] \x1b[31m"}, "[red]x[/red]"),
    ],
)
def test_how_it_stands_is_told_in_words(changes: dict[str, object], told: str) -> None:
    assert told in text_of(aside_lines(asked(**changes), 80, 8))


@pytest.mark.parametrize("width", [40, 76, 196])
def test_a_long_answer_keeps_to_its_rows_with_its_latest_words(width: int) -> None:
    lines = aside_lines(asked(answer="word " * 800 + "last."), width, 8)
    assert len(lines) == 8 and "last." in text_of(lines)
    assert all(width_of(line) <= width for line in lines)
    assert "SIMULATED" in text_of(aside_lines(msgspec.structs.replace(asked(), simulated=True), width, 8))
