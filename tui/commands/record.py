"""`vramp record`: a session as a cast."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from tui.core.errors import UsageError
from tui.core.printing import ProgressLine, tell
from tui.core.safe_text import safe_line

_SIZE = re.compile(r"([0-9]{2,3})x([0-9]{2,3})")


class Size(click.ParamType[tuple[int, int]]):
    """Columns and rows of a terminal: 120x40."""

    name = "COLUMNSxROWS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return both numbers; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        match = _SIZE.fullmatch(str(value))
        if match is None:
            self.fail(f"found {value!r}, expected columns and rows as 120x40", param, ctx)
        return int(match[1]), int(match[2])


@click.command()
@click.argument("session")
@click.option("--cast", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The asciicast to write.")
@click.option("--gif", type=click.Path(path_type=Path, dir_okay=False), help="And a GIF of it, by agg.")
@click.option("--size", type=Size(), default="120x40", show_default=True, help="Of the terminal that is recorded.")
@click.option(
    "--speed", type=click.FloatRange(0.1, 10_000), help="X times as fast; default: so that it lasts a minute."
)
@click.option("--frames-per-second", "frames_per_s", type=click.FloatRange(0.5, 10), default=2.0, show_default=True)
@click.option("--stage", is_flag=True, help="The presentation screen.")
@click.pass_context
def record(
    context: click.Context,
    session: str,
    cast: Path,
    gif: Path | None,
    size: tuple[int, int],
    speed: float | None,
    frames_per_s: float,
    stage: bool,
) -> None:
    """Record a finished SESSION (or its file) as it is replayed: an asciicast v3 with a marker at each cell."""
    os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"  # whatever this terminal can do; read once, by the import below
    os.environ.pop("NO_COLOR", None)
    from tui.session.shelf import find
    from tui.view import recording

    if gif is not None:
        recording.agg()  # before the minute that a recording may take
        if cast.absolute() == gif.absolute():
            raise UsageError("--cast and --gif name the same file")
    wish = recording.Wish(*size, speed, frames_per_s, stage, (context.obj or {}).get("theme"))
    bar = ProgressLine()
    try:
        recording.record(
            find(session), cast, wish, lambda share: bar.draw(f"[{'#' * round(20 * share):.<20}] {share:.0%}")
        )
    finally:
        bar.draw("")
    tell(safe_line(str(cast)))
    if gif is not None:
        recording.make_gif(cast, gif)
        tell(safe_line(str(gif)))
