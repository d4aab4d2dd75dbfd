"""Make the pictures of the README with the real app: `make screenshots`.

The live screen, the grid and the presentation screen show moments of a recorded session, as they were to be seen then:
of the one given, or of a sweep of the demo profile, which is recorded first (some three minutes). The picker and the
failed launch are the app itself, at work. The animation is `vramp record` of the same session; `--animation` makes it
alone.

`--gallery` makes those of docs/gallery.md alone: all sizes and all kinds of colours, of the run on an H200.

`--h200` makes those of docs/study-h200.md alone, from the session of that run: a real vLLM on one H200. It is kept
here, h200-mistral-7b.vramp.xz, as sessions are now: with how often each gap between tokens came and not each of them,
and with /srv in its paths.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from unittest.mock import patch

import msgspec
from animation import film_of, svg_of
from textual import constants

from tui.link.protocol import Command, Reply, StopBench
from tui.metrics.snapshot import Phase, Snapshot
from tui.profile.catalogue import entry_of
from tui.profile.settings import Settings
from tui.report.report import write_report
from tui.session.reader import SessionReader
from tui.session.replay import snapshot
from tui.view.app import VrampApp
from tui.view.benches import Benches, LocalBenches
from tui.view.bridge import SnapshotSource
from tui.view.screens.launch import LaunchScreen
from tui.view.screens.live import LiveScreen
from tui.view.screens.picker import PickerScreen
from tui.view.start import Attach, Launch, Picker, StartWish

FOLDER = Path(__file__).resolve().parent
SIZE = (120, 40)
FILM_SIZE = (100, 30)
FILM_FRAMES = range(24, 7, -2)
"""The most of these that fit are taken."""
FILM_BYTES = 500_000
GALLERY_SIZES = ((60, 16), (80, 24), (100, 30), (120, 40), (200, 50), (300, 80))
GALLERY_COLOURS: dict[str, tuple[Settings, str | None]] = {
    "light": (Settings(theme="vramp-light"), "truecolor"),
    "contrast": (Settings(theme="vramp-contrast"), "truecolor"),
    "256-colours": (Settings(), "256"),
    "16-colours": (Settings(), "standard"),
    "no-colours": (Settings(), None),
    "ascii": (Settings(ascii=True), "truecolor"),
}
"""By name: the settings and the terminal's colours; None = NO_COLOR is set."""
GALLERY_BYTES = 170_000
TIMEOUT_S = 60.0

FAILING = """\
name = "too-large-for-this-card"
title = "A model whose KV cache does not fit"
engine = "simulated"

[server]
model = "vramp/simulated-7b"
gpus = [0]

[simulator]
gpu = "V100 16GB"
fail = "kv-too-small"
"""

Ready = Callable[[VrampApp], bool]


def record() -> Path:
    """Sweep the demo profile without the app; return the session file."""
    subprocess.run([sys.executable, "-m", "tui", "run", "demo"], check=True, stdout=subprocess.DEVNULL)
    (session,) = Path(os.environ["XDG_DATA_HOME"]).rglob("*.vramp")
    return session


async def picture(
    start: StartWish,
    benches: Benches,
    name: str,
    ready: Ready,
    *keys: str,
    size: tuple[int, int] = SIZE,
    settings: Settings | None = None,
) -> None:
    """Open the app on `start`, wait until it is `ready`, press `keys`, and keep what it shows."""
    app = VrampApp(start, benches, settings=settings)
    async with app.run_test(size=size) as pilot:
        async with asyncio.timeout(TIMEOUT_S):
            while not ready(app):
                await pilot.pause(0.1)
        await pilot.press(*keys)
        await pilot.pause(2.0)  # the charts are drawn once a second
        (FOLDER / f"{name}.svg").write_text(neutral(app.export_screenshot(title="vramp")), encoding="utf-8")
        if app._bridge is not None:  # a bench of our own outlives its picture unless it is told
            await app._bridge.send(StopBench())
        app.exit()
    print(f"{name}.svg", file=sys.stderr)  # noqa: T201


