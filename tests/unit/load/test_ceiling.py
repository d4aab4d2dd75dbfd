"""What the client can carry: measured for real once, remembered, and held against what comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import psutil
import pytest

from tui.core.clock import NS_PER_S
from tui.load import ceiling as ceiling_module
from tui.load.ceiling import Ceiling, CeilingGauge, known_ceiling, measure_ceiling
from tui.load.wire import LoadProgress


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vramp"


def progress(at_s: float, events: int, *, cpu_share: float = 0.1, workers: int = 1) -> LoadProgress:
    return LoadProgress(
        at_ns=round(at_s * NS_PER_S),
        users_active=1,
        in_flight=1,
        events=events,
        cpu_share=cpu_share,
        workers=workers,
    )


def gauge(tokens_per_s: float | None = 10_000.0) -> CeilingGauge:
    held = CeilingGauge()
    if tokens_per_s is not None:
        held.ceiling = Ceiling(key="here", tokens_per_s=tokens_per_s, streams=500, us_per_event=100.0)
    return held


async def test_it_measures_itself_and_remembers(cache: Path) -> None:
    assert known_ceiling() is None
    measured = await measure_ceiling()
    assert measured.tokens_per_s > 0
    assert measured.us_per_event == pytest.approx(1e6 / measured.tokens_per_s, rel=0.01)
    assert 1 <= measured.streams <= measured.tokens_per_s
    assert known_ceiling() == measured
    assert [file.suffix for file in cache.iterdir()] == [".json"]


async def test_giving_up_leaves_no_process(cache: Path) -> None:
    measuring = asyncio.create_task(measure_ceiling())
    us = psutil.Process()
    async with asyncio.timeout(30):
        # The process, and the worker that it has started.
        while len(started := us.children(recursive=True)) < 2:
            await asyncio.sleep(0.01)
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in started):
            await asyncio.sleep(0.01)
    assert known_ceiling() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"key":"elsewhere","tokens_per_s":1,"streams":1,"us_per_event":1}', b"\xff" * 9]
)
def test_a_file_that_is_not_of_this_machine_is_none(cache: Path, content: bytes) -> None:
    cache.mkdir()
    ceiling_module._file().write_bytes(content)
    assert known_ceiling() is None


def test_a_ceiling_of_nothing_is_none(cache: Path) -> None:
    cache.mkdir()
    of_nothing = Ceiling(key=ceiling_module._key(), tokens_per_s=0.0, streams=1, us_per_event=1.0)
    ceiling_module._file().write_bytes(msgspec.json.encode(of_nothing))
    assert known_ceiling() is None


def test_nothing_is_told_before_anything_is_known() -> None:
    assert gauge().share is None


def test_without_a_ceiling_the_cpu_share_stands() -> None:
    held = gauge(None)
    held.take(progress(1.0, 100, cpu_share=0.3))
    held.take(progress(1.1, 100, cpu_share=0.4))
    assert held.share == 0.4


def test_events_are_held_against_the_ceiling_of_all_workers() -> None:
    held = gauge()
    for tick in range(31):
        held.take(progress(tick / 10, 500, workers=2))
    assert held.share == pytest.approx(0.25)  # 5,000 events/s of 2 x 10,000


def test_the_larger_share_counts() -> None:
    held = gauge()
    for tick in range(31):
        held.take(progress(tick / 10, 500, cpu_share=0.9, workers=2))
    assert held.share == 0.9


def test_a_load_that_ended_counts_no_more() -> None:
    held = gauge()
    for tick in range(31):
        held.take(progress(tick / 10, 500 if tick < 15 else 0, cpu_share=0.01))
    assert held.share == 0.01
