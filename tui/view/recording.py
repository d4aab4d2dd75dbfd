"""`vramp record`: a session that is over, played in the app without a terminal, as an asciicast of what one would show.

asciicast v3 (docs.asciinema.org/manual/asciicast/v3): a header, then events [seconds since the one before, code, data].
Time is the cast's own: a frame takes as long to draw as it takes, and is shown for as long as was asked.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from textual.drivers.headless_driver import HeadlessDriver

from tui.core.clock import NS_PER_S
from tui.core.errors import UsageError, VrampError, in_a_sentence
from tui.core.files import atomic_file
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.snapshot import Snapshot
from tui.profile.settings import Settings
from tui.view.app import VrampApp
from tui.view.benches import LocalBenches
from tui.view.bridge import SnapshotArrived, SnapshotSource
from tui.view.replaying import ReplaySource
from tui.view.screens.live import LiveScreen
from tui.view.screens.replay import ReplayScreen
from tui.view.start import Replay

USUAL_SECONDS = 60.0
MOST_FRAMES = 2400
MOST_BYTES = 64 * 1024 * 1024
FRAME_TIMEOUT_S = 60.0
_BEGIN = "\x1b[?25l\x1b[2J\x1b[H"
_MARKED_AT_ONCE = 3

OnProgress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a session is to be recorded."""

    columns: int = 120
    rows: int = 40
    speed: float | None = None
    """How many times as fast as it was; None = so fast that it takes `USUAL_SECONDS`, though not slower than it was."""
    frames_per_s: float = 2.0
    presentation: bool = False
    theme: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What is drawn at one moment."""

    at_s: float
    """In the cast."""
    output: str
    mark: str
    """What became known at it; empty = nothing."""
    snapshot: Snapshot


def record(session_file: Path, cast: Path, wish: Wish, on_progress: OnProgress = lambda share: None) -> None:
    """Write the cast of a session. Raises SessionError, UsageError for what would be too long or cannot be written."""
    with atomic_file(cast) as file:
        asyncio.run(_write(session_file, file.write, wish, on_progress))


async def _write(session_file: Path, write: Callable[[str], object], wish: Wish, on_progress: OnProgress) -> None:
    written, last_s = 0, 0.0
    async with playing(session_file, wish) as tape:
        write(json.dumps(_header(tape.latest, wish)) + "\n")
        async for frame in tape.frames():
            for event in _events(frame, frame.at_s - last_s):
                line = json.dumps(event, ensure_ascii=False) + "\n"
                written += len(line)
                write(line)
            if written > MOST_BYTES:
                raise UsageError(f"the cast would be larger than {MOST_BYTES // 2**20} MB; give it a higher --speed")
            last_s = frame.at_s
            on_progress(frame.at_s / max(tape.seconds, frame.at_s, 1e-9))


def _header(snapshot: Snapshot, wish: Wish) -> dict[str, object]:
    mark = " (SIMULATED)" if snapshot.simulated else ""
    return {
        "version": 3,
        "term": {"cols": wish.columns, "rows": wish.rows, "type": "xterm-256color"},
        "timestamp": round(datetime.fromisoformat(snapshot.started_at).timestamp()),
        "title": safe_line(f"vramp: {snapshot.profile_title}{mark}", limit=200),
    }


def _events(frame: Frame, after_s: float) -> Iterator[list[object]]:
    """Yield the events of a frame; a mark stands where its frame is already seen."""
    yield [round(after_s, 3), "o", frame.output]
    if frame.mark:
        yield [0.0, "m", frame.mark]


class _Tape(HeadlessDriver):
    """Keeps what would go to a terminal."""

    @property
    def is_headless(self) -> bool:
        """Have the app draw."""
        return False

    def write(self, data: str) -> None:
        """Keep it."""
        if isinstance(self._app, _TapedApp):
            self._app.output.append(data)

    def flush(self) -> None:
        """Nothing is held back."""


class _OneSession(LocalBenches):
    """Knows one session only, which is open."""

    def __init__(self, source: ReplaySource) -> None:
        super().__init__()
        self._source = source

    async def replay(self, path: Path, reference: dict[str, str] | None = None) -> SnapshotSource:
        """Return it."""
        return self._source


class _TapedApp(VrampApp):
    """The app, which says when it has drawn a snapshot."""

    def __init__(self, path: Path, source: ReplaySource, wish: Wish) -> None:
        settings = Settings(ascii=False) if wish.theme is None else Settings(ascii=False, theme=wish.theme)
        super().__init__(Replay(path, presentation=wish.presentation), _OneSession(source), settings=settings)
        self.driver_class = _Tape
        self.output: list[str] = []
        self.arrived: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.speed = 1.0
        self._source = source

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """Take note, then show it as the app does."""
        self.arrived.put_nowait(message.snapshot)

    def _show_moment(self, screen: ReplayScreen, snapshot: Snapshot) -> None:
        """Say that it plays: to who looks at the cast, it does."""
        source, speed = self._source, float(f"{self.speed:.2g}")
        screen.show_moment(snapshot.at_ns, source.started_ns, source.ended_ns, playing=True, speed=speed)

    async def drawn(self) -> Snapshot:
        """Wait for the next snapshot, and until all that is due for it has been drawn."""
        snapshot = await self.arrived.get()
        while not (isinstance(self.screen, LiveScreen) and self.screen.snapshot is snapshot):
            await self._turn()
        for _ in range(4):  # its panes, their widgets, and the screen are drawn in turns of their own
            await self._turn()
        return snapshot

    async def _turn(self) -> None:
        turned = asyncio.Event()
        self.screen.call_after_refresh(turned.set)
        await turned.wait()


class Tape:
    """A session in the app, frame by frame."""

    def __init__(self, app: _TapedApp, source: ReplaySource, running: asyncio.Task[int | None], wish: Wish) -> None:
        self._app, self._source, self._running, self._wish = app, source, running, wish
        length_s = (source.ended_ns - source.started_ns) / NS_PER_S
        speed = wish.speed or max(1.0, length_s / USUAL_SECONDS)
        self._app.speed = speed
        self.seconds = length_s / speed
        """How long the cast lasts."""
        self._step_ns = round(speed / wish.frames_per_s * NS_PER_S)
        self.frame_count = math.ceil(self.seconds * wish.frames_per_s) + 1
        if self.frame_count > MOST_FRAMES:
            least = length_s * wish.frames_per_s / (MOST_FRAMES - 1)
            raise UsageError(
                f"at that speed it has {self.frame_count:,} frames; expected a --speed of {least:.1f} or more"
            )
        self.latest: Snapshot

    async def begin(self) -> None:
        """Have the app show the session, and forget what that drew."""
        self.latest = await self._next()

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield one frame after another, from the session's first moment to its last."""
        known: set[tuple[int, int, int]] = set()
        for number in range(self.frame_count):
            at_ns = self._source.started_ns + number * self._step_ns
            self._source.seek(at_ns)
            self.latest = await self._next()
            output = "".join(self._app.output)
            self._app.output.clear()
            new = _new_cells(self.latest, known)
            begin = _BEGIN if number == 0 else ""
            yield Frame(number / self._wish.frames_per_s, begin + output, _mark(new), self.latest)

    async def _next(self) -> Snapshot:
        drawing = asyncio.create_task(self._app.drawn())
        try:
            await asyncio.wait({drawing, self._running}, timeout=FRAME_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if drawing.done():
                return drawing.result()
        finally:
            drawing.cancel()
        fault = self._app.fault
        raise VrampError(f"the session cannot be played: {in_a_sentence(fault) if fault else 'nothing was drawn'}")


@asynccontextmanager
async def playing(session_file: Path, wish: Wish) -> AsyncIterator[Tape]:
    """Open a session in an app whose drawing is kept. Raises SessionError, UsageError."""
    source = await ReplaySource.open(session_file)
    try:
        app = _TapedApp(session_file, source, wish)
        running = asyncio.create_task(app.run_async(mouse=False, size=(wish.columns, wish.rows)))
        try:
            tape = Tape(app, source, running, wish)
            await tape.begin()
            yield tape
        finally:
            app.exit()
            await asyncio.wait({running})
    finally:
        await source.close()


def _new_cells(snapshot: Snapshot, known: set[tuple[int, int, int]]) -> list[str]:
    """Return in words which measured cells have become known, and take note of them."""
    found = []
    for cell in snapshot.grid.cells:
        place = (cell.users, cell.prompt_tokens, cell.tag)
        if cell.outcome.is_open or not cell.measured or place in known:
            continue
        known.add(place)
        ok = cell.outcome is Outcome.OK and cell.time_to_resolve_s is not None
        found.append(
            f"{cell.users} x {cell.prompt_tokens}: " + (f"{cell.time_to_resolve_s:.2f} s" if ok else cell.outcome)
        )
    return found


def _mark(cells: list[str]) -> str:
    more = f" and {len(cells) - _MARKED_AT_ONCE} more" if len(cells) > _MARKED_AT_ONCE else ""
    return ", ".join(cells[:_MARKED_AT_ONCE]) + more


def agg() -> str:
    """Return the path of the program that makes GIFs. Raises UsageError where it is not installed."""
    if (path := shutil.which("agg")) is None:
        raise UsageError("a GIF is made by agg, which is not on PATH; see https://docs.asciinema.org/manual/agg/")
    return path


def make_gif(cast: Path, gif: Path) -> None:
    """Have `agg` make a GIF of a cast. Raises UsageError where it is not installed, or fails; then there is no GIF."""
    with tempfile.TemporaryDirectory(prefix="vramp-gif-") as folder:
        older, made = Path(folder) / "v2.cast", Path(folder) / "made.gif"
        older.write_text(as_version_2(cast.read_text(encoding="utf-8")), encoding="utf-8")
        done = subprocess.run([agg(), "--", str(older), str(made)], capture_output=True, text=True, errors="replace")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UsageError(f"agg: {safe_line(last, limit=300)}")
        shutil.move(made, gif)


def as_version_2(cast: str) -> str:
    """Return an asciicast v3 as v2, which any agg reads: the size in other fields, times since the begin."""
    first, *lines = cast.splitlines()
    head = json.loads(first)
    term = head.pop("term")
    written = [json.dumps({**head, "version": 2, "width": term["cols"], "height": term["rows"]})]
    at_s = 0.0
    for line in lines:
        after_s, kind, data = json.loads(line)
        at_s += after_s
        written.append(json.dumps([round(at_s, 6), kind, data]))
    return "\n".join(written) + "\n"
