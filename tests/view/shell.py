"""The app with a fake bench and a fixed catalogue, for tests of all screens but the live one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.fakes.benches import FakeBenches, FakeSource
from tui.core.outcome import Outcome
from tui.metrics.snapshot import Snapshot
from tui.preflight import Machine
from tui.profile.catalogue import ProfileEntry
from tui.profile.loader import parse_profile
from tui.profile.settings import Settings
from tui.server import finding
from tui.server.finding import FoundServer
from tui.session.session_summary import GridCell, SessionSummary
from tui.view.app import VrampApp
from tui.view.catalogue_reading import Reading, candidate_of
from tui.view.screens.picker import PickerScreen
from tui.view.start import Launch, Picker, StartWish

MIXTRAL = """
name = "mixtral-8x7b-awq"
title = "Mixtral 8x7B AWQ 4-bit on 2 x A100 40 GB"
notes = "Table V of the reference study."
engine = "vllm"
[server]
model = "casperhansen/mixtral-instruct-awq"
gpus = [0, 1]
[server.args]
tensor-parallel-size = 2
gpu-memory-utilization = 0.95
quantization = "awq"
max-model-len = 8192
[load]
mode = "steady"
[slo]
ttft_s = 1.0
[cost]
price_per_hour = 4.94
"""
DEMO = 'name = "demo"\ntitle = "Demo: a simulated server"\nengine = "simulated"\n[server]\nmodel = "demo"\n'
ATTACHED = 'name = "office"\nengine = "vllm"\n[attach]\nbase_url = "http://10.0.0.4:8000"\n'
LAST = SessionSummary(
    session_id="2026-11-19-180411-mixtral-8x7b-awq-0a1b",
    file="/sessions/x.vramp",
    profile="mixtral-8x7b-awq",
    started_at="2026-11-19T18:04:11+00:00",
    state="ended",
    simulated=False,
    best_users=32,
    best_prompt_tokens=296,
    best_tokens_per_s_total=512.0,
    best_tokens_per_s_per_user=16.1,
    best_ttft_p50_s=0.42,
    cells_measured=20,
    cells_ok=18,
    grid=[
        GridCell(users, size, Outcome.OOM_KV if users * size > 20_000 else Outcome.OK, 3.0 + users * size / 4000)
        for users in (1, 8, 32, 64)
        for size in (31, 119, 296, 480, 822)
    ],
)
MACHINE = Machine(gpu_names=("NVIDIA L4",), path="/nowhere")


def entry(text: str, *, shipped: bool = True) -> ProfileEntry:
    """Return a profile as an entry whose file need not exist."""
    profile = parse_profile(text, "test")
    return ProfileEntry(profile.name, Path(f"/profiles/{profile.name}.toml"), profile, [], shipped)


def broken_entry() -> ProfileEntry:
    """Return a profile with mistakes."""
    path = Path("/profiles/broken.toml")
    problems = [
        f"{path}: engin: found an unknown key, expected one of name, title, engine; did you mean engine?",
        f"{path}: load.users[0]: found 0, expected 1 or more",
    ]
    return ProfileEntry("broken", path, None, problems, shipped=False)


def reading(*entries: ProfileEntry, benches: FakeBenches | None = None) -> Reading:
    """Return a catalogue on a machine with one card and no vllm."""
    chosen = entries or (broken_entry(), entry(ATTACHED, shipped=False), entry(DEMO), entry(MIXTRAL))
    return Reading(
        machine=MACHINE,
        candidates=[candidate_of(each, MACHINE) for each in chosen],
        benches=benches.running() if benches else [],
        grids={"mixtral-8x7b-awq": LAST},
        sessions={"mixtral-8x7b-awq": ["2026-11-19-1804  56 cells  best 32 users × 296 tokens, 512 tokens/s"]},
    )


async def _none_found(_on_found: object) -> list[FoundServer]:
    return []


class Shell:
    """An app and what is behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        monkeypatch.setattr(finding, "find_servers", _none_found)
        self.benches = FakeBenches()

    def app(
        self,
        start: StartWish,
        *said: Snapshot,
        refusal: str = "",
        running: list[str] | None = None,
        entries: tuple[ProfileEntry, ...] = (),
        settings: Settings | None = None,
    ) -> VrampApp:
        """Return the app whose bench says `said`."""
        self.benches = FakeBenches(FakeSource(*said), refusal=refusal, benches=running)
        catalogue = reading(*entries, benches=self.benches)
        self._monkeypatch.setattr("tui.view.picker_actions.read_catalogue", lambda _: catalogue)
        return VrampApp(start, self.benches, settings=settings)

    def picker(self, **options: object) -> VrampApp:
        """Return the app on its list."""
        return self.app(Picker(), **options)  # type: ignore[arg-type]

    def launched(self, *said: Snapshot, **options: object) -> VrampApp:
        """Return the app on a launch."""
        return self.app(Launch(entry(MIXTRAL)), *said, **options)  # type: ignore[arg-type]


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait until the app has come to a state; the test's own time limit ends a wait for what never comes."""
    while not condition():
        await pilot.pause()


async def listed(pilot: Pilot[int]) -> PickerScreen:
    """Return the picker with its list filled."""
    app = pilot.app
    await until(
        pilot, lambda: isinstance(app.screen, PickerScreen) and bool(app.screen.query_one(OptionList).option_count)
    )
    assert isinstance(app.screen, PickerScreen)
    return app.screen


def pressing(
    *keys: str, settled: Callable[[Pilot[int]], bool] | None = None
) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Return what a snapshot runs before: wait for the screen, press keys, let it settle."""

    async def run(pilot: Pilot[int]) -> None:
        if settled is not None:
            await until(pilot, lambda: settled(pilot))
        for key in keys:
            await pilot.press(key)
        await pilot.pause()

    return run
