"""From inks to the colours of a terminal. Pure.

A palette gives each `Ink` a `Look` and each hue the tones of the area under its curve. Nothing is computed from another
palette: what is clear on black is not clear on white, and of 256 colours those beside the wanted one are often grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.style import Style

from tui.view.colours.paint import TONES, Ink, Over, Paint, Tone

Fills = tuple[str, ...]
"""The tones under an edge, from just below it to the ground; they are spread over `TONES` steps."""


@dataclass(frozen=True)
class Look:
    """Colours as Rich names them ("#rrggbb", "bright_blue"); None = that of what lies below."""

    fore: str | None = None
    back: str | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False

    def style(self) -> Style:
        """Return it as what Rich writes; what is not said is left to what lies below."""
        return Style(
            color=self.fore,
            bgcolor=self.back,
            bold=self.bold or None,
            dim=self.dim or None,
            reverse=self.reverse or None,
        )


@dataclass(frozen=True)
class Palette:
    """One table of colours. Without `fills` areas are shaded by a light glyph in the colour of their edge."""

    name: str
    looks: Mapping[Ink, Look]
    fills: Mapping[Ink, Fills]
    _styles: dict[Paint, Style] = field(default_factory=dict, compare=False, repr=False)

    @property
    def shaded(self) -> bool:
        """Say whether areas are shaded by glyphs for lack of tones."""
        return not self.fills

    def tone(self, tone: Tone) -> str | None:
        """Return the colour of a step of an area; None where areas are shaded."""
        tones = self.fills.get(tone.ink)
        if not tones:
            return None
        return tones[min(len(tones) - 1, max(0, tone.step) * len(tones) // TONES)]

    def style(self, paint: Paint) -> Style:
        """Return the style of a span; what it does not say is the widget's."""
        known = self._styles.get(paint)
        if known is None:
            known = self._styles[paint] = self._made(paint)
        return known

    def _made(self, paint: Paint) -> Style:
        match paint:
            case Tone():
                colour = self.tone(paint)
                return self.style(paint.ink) if colour is None else Style(bgcolor=colour)
            case Over(fore, back):
                return self._fore(fore) + Style(bgcolor=self._colour(back))
            case _:
                return self.looks[paint].style()

    def _fore(self, paint: Ink | Tone) -> Style:
        if isinstance(paint, Tone) and (colour := self.tone(paint)) is not None:
            return Style(color=colour)
        return self.style(paint.ink if isinstance(paint, Tone) else paint)

    def _colour(self, paint: Ink | Tone | None) -> str | None:
        """Return the colour that is laid below; None where there is none to lay."""
        if paint is None:
            return None
        if isinstance(paint, Tone):
            return self.tone(paint)
        look = self.looks[paint]
        return None if self.shaded else look.back or look.fore
