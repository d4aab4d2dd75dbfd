"""Lines of spans: what panes compose and a `Canvas` shows. Pure; text from outside comes in by `plain`.

A span is a text and a paint. The simplest paint is an ink: a role ("failure") or a figure ("ttft"), never a colour;
colours belong to the palettes (`view/colours`). Each figure has one ink, wherever it is shown: curve, tile, label.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from tui.core.safe_text import safe_line
from tui.view.colours.paint import HEAT, HUES, SHADE, TONES, Ink, Over, Paint, Tone, has_background

__all__ = ["HEAT", "HUES", "SHADE", "TONES", "Ink", "Line", "Over", "Paint", "Span", "Tone", "has_background"]

Span = tuple[str, Paint]
Line = list[Span]


def shaded(line: Line) -> Line:
    """Return a line as it is where areas have no tones: shaded by their glyph, edges whole."""
    return [_shaded(text, paint) for text, paint in line]


def _shaded(text: str, paint: Paint) -> Span:
    if isinstance(paint, Over) and paint.fore is Ink.ON_EDGE and isinstance(paint.back, Ink):
        return "█" * len(text), paint.back  # a point would be a hole in it
    if not isinstance(paint, Over) or not isinstance(paint.fore, Tone):
        return text, paint
    if paint.back is not None:
        return "█" * len(text), paint.back
    return "".join(SHADE if char != " " else char for char in text), paint.fore  # blanks that joined it stay blank


def plain(text: str, width: int | None = None) -> str:
    """Return text from outside as one safe line, cut to `width` cells with an ellipsis."""
    text = safe_line(text, limit=2000)
    if width is not None and cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)).rstrip() + "…" if width > 0 else ""
    return text


def plain_end(text: str, width: int) -> str:
    """Return text from outside as one safe line, of which an ellipsis and the end are left: a path's name is there."""
    text = plain(text)
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) >= width:
        text = text[1:]
    return f"…{text}" if width > 0 else ""


def cells(text: str, width: int) -> str:
    """Return text from outside in exactly `width` cells."""
    return set_cell_size(plain(text, width), width)


def width_of(line: Line) -> int:
    """Return the width of a line in cells."""
    return sum(cell_len(text) for text, _ in line)


def cut(line: Line, width: int) -> Line:
    """Return the line's first `width` cells."""
    left: Line = []
    for text, ink in line:
        size = cell_len(text)
        if size >= width:
            if width > 0:
                left.append((set_cell_size(text, width), ink))
            return left
        left.append((text, ink))
        width -= size
    return left


def shortened(line: Line, width: int) -> Line:
    """Return a line in at most `width` cells, with an ellipsis where it is cut."""
    text = "".join(text for text, _ in line).rstrip()
    return cut(line, width) if cell_len(text) <= width else [*cut(line, width - 1), ("…", Ink.DIM)]


def spread(left: Line, right: Line, width: int) -> Line:
    """Return one line with `right` at the right edge; the left gives way."""
    room = width - width_of(right)
    if room <= 0:
        return cut(right, width)
    left = cut(left, room)
    return [*left, (" " * (room - width_of(left)), Ink.PLAIN), *right]


def pack(parts: list[Line], width: int, gap: int = 3) -> Line:
    """Return as many parts as fit, in order, set apart by `gap` cells: the important ones come first."""
    line: Line = []
    used = 0
    for part in parts:
        size = width_of(part)
        if not size:
            continue
        if used and used + gap + size > width:
            continue
        if used:
            line.append((" " * gap, Ink.PLAIN))
            used += gap
        line.extend(part)
        used += size
    return cut(line, width)


def wrapped(text: str, width: int, ink: Ink = Ink.PLAIN, indent: int = 0) -> list[Line]:
    """Return text from outside broken into lines of at most `width` cells, at spaces where there are any."""
    lines: list[Line] = []
    rest = plain(text)
    room = max(1, width - indent)
    while rest:
        head = rest if cell_len(rest) <= room else set_cell_size(rest, room).rstrip()
        if len(head) < len(rest) and " " in head.strip() and rest[len(head)] != " ":
            head = head[: head.rindex(" ")]
        head = head or rest[:1]
        lines.append([(" " * indent + head, ink)])
        rest = rest[len(head) :].lstrip()
    return lines


def flowed(line: Line, width: int, indent: int, most: int) -> list[Line]:
    """Return a line broken at spaces into at most `most` lines of `width` cells, all but the first indented.

    What has no room in them gives way to an ellipsis.
    """
    rest: list[Span] = [(char, paint) for text, paint in line for char in text]
    lines: list[Line] = []
    while rest:
        kept = 0 if not lines else indent
        head, used = 0, kept
        while head < len(rest) and used + cell_len(rest[head][0]) <= width:
            used += cell_len(rest[head][0])
            head += 1
        begun: Line = [(" " * kept, Ink.PLAIN)] if kept else []
        if head == 0 or (head < len(rest) and len(lines) == most - 1):
            return [*lines, [*begun, *rest[: max(0, head - 1)], ("…", Ink.DIM)]]
        blanks = [place for place in range(indent - kept + 1, head + 1) if place < len(rest) and rest[place][0] == " "]
        if head < len(rest) and blanks:
            head = blanks[-1]
        lines.append([*begun, *rest[:head]])
        rest = rest[head + (head < len(rest) and rest[head][0] == " ") :]
    return lines


def text_of(lines: list[Line]) -> str:
    """Return lines as text without trailing blanks."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines).rstrip() + "\n"
