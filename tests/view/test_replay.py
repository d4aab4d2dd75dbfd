from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes import snapshots
from tests.view.shell import Shell, until
from tui.core.clock import NS_PER_S
from tui.metrics.snapshot import Phase, Snapshot
from tui.view import replaying
from tui.view.panes.key_line import KeyLine
from tui.view.replaying import ReplaySource
from tui.view.screens.fact_sheet import FactSheet
from tui.view.screens.help import HelpScreen
from tui.view.screens.replay import ReplayScreen
from tui.view.start import Replay

LENGTH_S = 200


class _Reader:
    """A session of 200 s whose pictures are only their moments."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def _last() -> Snapshot:
    full = snapshots.full_grid()
    server = msgspec.structs.replace(full.server, phase=Phase.ENDED)
    return msgspec.structs.replace(full, server=server, at_ns=full.started_at_ns + LENGTH_S * NS_PER_S)


@pytest.fixture
def reader() -> _Reader:
    return _Reader()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, reader: _Reader) -> ReplaySource:
    last = _last()

    def at(_: object, at_ns: int | None, beside: object) -> Snapshot:
        return last if at_ns is None else msgspec.structs.replace(last, at_ns=at_ns)

    monkeypatch.setattr(replaying, "snapshot_at", at)
    monkeypatch.setattr(replaying, "PLAY_TICK_S", 0.01)
    return ReplaySource(reader, last, ThreadPoolExecutor(1))  # type: ignore[arg-type]


async def test_it_begins_at_the_end_and_steps_stay_within_the_session(source: ReplaySource, reader: _Reader) -> None:
    moments = source.snapshots()
    last = _last()
    assert (await anext(moments)).at_ns == last.at_ns
    source.step(-1)
    assert (await anext(moments)).at_ns == last.at_ns - 2 * NS_PER_S
    source.step(-1000)
    assert (await anext(moments)).at_ns == last.started_at_ns
    source.step(1000)
    assert (await anext(moments)).at_ns == last.at_ns
    await source.close()
    assert [snapshot async for snapshot in moments] == []
    assert reader.closed


async def test_playing_goes_on_to_the_end_and_stops_there(source: ReplaySource) -> None:
    for _ in range(3):
        source.faster()
    assert source.speed == 64.0
    source.toggle_playing()
    seen = []
    async for snapshot in source.snapshots():
        seen.append(snapshot.at_ns)
        source.speed = 4000.0
        if not source.playing:
            break
    assert seen[0] == _last().started_at_ns
    assert seen == sorted(seen)
    assert seen[-1] == _last().at_ns
    await source.close()


async def test_nothing_of_the_past_can_be_steered(source: ReplaySource) -> None:
    assert not (await source.request(None)).ok  # type: ignore[arg-type]
    await source.close()


async def test_keys_go_through_the_time_and_q_leaves_without_a_question(
    shell: Shell, source: ReplaySource, reader: _Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shell.app(Replay(Path("/sessions/x.vramp")))

    async def opened(path: Path, reference: object) -> Any:
        return source

    monkeypatch.setattr(shell.benches, "replay", opened)
    last = _last()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReplayScreen))
        await pilot.press("left")
        await until(pilot, lambda: app.screen.snapshot.at_ns == last.at_ns - 2 * NS_PER_S)  # type: ignore[attr-defined]
        await pilot.press("home")
        await until(pilot, lambda: app.screen.snapshot.at_ns == last.started_at_ns)  # type: ignore[attr-defined]
        footer = "".join(text for line in app.screen.query_one(KeyLine)._lines for text, _ in line)
        for keys in ("space play", ", . step", "f faster", "home end ends", "q leave"):
            assert keys in footer
        assert "REPLAY" in app.export_screenshot()
        assert "00:00:00 of 00:03:20" in app.export_screenshot().replace("&#160;", " ")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = app.screen.query_one(FactSheet).plain
        assert "play, or stop" in text
        for word in ("one user more", "start or stop the sweep", "write the session"):  # nothing to steer here
            assert word not in text
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ReplayScreen))
        await pilot.press("end", "q")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value == 0
    assert reader.closed


async def test_where_the_first_cell_was_measured_is_told(source: ReplaySource, reader: _Reader) -> None:
    started_ns = _last().started_at_ns
    cells = [msgspec.structs.replace(cell, started_at_ns=0) for cell in _last().grid.cells[:3]]
    reader.cells = lambda: cells  # type: ignore[attr-defined]
    assert await source.first_measured_ns() == started_ns
    cells[1] = msgspec.structs.replace(cells[1], started_at_ns=started_ns + 7)
    assert await source.first_measured_ns() == started_ns + 7
