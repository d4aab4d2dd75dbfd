"""The picture in ASCII: one translation at the very end, so that all else is drawn once."""

from __future__ import annotations

from rich.cells import cell_len

_PAIRS = {
    "–": "-", "−": "-", "—": "-", "…": "~", "×": "x", "·": ".", "▸": ">", "▏": "|", "▕": "|", "→": ">",
    "█": "#", "▓": "=", "▒": "-", "░": ".", "╱": "/", "✕": "X", "■": "#", "▣": "@", "□": ".", "✓": "v",
    "─": "-", "│": "|", "┤": "|", "┼": "+", "┴": "+", "┬": "+", "└": "+", "╰": "+", "╯": "+", "╭": "+", "╮": "+",
    "▀": "#", "▄": "#", "▌": "#", "▐": "#", "±": "~", "≤": "<", "≥": ">", "ø": "o", "€": "E", "°": "o",
    "▲": "^", "▼": "v", "●": "*", "○": "o", "‖": "|", "┊": ":", "╌": "-", "▪": "*", "•": "*", "µ": "u",
    "↓": "v", "↑": "^", "↕": "|", "←": "<", "━": "=", "╸": "=", "╺": "=", "▎": "|", "▊": "#", "▔": "-",
    "◐": "*", "╎": ":", "↻": "@", "▁": "_", "▂": "_", "▃": "=", "▅": "=", "▆": "#", "▇": "#",
    "┏": "+", "┓": "+", "┗": "+", "┛": "+", "┃": "|", "╔": "#", "╗": "#", "╚": "#", "╝": "#", "═": "=", "║": "#",
    "★": "*", "▚": "%", "∞": "~", "²": "2", "“": '"', "”": '"',
}  # fmt: skip


def _braille(dots: int) -> str:
    """Return the ASCII character nearest to a braille cell: by the rows of its dots, top to bottom."""
    rows = [bool(dots & mask) for mask in (0x09, 0x12, 0x24, 0xC0)]
    if not any(rows):
        return " "
    if sum(rows) >= 3:
        return "|"
    if rows[0] and not rows[3]:
        return "'"
    if rows[3] and not rows[0]:
        return "."
    return "-" if sum(rows) == 1 else ":"


_TABLE = str.maketrans(_PAIRS | {chr(0x2800 + dots): _braille(dots) for dots in range(256)})


def to_ascii(text: str) -> str:
    """Return `text` in ASCII and in as many cells; what has no likeness becomes `?`."""
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in text)
