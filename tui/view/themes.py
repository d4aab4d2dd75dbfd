"""The themes of our own, for all that is not painted with inks: dialogs, lists, borders.

Contrast of text on its background is at least 7:1 in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.theme import Theme


@dataclass(frozen=True)
class _Colours:
    """The colours of one theme."""

    steer: str
    warning: str
    error: str
    success: str
    text: str
    muted: str
    ground: str
    pane: str
    band: str
    edge: str
    cursor: str
    bar: str


def _theme(name: str, dark: bool, of: _Colours) -> Theme:
    return Theme(
        name=name,
        dark=dark,
        primary=of.steer,
        secondary=of.muted,
        accent=of.steer,
        warning=of.warning,
        error=of.error,
        success=of.success,
        foreground=of.text,
        background=of.ground,
        surface=of.pane,
        panel=of.band,
        variables={
            "border": of.edge,
            "border-blurred": of.edge,
            "block-cursor-background": of.cursor,
            "block-cursor-foreground": of.text,
            "block-cursor-text-style": "none",
            "block-cursor-blurred-background": of.band,
            "block-cursor-blurred-foreground": of.text,
            "footer-key-foreground": of.steer,
            "footer-description-foreground": of.muted,
            "footer-background": of.band,
            "input-selection-background": of.cursor,
            "text-muted": of.muted,
            "scrollbar": of.bar,
            "scrollbar-hover": of.bar,
            "scrollbar-active": of.steer,
            "scrollbar-background": of.ground,
            "scrollbar-background-hover": of.ground,
            "scrollbar-background-active": of.ground,
            "scrollbar-corner-color": of.ground,
        },
    )


_DARK = _Colours(
    steer="#6cc1f5",
    warning="#e9bd6c",
    error="#ff7a86",
    success="#45dd9a",
    text="#dbe3ea",
    muted="#9fadba",
    ground="#0d1116",
    pane="#12181f",
    band="#18212b",
    edge="#2f3b47",
    cursor="#1f4a66",
    bar="#33414e",
)
_LIGHT = _Colours(
    steer="#0a5f94",
    warning="#7a4d00",
    error="#a1231c",
    success="#00694f",
    text="#1f272e",
    muted="#4c5862",
    ground="#f1f3f3",
    pane="#fbfbf9",
    band="#e2e7e9",
    edge="#b4bec4",
    cursor="#c9e2f1",
    bar="#b4bec4",
)
_CONTRAST = _Colours(
    steer="#79d0ff",
    warning="#ffd24a",
    error="#ff8088",
    success="#00edb3",
    text="#ffffff",
    muted="#d0d8e0",
    ground="#000000",
    pane="#000000",
    band="#101820",
    edge="#6b7b8a",
    cursor="#0f4f7a",
    bar="#6b7b8a",
)
_DARK_256 = replace(
    _DARK,
    steer="#5fd7ff",
    warning="#ffd787",
    error="#ff8787",
    success="#5fd787",
    text="#dadada",
    muted="#a8a8a8",
    ground="#080808",
    pane="#121212",
    band="#1c1c1c",
    edge="#3a3a3a",
    cursor="#005f87",
    bar="#444444",
)
_LIGHT_256 = replace(
    _LIGHT,
    steer="#005f87",
    warning="#5f5f00",
    error="#870000",
    success="#005f5f",
    text="#262626",
    muted="#4e4e4e",
    ground="#eeeeee",
    pane="#ffffff",
    band="#e4e4e4",
    edge="#b2b2b2",
    cursor="#afd7ff",
    bar="#b2b2b2",
)

DARK = _theme("vramp-dark", True, _DARK)
LIGHT = _theme("vramp-light", False, _LIGHT)
CONTRAST = _theme("vramp-contrast", True, _CONTRAST)
OWN = (DARK, LIGHT, CONTRAST)
_OF_256 = (_theme(DARK.name, True, _DARK_256), _theme(LIGHT.name, False, _LIGHT_256), CONTRAST)

_SIXTEEN = {DARK.name: "ansi-dark", LIGHT.name: "ansi-light", CONTRAST.name: "ansi-dark"}


def themes_for(color_system: str | None) -> tuple[Theme, ...]:
    """Return our themes in the colours that the terminal has."""
    return _OF_256 if color_system == "256" else OWN


def fitting_theme(name: str, color_system: str | None, *, no_colour: bool = False) -> str:
    """Return the theme for a terminal's colours: of sixteen, those nearest to ours would be one grey.

    Without colours too the terminal keeps its own: bold, dim and reverse tell the rest.
    """
    return _SIXTEEN.get(name, name) if no_colour or color_system in ("standard", "windows") else name


THEMES: tuple[str, ...] = (DARK.name, LIGHT.name, CONTRAST.name, "ansi-dark", "ansi-light")
"""What `t` walks through; the last two leave all colours to the terminal."""
