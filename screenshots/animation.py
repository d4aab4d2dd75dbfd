"""An animated SVG of a cast, for the README: rows that are alike in several frames are kept once.

The cast is fed to a terminal emulator (pyte); of its frames so many are taken, evenly, as were asked for. Nothing is
fetched, no script runs: CSS moves a strip of frames on, step by step, and who wants no motion sees the last frame.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyte
from pyte.screens import Char

CELL_WIDTH, CELL_HEIGHT, FONT_PX = 8, 16, 13.3
_BASE = 13  # from the top of a row to where its letters stand
PADDING = 12
_FONTS = "'Fira Code','DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"
_NAMED = {"default": "d8dee9"}

Style = tuple[str, str, bool]
"""Colours of letters and ground as six hex digits (empty = the screen's own ground), and whether it is bold."""
Run = tuple[int, str, Style]
"""Its column, text and style."""
Row = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Film:
    """What a cast shows at several moments."""

    columns: int
    rows: int
    frames: list[list[Row]]


def film_of(cast: str, frames: int) -> Film:
    """Return `frames` of a cast's moments, its last one among them."""
    head, *lines = cast.splitlines()
    term = json.loads(head)["term"]
    outputs = [event[2] for event in map(json.loads, lines) if event[1] == "o"]
    wanted = {round((number + 1) * len(outputs) / frames) - 1 for number in range(frames)}
    screen = pyte.Screen(term["cols"], term["rows"])
    stream = pyte.Stream(screen)
    taken = []
    for number, output in enumerate(outputs):
        stream.feed(output)
        if number in wanted:
            taken.append([_row(screen, line) for line in range(screen.lines)])
    return Film(term["cols"], term["rows"], taken)


def _row(screen: pyte.Screen, line: int) -> Row:
    characters = [screen.buffer[line][column] for column in range(screen.columns)]
    runs: list[Run] = []
    column = 0
    for style, group in groupby(characters, key=_style):
        text = "".join(character.data for character in group)
        width = len(text)
        if style[1] or text.strip():
            runs.append((column, text, style))
        column += width
    return tuple(runs)


def _style(character: Char) -> Style:
    letters, ground = _hex(character.fg), "" if character.bg == "default" else _hex(character.bg)
    if character.reverse:
        letters, ground = ground or "0d1116", letters
    return ("" if character.data == " " else letters, ground, character.bold and character.data != " ")


def _hex(colour: str) -> str:
    return _NAMED.get(colour, colour)


def svg_of(film: Film, *, title: str, frame_s: float, last_s: float) -> str:
    """Return the SVG: each frame is shown for `frame_s`, the last one for `last_s`."""
    ground = _most_common_ground(film)
    width = film.columns * CELL_WIDTH + 2 * PADDING
    height = film.rows * CELL_HEIGHT + 2 * PADDING
    count = len(film.frames)
    total_s = frame_s * (count - 1) + last_s
    stops = "".join(
        f"{number * frame_s / total_s:.3%}{{transform:translateX(-{number * width}px)}}" for number in range(count)
    )
    names: dict[Row, str] = {}
    classes: dict[Style, str] = {}
    strip = "".join(
        f'<g transform="translate({number * width})">{"".join(_uses(rows, names))}</g>'
        for number, rows in enumerate(film.frames)
    )
    rows = "".join(f'<g id="{name}">{"".join(_drawn(row, ground, classes))}</g>' for row, name in names.items())
    colours = "".join(
        f".{name}{{fill:#{letters}{';font-weight:700' if bold else ''}}}"
        for (letters, _, bold), name in classes.items()
        if letters
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{html.escape(title)}</title><style>"
        f"text{{transform:translateY({_BASE}px);font:{FONT_PX}px {_FONTS};white-space:pre}}"
        f"path{{shape-rendering:crispEdges}}{colours}"
        f".s{{animation:m {total_s:g}s steps(1,end) infinite}}@keyframes m{{{stops}}}"
        f"@media(prefers-reduced-motion:reduce){{.s{{animation:none;"
        f"transform:translateX(-{(count - 1) * width}px)}}}}</style>"
        f'<defs>{rows}</defs><rect width="100%" height="100%" rx="8" fill="#{ground}"/>'
        f'<svg x="{PADDING}" y="{PADDING}" width="{width - 2 * PADDING}" height="{height - 2 * PADDING}">'
        f'<g class="s">{strip}</g></svg></svg>\n'
    )


def _most_common_ground(film: Film) -> str:
    cells: dict[str, int] = {}
    for rows in film.frames:
        for row in rows:
            for _, text, (_, ground, _) in row:
                cells[ground] = cells.get(ground, 0) + len(text)
    return max(cells, key=cells.__getitem__, default="") or "0d1116"


def _uses(rows: Sequence[Row], names: dict[Row, str]) -> Iterator[str]:
    for line, row in enumerate(rows):
        if row:
            name = names.setdefault(row, f"r{len(names)}")
            yield f'<use href="#{name}" y="{line * CELL_HEIGHT}"/>'


def _drawn(row: Row, ground: str, classes: dict[Style, str]) -> Iterator[str]:
    for behind, runs in groupby(row, key=lambda run: run[2][1]):
        column, width = None, 0
        for at, text, _ in runs:
            column, width = at if column is None else column, at + len(text)
        if behind and behind != ground and column is not None:
            across = (width - column) * CELL_WIDTH
            yield f'<path fill="#{behind}" d="M{column * CELL_WIDTH} 0h{across}v{CELL_HEIGHT}h-{across}z"/>'
    for column, text, style in row:
        shown = text.rstrip()
        if not shown:
            continue
        start = len(shown) - len(shown.lstrip())
        shown = shown[start:]
        key = (style[0], "", style[2])
        name = classes.setdefault(key, f"c{len(classes)}")
        length = f' textLength="{len(shown) * CELL_WIDTH}"' if len(shown) > 1 else ""
        x = (column + start) * CELL_WIDTH
        yield f'<text class="{name}" x="{x}"{length}>{html.escape(shown, quote=False)}</text>'