class Moment:
    """A source that shows one moment of a session over and over, as a live bench would have."""

    why_gone = ""
    took_leave = False

    def __init__(self, session: Path, share: float) -> None:
        with SessionReader(session) as reader:
            start_ns = reader.meta.started_at_ns
            at_ns = start_ns + round((reader.last_ns() - start_ns) * share)
            seen = snapshot(reader, at_ns)
        server = msgspec.structs.replace(seen.server, phase=Phase.READY)
        self._snapshot = msgspec.structs.replace(seen, server=server)
        self._closed = asyncio.Event()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the moment, then nothing."""
        yield self._snapshot
        await self._closed.wait()

    async def request(self, command: Command) -> Reply:
        """Do nothing: what was, was."""
        return Reply(0, True)

    async def close(self) -> None:
        """End."""
        self._closed.set()


class Recorded(LocalBenches):
    """Benches of which one is a moment of a recorded session."""

    def __init__(self, session: Path, share: float) -> None:
        super().__init__()
        self._session = session
        self._share = share

    async def attach(self, socket_path: Path, *, read_only: bool) -> SnapshotSource:
        """Return the moment."""
        return Moment(self._session, self._share)


def is_live(app: VrampApp) -> bool:
    """Say whether the live screen is up."""
    return isinstance(app.screen, LiveScreen)


_FONTS = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
"""Whichever there is: each text is told its width, so that columns stand in any of them."""


def neutral(svg: str) -> str:
    """Return a picture without this machine's paths, every text as wide as it was, that asks for nothing from afar."""

    def shortened(match: re.Match[str]) -> str:
        text = match[1]
        for root in (FOLDER.parent, Path(sys.prefix).parent):  # the environment may be that of another checkout
            text = text.replace(str(root), "~/vramp")
        return f">{text}{'&#160;' * (len(match[1]) - len(text))}</text>"

    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: Fira Code[^;]*;", f"font-family: {_FONTS};", svg)
    svg = svg.replace(" textLength=", ' lengthAdjust="spacingAndGlyphs" textLength=')
    return compact(re.sub(r">([^<>]*)</text>", shortened, svg))


