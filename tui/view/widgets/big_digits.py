"""Figures and few words to be read from across a room: five rows of whole blocks, or three of half ones. Pure."""

from __future__ import annotations

_GLYPHS = {
    "0": ("███", "█ █", "█ █", "█ █", "███"),
    "1": ("██ ", " █ ", " █ ", " █ ", "███"),
    "2": ("███", "  █", "███", "█  ", "███"),
    "3": ("███", "  █", "███", "  █", "███"),
    "4": ("█ █", "█ █", "███", "  █", "  █"),
    "5": ("███", "█  ", "███", "  █", "███"),
    "6": ("███", "█  ", "███", "█ █", "███"),
    "7": ("███", "  █", "  █", "  █", "  █"),
    "8": ("███", "█ █", "███", "█ █", "███"),
    "9": ("███", "█ █", "███", "  █", "███"),
    "–": ("   ", "   ", "███", "   ", "   "),
    ".": ("  ", "  ", "  ", "  ", "█ "),
    ",": ("  ", "  ", "  ", "▄ ", "█ "),
    " ": (" ", " ", " ", " ", " "),
    "A": ("███", "█ █", "███", "█ █", "█ █"),
    "E": ("███", "█  ", "██ ", "█  ", "███"),
    "F": ("███", "█  ", "██ ", "█  ", "█  "),
    "L": ("█  ", "█  ", "█  ", "█  ", "███"),
    "M": ("█   █", "██ ██", "█ █ █", "█   █", "█   █"),
    "O": ("███", "█ █", "█ █", "█ █", "███"),
    "P": ("███", "█ █", "███", "█  ", "█  "),
    "R": ("██ ", "█ █", "██ ", "█ █", "█ █"),
    "T": ("███", " █ ", " █ ", " █ ", " █ "),
    "U": ("█ █", "█ █", "█ █", "█ █", "███"),
    "Y": ("█ █", "█ █", " █ ", " █ ", " █ "),
}
ROWS = 5


def big(text: str, *, wide: int = 2, tall: int = 1) -> list[str]:
    """Return five rows of a figure, each dot `wide` cells by `tall` rows; characters without a glyph are left out."""
    glyphs = [_GLYPHS[char] for char in text if char in _GLYPHS]
    gap = " " * wide
    rows = [gap.join("".join(dot * wide for dot in glyph[row]) for glyph in glyphs) for row in range(ROWS)]
    return [row for row in rows for _ in range(tall)]


_LOW_GLYPHS = {
    "0": ("█▀█", "█ █", "▀▀▀"),
    "1": ("▀█ ", " █ ", "▀▀▀"),
    "2": ("▀▀█", "█▀▀", "▀▀▀"),
    "3": ("▀▀█", " ▀█", "▀▀▀"),
    "4": ("█ █", "▀▀█", "  ▀"),
    "5": ("█▀▀", "▀▀█", "▀▀▀"),
    "6": ("█▀▀", "█▀█", "▀▀▀"),
    "7": ("▀▀█", "  █", "  ▀"),
    "8": ("█▀█", "█▀█", "▀▀▀"),
    "9": ("█▀█", "▀▀█", "▀▀▀"),
    "–": ("   ", "▀▀▀", "   "),
    ".": (" ", " ", "▀"),
    ",": (" ", " ", "▄"),
}
LOW_ROWS = 3


def low(text: str) -> list[str]:
    """Return a figure in three rows, three cells a digit; characters without a glyph are left out."""
    glyphs = [_LOW_GLYPHS[char] for char in text if char in _LOW_GLYPHS]
    return [" ".join(glyph[row] for glyph in glyphs) for row in range(LOW_ROWS)]
