from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import HOSTILE
from tests.view.shell import DEMO, MIXTRAL, Shell, entry, listed, until
from tui.core.errors import ExitCode
from tui.link.protocol import Export, Linger, Relaunch, Reply, SetUsers, StopBench
from tui.metrics.reading import Event
from tui.metrics.snapshot import BytesRead, FailureReport, Phase, Snapshot, StageProgress
from tui.view.app import VrampApp
from tui.view.screens.dialogs import Question
from tui.view.screens.gone import GoneScreen, Stopping
from tui.view.screens.help import key_rows
from tui.view.screens.launch import LaunchScreen, LogTail, log_content, stages_content
from tui.view.screens.live import LiveScreen
from tui.view.screens.picker import PickerScreen
from tui.view.start import Launch


def picture(app: VrampApp) -> str:
    """Return what is on the screen as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def on(pilot: Pilot[int], kind: type[Screen[Any]]) -> Callable[[], bool]:
    """Return the condition that a screen of this kind is up."""
    return lambda: isinstance(pilot.app.screen, kind)


def text_of(app: VrampApp, selector: str) -> str:
    """Return what a Static on the screen says."""
    return str(app.screen.query_one(selector, Static).content)


async def shown(pilot: Pilot[int], state: str) -> None:
    """Wait until the launch screen has drawn a snapshot of this phase."""
    app = pilot.app
    await until(
        pilot,
        lambda: isinstance(app.screen, LaunchScreen) and state in str(app.screen.query_one("#title", Static).content),
    )


def at_phase(snapshot: Snapshot, phase: Phase) -> Snapshot:
    """Return the snapshot with its server in another phase."""
    return msgspec.structs.replace(snapshot, server=msgspec.structs.replace(snapshot.server, phase=phase))


async def test_a_launch_shows_its_stages_and_becomes_the_live_screen(shell: Shell) -> None:
    app = shell.launched(snapshots.launching())
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, "LAUNCHING")
        assert "weights" in text_of(app, "#stages")
        assert "40%  about 18 s left" in text_of(app, "#stages")  # 12 s for 40 %
        shell.benches.source.say(snapshots.mid_ramp())
        await until(pilot, on(pilot, LiveScreen))


async def test_a_key_for_users_says_that_it_is_too_early(shell: Shell) -> None:
    app = shell.launched(snapshots.launching())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, "LAUNCHING")
        await pilot.press("plus", "plus", "e", "g")  # e is a key of this screen's own too, but only after a failure
        await until(pilot, lambda: picture(app).count("Not yet: the server is starting") == 1)
        assert not any("user more" in text for _, text in key_rows(app, app.screen.active_bindings))
    assert shell.benches.source.requests == []


async def test_a_bench_that_falls_silent_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.view.app._LISTEN_S", 0.05)
    monkeypatch.setattr("tui.view.screens.live._LEAST_PATIENCE_S", 0.0)
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        await until(pilot, lambda: "NO WORD FOR 2 s" in picture(app))  # 3 snapshots are due in 1.5 s
        shell.benches.source.say(snapshots.mid_ramp())
        await until(pilot, lambda: "READY" in picture(app))


async def test_a_failure_is_told_in_words_with_its_line_and_advice(shell: Shell) -> None:
    app = shell.launched(snapshots.failed())
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, "FAILED")
        told = text_of(app, "#failure")
        assert "The KV cache does not fit" in told
        assert "at stage KV cache" in told
        assert "max seq len 32768" in told
        assert "lower max-model-len" in told
        await pilot.press("r")
        await until(pilot, lambda: Relaunch() in shell.benches.source.requests)


async def test_f_launches_it_again_as_the_advice_says_and_says_so(shell: Shell) -> None:
    app = shell.launched(snapshots.failed())
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, "FAILED")
        told = text_of(app, "#failure")
        assert "f  launches it with --max-model-len 16384 for this session" in told
        assert told.index("what helps") < told.index("its log says")
        await pilot.press("f")
        await until(pilot, lambda: Relaunch(remedied=True) in shell.benches.source.requests)
        again = at_phase(snapshots.failed(), Phase.RELAUNCHING)
        server = msgspec.structs.replace(again.server, overrides={"max-model-len": "16384"}, failure=None)
        shell.benches.source.say(msgspec.structs.replace(again, server=server))
        await shown(pilot, "RELAUNCHING")
        assert "in place of the profile's: --max-model-len 16384" in text_of(app, "#command")


async def test_f_is_no_key_where_the_advice_is_none_for_an_argument(shell: Shell) -> None:
    failed = snapshots.failed()
    assert failed.server.failure is not None
    failure = msgspec.structs.replace(failed.server.failure, remedy={})
    app = shell.launched(
        msgspec.structs.replace(failed, server=msgspec.structs.replace(failed.server, failure=failure))
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "FAILED")
        assert "launches it with" not in text_of(app, "#failure")
        await pilot.press("f", "r")
        await until(pilot, lambda: Relaunch() in shell.benches.source.requests)
        assert Relaunch(remedied=True) not in shell.benches.source.requests


async def test_relaunch_is_no_key_while_the_launch_goes_on(shell: Shell) -> None:
    app = shell.launched(snapshots.launching())
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, "LAUNCHING")
        await pilot.press("r")
        await pilot.pause()
        assert shell.benches.source.requests == []


async def test_a_bench_that_does_not_start_is_told_with_the_reason(shell: Shell) -> None:
    app = shell.launched(refusal="see /home/op/x.bench.log [/]")
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "FAILED")
        assert text_of(app, "#failure") == "see /home/op/x.bench.log [/]"
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == 0


async def test_back_from_a_failed_launch_stops_the_bench_and_shows_the_list(shell: Shell) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    shell.benches.source.say(snapshots.failed())
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("enter")
        await shown(pilot, "FAILED")
        await pilot.press("b")
        await until(pilot, on(pilot, PickerScreen))
        assert shell.benches.source.requests == [StopBench()]
        assert shell.benches.source.closed


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_leaving_while_a_bench_still_stops_counts(
    key: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    source = shell.benches.source
    monkeypatch.setattr(source, "say_farewell", lambda: None)
    source.say(snapshots.failed())
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("enter")
        await shown(pilot, "FAILED")
        await pilot.press("b")
        await until(pilot, on(pilot, Stopping))
        await pilot.press(key)
        assert "Then vramp ends" in str(app.screen.query_one(Static).content)
        assert app.return_value is None
        source.lose("")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == 0


async def test_what_was_measured_before_a_failure_can_be_looked_at(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        shell.benches.source.say(at_phase(snapshots.oom_grid(), Phase.FAILED))
        await shown(pilot, "FAILED")
        await pilot.press("p")
        await until(pilot, on(pilot, LiveScreen))


async def test_leaving_a_live_run_asks_and_escape_stays(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        await pilot.press("q")
        await until(pilot, on(pilot, Question))
        await pilot.press("escape")
        await until(pilot, on(pilot, LiveScreen))
        assert shell.benches.source.requests == []


@pytest.mark.parametrize(
    ("key", "sent", "farewell"),
    [("d", Linger(), "goes on; come back by: vramp attach"), ("s", StopBench(), "is kept in")],
)
async def test_leaving_a_live_run_detaches_or_stops_all(shell: Shell, key: str, sent: object, farewell: str) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        await pilot.press("q")
        await until(pilot, on(pilot, Question))
        await pilot.press(key)
        await until(pilot, lambda: app.return_value is not None)
    assert shell.benches.source.requests == [sent]
    assert farewell in app.farewell
    assert app.return_value == 0


async def test_a_ready_server_does_not_take_the_question_away(shell: Shell) -> None:
    app = shell.launched(snapshots.launching())
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "LAUNCHING")
        await pilot.press("q")
        await until(pilot, on(pilot, Question))
        shell.benches.source.say(snapshots.mid_ramp())
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("escape")
        shell.benches.source.say(snapshots.mid_ramp(1))
        await until(pilot, on(pilot, LiveScreen))


async def test_a_bench_that_goes_away_is_told_with_what_is_kept(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        shell.benches.source.lose("the bench is gone")
        await until(pilot, on(pilot, GoneScreen))
        await pilot.press("q")
        await pilot.pause()
    assert "is kept in" in app.farewell
    assert app.return_value == ExitCode.UNEXPECTED


async def test_a_bench_that_somebody_else_ended_was_interrupted_and_is_no_fault(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        shell.benches.source.took_leave = True
        shell.benches.source.say_farewell()
        await until(pilot, on(pilot, GoneScreen))
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == ExitCode.INTERRUPTED


async def test_who_goes_back_to_the_profiles_leaves_a_bench_that_was_gone_behind(shell: Shell) -> None:
    app = shell.picker(entries=(entry(DEMO),))
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot)
        await pilot.press("enter")
        shell.benches.source.say(snapshots.mid_ramp())
        await until(pilot, on(pilot, LiveScreen))
        shell.benches.source.lose("the bench is gone")
        await until(pilot, on(pilot, GoneScreen))
        await pilot.press("b")
        await until(pilot, on(pilot, PickerScreen))
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == 0


async def test_a_bench_that_comes_just_as_one_leaves_is_ended(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    app = shell.launched()
    benches, comes = shell.benches, asyncio.Event()

    async def launch(_: Launch) -> object:
        await comes.wait()
        return benches.source

    async def on_mount(_: Stopping) -> None:
        """Between the key and the end of what opens: it has opened."""
        comes.set()
        while app._bridge is None:
            await asyncio.sleep(0)

    monkeypatch.setattr(benches, "launch", launch)
    monkeypatch.setattr(Stopping, "on_mount", on_mount, raising=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(pilot, LaunchScreen))
        await pilot.press("q")
        await until(pilot, lambda: app.return_value is not None)
    assert benches.source.requests == [StopBench()] and benches.source.closed
    assert app.return_value == 0


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_logs_stages_and_failures_are_drawn_as_they_are(shell: Shell, text: str) -> None:
    failed = snapshots.failed()
    report = FailureReport(failure="crash", summary=text, line=text, advice=text)
    stages = [msgspec.structs.replace(stage, name=text) for stage in failed.server.stages]
    hostile = msgspec.structs.replace(
        failed,
        profile_title=text,
        command_line=text,
        log=[Event(at_ns=1, source=text, text=text, level=text)],
        server=msgspec.structs.replace(failed.server, failure=report, stages=stages),
    )
    app = shell.launched(hostile)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "FAILED")
        drawn = "".join(text_of(app, part) for part in ("#title", "#command", "#stages", "#failure"))
        drawn += str(app.screen.query_one(LogTail).render())
        assert "\x1b" not in drawn and "\x07" not in drawn


def test_the_log_shows_its_end_newest_last() -> None:
    events = [Event(at_ns=number, source="server", text=f"line {number}") for number in range(50)]
    rows = str(log_content(events, 40, 3)).splitlines()
    assert [row.split()[-1] for row in rows] == ["47", "48", "49"]
    assert str(log_content(events, 40, 0)) == ""
    assert all(len(row) <= 12 for row in str(log_content(events, 12, 3)).splitlines())


def test_stages_tell_their_state_without_colour_in_ascii_too() -> None:
    text = str(stages_content(snapshots.failed().server.stages, 120, ascii_only=True))
    assert text.isascii()
    assert "x KV cache" in text
    assert "failed here" in text


async def test_an_edited_profile_is_launched_as_it_was_wished(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mixtral-8x7b-awq.toml"
    path.write_text(MIXTRAL)
    wish = Launch(replace(entry(MIXTRAL, shipped=False), path=path), start="sweep", time_scale=2.0)
    app = shell.app(wish, snapshots.failed())

    async def edited(_: object, __: object) -> Path:
        path.write_text(MIXTRAL.replace("max-model-len = 8192", "max-model-len = 4096"))
        return path

    monkeypatch.setattr("tui.view.app.edit_profile", edited)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, "FAILED")
        await pilot.press("e")
        await until(pilot, lambda: len(shell.benches.launched) == 2)
    (_, start), (again, start_again) = shell.benches.launched
    assert (start, start_again) == ("sweep", "sweep")
    assert again.profile is not None and again.profile.server is not None
    assert again.profile.server.args["max-model-len"] == 4096
    assert StopBench() in shell.benches.source.requests


async def test_an_export_is_told_with_its_folder(shell: Shell) -> None:
    app = shell.launched(snapshots.mid_ramp())
    shell.benches.source.answer = Reply(number=1, ok=True, message="/sessions/[/x]")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        await pilot.press("x")
        await until(pilot, lambda: "▸ exported to /sessions/[/x]" in picture(app))
        assert not app._notifications
    assert shell.benches.source.requests[0] == Export()


async def test_where_the_session_is_not_kept_the_operator_chooses_once_how_to_go_on(shell: Shell) -> None:
    unkept = msgspec.structs.replace(snapshots.mid_ramp(), unkept="the session is not being kept: disk full")
    app = shell.launched(snapshots.mid_ramp())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(pilot, LiveScreen))
        shell.benches.source.say(unkept)
        await until(pilot, on(pilot, Question))
        await pilot.press("s", "q", "x", "plus")
        await until(pilot, on(pilot, Question))
        await pilot.press("e")
        await until(pilot, on(pilot, LiveScreen))
        await until(pilot, lambda: bool(shell.benches.source.requests))
        shell.benches.source.say(unkept)
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)
    assert shell.benches.source.requests == [SetUsers(users=0, cut=True)]


async def test_going_on_in_memory_is_the_harmless_answer(shell: Shell) -> None:
    app = shell.launched(msgspec.structs.replace(snapshots.mid_ramp(), unkept="the session is not being kept"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(pilot, Question))
        await pilot.press("enter")
        await until(pilot, on(pilot, LiveScreen))
    assert shell.benches.source.requests == []


def test_a_stage_that_reads_the_weights_tells_their_bytes_and_how_long_it_goes_on() -> None:
    stages = [StageProgress(name="loading weights", state="current", seconds=10.0, progress=0.25)]
    assert "GB" not in str(stages_content(stages, 120))
    read = msgspec.structs.replace(stages[0], read=BytesRead(3_600_000_000, 14_500_000_000))
    assert "25%  3.6 of 14.5 GB  about 30 s left" in str(stages_content([read], 120))


@pytest.mark.parametrize("width", [56, 76, 96, 116])
def test_a_stage_under_way_keeps_to_its_row(width: int) -> None:
    read = BytesRead(done=52_000_000_000, total=141_000_000_000)
    stage = StageProgress(name="weights", state="current", seconds=120.0, progress=0.37, read=read)
    row = str(stages_content([stage], width))
    assert len(row) <= width and " 37%" in row
    assert ("about 3 min left" in row, "52.0 of 141.0 GB" in row) == (width >= 76, width >= 96)