_RECT = re.compile(r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"[^>]*/>')


def compact(svg: str) -> str:
    """Return a picture of a terminal that looks the same in a third of the bytes.

    Grounds of one colour are one path; lines are not clipped; there is no blank text, and glyphs are stretched only
    where they have to meet.
    """
    svg = re.sub(r"terminal-\d+-", "", svg)
    svg = re.sub(r'<clipPath id="line-\d+">.*?</clipPath>\s*', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#line-\d+\)"', "", svg)
    svg = svg.replace("&#160;", "\N{NO-BREAK SPACE}")
    svg = re.sub("<text [^>]*>\\s*</text>", "", svg)
    svg = re.sub(' lengthAdjust="spacingAndGlyphs"( textLength="[^"]*">[^<▀-▟⠀-⣿]*</text>)', r"\1", svg)
    svg = re.sub(' textLength="[^"]*"(>[^<▀-▟⠀-⣿]</text>)', r"\1", svg)
    runs: dict[str, list[list[float]]] = {}
    for fill, *numbers in _RECT.findall(svg):
        x, y, width, height = map(float, numbers)
        known = runs.setdefault(fill, [])
        if known and known[-1][1] == y and abs(known[-1][0] + known[-1][2] - x) < 0.1:
            known[-1][2] += width
        else:
            known.append([x, y, width, height])
    paths = "".join(
        f'<path shape-rendering="crispEdges" fill="{fill}" d="'
        + "".join(f"M{x:g} {y:g}h{width:g}v{height:g}h-{width:g}z" for x, y, width, height in known)
        + '"/>'
        for fill, known in runs.items()
    )
    first = _RECT.search(svg)
    if first is None:
        return svg
    return svg[: first.start()] + paths + _RECT.sub("", svg[first.start() :])


def failed(app: VrampApp) -> bool:
    """Say whether a launch has failed, and why is on the screen."""
    latest = app._bridge.latest if app._bridge else None
    return isinstance(app.screen, LaunchScreen) and latest is not None and latest.server.failure is not None


async def make(session: Path, folder: Path) -> None:
    """Make all pictures."""
    profile = folder / "too-large-for-this-card.toml"
    profile.write_text(FAILING)
    here = LocalBenches()
    await picture(Picker(), here, "picker", lambda app: isinstance(app.screen, PickerScreen))
    await picture(Launch(entry_of(profile)), here, "launch-failed", failed)
    attach = Attach(session)
    await picture(attach, Recorded(session, 0.93), "live", is_live)
    await picture(attach, Recorded(session, 1.0), "grid", is_live, "4", "escape", "m")
    await picture(Attach(session, presentation=True), Recorded(session, 0.9), "presentation", is_live)


def animate(session: Path, folder: Path) -> None:
    """Make the animation of the whole run, as `vramp record` sees it."""
    cast = folder / "run.cast"
    size = f"{FILM_SIZE[0]}x{FILM_SIZE[1]}"
    command = [sys.executable, "-m", "tui", "record", str(session), "--cast", str(cast), "--size", size]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    text = cast.read_text(encoding="utf-8")
    title = json.loads(text.splitlines()[0])["title"]
    films = (svg_of(film_of(text, frames), title=title, frame_s=0.7, last_s=5.0) for frames in FILM_FRAMES)
    svg = next(svg for film in films if len(svg := neutral(film).encode()) <= FILM_BYTES)
    (FOLDER / "run.svg").write_bytes(svg)
    print("run.svg", file=sys.stderr)  # noqa: T201


async def make_h200(folder: Path) -> None:
    """Make the pictures of the run on an H200."""
    session = folder / "h200-mistral-7b.vramp"
    session.write_bytes(lzma.decompress((FOLDER / "h200-mistral-7b.vramp.xz").read_bytes()))
    attach = Attach(session)
    await picture(attach, Recorded(session, 0.8), "h200-live", is_live)
    await picture(attach, Recorded(session, 1.0), "h200-grid", is_live, "4", "escape", "m")


async def make_gallery(folder: Path) -> None:
    """Make the pictures of docs/gallery.md, from the run on an H200: each size in dark, each kind of colours at one."""
    session = folder / "h200-mistral-7b.vramp"
    session.write_bytes(lzma.decompress((FOLDER / "h200-mistral-7b.vramp.xz").read_bytes()))
    (FOLDER / "gallery").mkdir(exist_ok=True)
    start, benches = Attach(session), Recorded(session, 0.8)
    for width, height in GALLERY_SIZES:
        await picture(start, benches, f"gallery/{width}x{height}", is_live, size=(width, height))
    for name, (settings, colours) in GALLERY_COLOURS.items():
        no_color = {"NO_COLOR": "1"} if colours is None else {}
        with patch.object(constants, "COLOR_SYSTEM", colours or "truecolor"), patch.dict(os.environ, no_color):
            await picture(start, benches, f"gallery/{name}", is_live, settings=settings)
    for made in (FOLDER / "gallery").glob("*.svg"):
        assert made.stat().st_size <= GALLERY_BYTES, f"{made.name} has {made.stat().st_size:,} bytes"


def make_report(folder: Path) -> None:
    """Make the picture of a report, of the run on an H200, where Chromium is there to open it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("report.png is left as it is: no chromium", file=sys.stderr)  # noqa: T201
        return
    session = folder / "h200-mistral-7b.vramp"
    session.write_bytes(lzma.decompress((FOLDER / "h200-mistral-7b.vramp.xz").read_bytes()))
    page = write_report([session], folder / "report.html")
    picture_path = FOLDER / "report.png"
    subprocess.run(
        [
            browser,
            *("--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'b'}"),
            *(("--no-sandbox",) if os.getuid() == 0 else ()),  # it has none for root
            *("--window-size=1000,1500", f"--screenshot={picture_path}", page.as_uri()),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
    )
    print(picture_path.name, file=sys.stderr)  # noqa: T201


def main() -> None:
    """Work in folders of its own, so that nothing of the user's is shown, and nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", nargs="?", type=Path, help="a recorded session; default: record one")
    parser.add_argument("--h200", action="store_true", help="only those of the run on an H200")
    parser.add_argument("--report", action="store_true", help="only that of a report, which needs Chromium")
    parser.add_argument("--gallery", action="store_true", help="only those of docs/gallery.md")
    parser.add_argument("--animation", action="store_true", help="only the animation of the run")
    wish = parser.parse_args()
    given: Path | None = wish.session
    with tempfile.TemporaryDirectory(prefix="vr") as name:
        folder = Path(name)
        os.environ["HOME"] = name  # a path in a picture begins with ~ then, whoever makes it
        for variable, part in (("XDG_DATA_HOME", "d"), ("XDG_CONFIG_HOME", "c"), ("XDG_RUNTIME_DIR", "r")):
            (folder / part).mkdir(mode=0o700)
            os.environ[variable] = str(folder / part)
        if wish.animation:
            animate(given.resolve() if given else record(), folder)
            return
        if wish.gallery:
            asyncio.run(make_gallery(folder))
            return
        make_report(folder)
        if wish.report:
            return
        asyncio.run(make_h200(folder))
        if not wish.h200:
            session = given.resolve() if given else record()
            animate(session, folder)
            asyncio.run(make(session, folder))
            asyncio.run(make_gallery(folder))


if __name__ == "__main__":
    main()
