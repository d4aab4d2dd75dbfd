"""One key plays the last good session in place of one that fails, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes import snapshots
from tests.fakes.benches import FakeBenches, FakeSource
from tests.view.shell import DEMO, entry
from tui.core.paths import socket_of
from tui.metrics.snapshot import Phase, Snapshot
from tui.session.session_summary import SessionSummary
from tui.view import stand_in
from tui.view.app import VrampApp
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.replay import ReplayScreen
from tui.view.stand_in import last_good
from tui.view.start import Launch


def kept(name: str, profile: str, ok: int = 3) -> SessionSummary:
    return SessionSummary(session_id=name, file=f"/sessions/{name}.vramp", profile=profile, cells_ok=ok)


@pytest.mark.parametrize(
    ("shelf", "found"),
    [
        ([kept("now", "demo"), kept("b", "other"), kept("a", "demo")], "a"),
        ([kept("now", "demo"), kept("b", "other"), kept("c", "more")], "b"),
        ([kept("now", "demo"), kept("a", "demo", ok=0)], None),
    ],
)
def test_the_last_good_one_is_of_the_same_profile_where_there_is_one(
    shelf: list[SessionSummary], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "summaries", lambda newest: shelf)
    assert last_good("demo", besides="now") == (found and Path(f"/sessions/{found}.vramp"))


class Benches(FakeBenches):
    """A bench that fails, and a session that was good."""

    def __init__(self, failing: FakeSource, good: FakeSource) -> None:
        super().__init__(failing)
        self.good = good
        self.replayed: list[Path] = []

    async def replay(self, path: Path, reference: dict[str, str] | None = None) -> FakeSource:
        self.replayed.append(path)
        return self.good


def ended() -> Snapshot:
    base = snapshots.full_grid(simulated=True)
    return msgspec.structs.replace(base, server=msgspec.structs.replace(base.server, phase=Phase.ENDED))


async def shown(pilot: Any, app: VrampApp, kind: type) -> None:
    for _ in range(100):
        await pilot.pause(0.02)
        if isinstance(app.screen, kind):
            return
    raise AssertionError(f"{app.screen} is no {kind}")


async def test_what_fails_is_replaced_on_stage_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_in, "summaries", lambda newest: [kept("good", "demo")])
    failing, good = FakeSource(), FakeSource()
    benches = Benches(failing, good)
    app = VrampApp(Launch(entry(DEMO), presentation=True), benches)
    async with app.run_test(size=(100, 30)) as pilot:
        failing.say(snapshots.failed())
        await shown(pilot, app, LaunchScreen)
        await pilot.pause(0.1)
        good.say(ended())
        await pilot.press("P")
        await shown(pilot, app, ReplayScreen)
        assert isinstance(app.screen, ReplayScreen) and app.screen.presenting
        await pilot.pause(0.1)
        picture = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert " REPLAY " in picture and " SIMULATED " in picture
        assert benches.replayed == [Path("/sessions/good.vramp")]
        await pilot.press("P")
        await pilot.pause(0.1)
        assert benches.attached == [(socket_of(snapshots.failed().session_id), False)]


async def test_where_no_session_was_good_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_in, "summaries", lambda newest: [])
    failing = FakeSource()
    benches = Benches(failing, FakeSource())
    app = VrampApp(Launch(entry(DEMO)), benches)
    async with app.run_test(size=(100, 30)) as pilot:
        failing.say(snapshots.failed())
        await shown(pilot, app, LaunchScreen)
        await pilot.pause(0.1)
        await pilot.press("P")
        await pilot.pause(0.2)
        assert benches.replayed == [] and isinstance(app.screen, LaunchScreen)
